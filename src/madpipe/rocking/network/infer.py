"""The network's answer to a curve, alone or as the start of a fit."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping, warn
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig, RockingInferConfig
from madpipe.rocking.fit.draws import Samples
from madpipe.rocking.fit.fit import drawn, report
from madpipe.rocking.fit.implanted import exact_model, fit_implanted, look
from madpipe.rocking.fit.search import Solution, first_levels, pearson
from madpipe.rocking.forward import COARSER
from madpipe.rocking.model import layers_of, reflection_of, variance
from madpipe.rocking.network.design import CurveNetwork, covariance_of
from madpipe.rocking.network.exposures import what_is_seen
from madpipe.rocking.network.weights import TrainedCurveNetwork
from madpipe.rocking.prior import RANGES
from madpipe.rocking.profiles import Implanted, draw_implanted, from_free, to_free
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.simulate.scan import Setup
from madpipe.rocking.substrate import centred

_ROUNDING = 1e-3  # relative, of spacing and wavelength
_BEYOND = 0.05  # degree, that a scan may end before the network's without being continued
_LITTLE = 0.02  # of the angles, that may be missing
_CONTINUED = 2  # predictions, the second with the first one's curve where there is none
_LIBRARY, _ALIKE = 400, 10  # curves that one is continued by, and those of them that are tried
_RANGES = torch.tensor(RANGES, dtype=torch.float64)
_CLOSE = 0.15  # of a parameter's range, between layers that are not worth two starts
_OTHERS = 6  # further predictions that a fit starts from
_OUTERMOST = 10  # points whose mean is a curve's level at its end
_ALONE = 800  # layers drawn from a prediction


@dataclass(frozen=True)
class Prediction:
    """What the network says of one curve."""

    mean: Float[Tensor, "7"]  # free numbers
    covariance: Float[Tensor, "7 7"]
    others: tuple[Float[Tensor, "7"], ...] = ()  # means of other predictions, for a curve that does not cover the scan

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "layer 7"]:
        """Draw free numbers."""
        normal = torch.randn(count, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.mean + normal @ torch.linalg.cholesky(self.covariance).T


class Predictor:
    """A trained network, ready for curves.

    Parameters
    ----------
    trained:
        Its weights, and the scan it is made for.
    """

    def __init__(self, trained: TrainedCurveNetwork) -> None:
        self.network: CurveNetwork = trained.network()
        self.setup = Setup(trained.config.scan, "network")

    def __call__(self, curve: Curve) -> Prediction:
        """Predict a layer from a curve whose angles are right (:func:`centred`).

        Angles of the network's scan that the curve does not cover are continued: by the counts at its ends, and by
        curves of layers that look alike where it is known, each then by the curve of the layer predicted from that. The
        layer that explains the measured angles best is the answer, and the next best are further starts for a fit.

        Raises
        ------
        InputError
            A curve of another reflection, beam or wavelength.
        """
        self.check_reflection(curve)
        counts = on_angles(curve, self.setup.blank.two_theta)
        known = self.covered(curve)
        if known.all():
            return self._answer(counts)
        found: list[tuple[float, int, Prediction]] = []
        for fill in (counts, *self._alike(counts, known)):
            for _ in range(_CONTINUED):
                prediction = self._answer(np.where(known, counts, fill))
                its_own = alone(curve, prediction)
                found.append((log_misfit(curve, its_own), len(found), prediction))
                fill = self._continued(curve, its_own)
        best = _distinct([prediction.mean for _, _, prediction in sorted(found)])
        return replace(min(found)[2], others=tuple(best[1 : 1 + _OTHERS]))

    @cached_property
    def _library(self) -> Float[np.ndarray, "layer angle"]:
        """Reflectivities of layers of the prior, at the network's angles."""
        profile = Implanted(COARSER * self.setup.step)
        drawn = draw_implanted(_LIBRARY, torch.Generator().manual_seed(0))
        layers = (layers_of(profile, to_free(one)) for one in drawn)
        return np.array([forward.reflectivity(self.setup.theta, one, self.setup.reflection) for one in layers])

    def _alike(
        self, counts: Float[np.ndarray, "angle"], known: Bool[np.ndarray, "angle"]
    ) -> list[Float[np.ndarray, "angle"]]:
        """Curves of the library that look like one at its known angles, on its scale."""
        floor = np.quantile(counts[known], 0.02) + 1.0
        shapes = self._library * (counts[known].max() / self._library[:, known].max(axis=1, keepdims=True))
        distance = np.mean((look(shapes[:, known], floor) - look(counts[known], floor)) ** 2, axis=1)
        return [shapes[number] + floor for number in np.argsort(distance)[:_ALIKE]]

    def covered(self, curve: Curve) -> Bool[np.ndarray, "angle"]:
        """Which angles of the network's scan lie within a curve's; all, where few do not."""
        ours = self.setup.blank.two_theta
        found: np.ndarray = (ours > curve.two_theta[0] - _BEYOND) & (ours < curve.two_theta[-1] + _BEYOND)
        return found | (found.mean() > 1 - _LITTLE)

    def _answer(self, counts: Float[np.ndarray, "angle"]) -> Prediction:
        """Let the network read counts at all of its angles."""
        with torch.no_grad():
            answer = self.network(what_is_seen(torch.from_numpy(counts).float()[None]))
        return Prediction(answer.mean[0].double(), covariance_of(answer)[0])

    def _continued(self, curve: Curve, answer: Solution) -> Float[np.ndarray, "angle"]:
        """Expected counts of a layer at all of the network's angles."""
        every = replace(self.setup.blank, half_width=curve.half_width, lorentzian=curve.lorentzian)
        return exact_model(every, self.setup.reflection).expected(answer.numbers)

    def check_reflection(self, curve: Curve) -> None:
        """Refuse a curve of another reflection or wavelength than the network's.

        Raises
        ------
        InputError
            It is of another.
        """
        ours, theirs = self.setup.reflection, reflection_of(curve)
        for name, one, other in (
            ("lattice spacing", ours.spacing, theirs.spacing),
            ("wavelength", ours.wavelength, theirs.wavelength),
        ):
            if abs(one / other - 1) > _ROUNDING:
                raise InputError(
                    f"{curve.title}: these weights need a {name} of {one:.4f} angstrom; the curve has {other:.4f}; "
                    "train with rocking.train.scan, or use `madpipe rocking fit`"
                )


def _distinct(layers: list[Float[Tensor, "7"]]) -> list[Float[Tensor, "7"]]:
    """Layers that are not close to an earlier one."""
    kept: list[Float[Tensor, 7]] = []
    for free in layers:
        if all(float((from_free(free) - from_free(other)).abs().div(_RANGES).max()) > _CLOSE for other in kept):
            kept.append(free)
    return kept


def on_angles(curve: Curve, two_theta: np.ndarray) -> np.ndarray:
    """Counts at the angles of a network's scan: means where the curve is finer, else those of the nearest angle.

    Beyond the curve they are means of the outermost ones.
    """
    step = np.diff(two_theta).mean()
    edges = np.append(two_theta - step / 2, two_theta[-1] + step / 2)
    inside = np.histogram(curve.two_theta, edges)[0]
    sums = np.histogram(curve.two_theta, edges, weights=curve.data)[0]
    nearest = np.abs(curve.two_theta[:, None] - two_theta).argmin(axis=0)
    found = np.where(inside > 1, sums / np.maximum(inside, 1), curve.data[nearest])
    found[two_theta < curve.two_theta[0] - step] = curve.data[:_OUTERMOST].mean()
    found[two_theta > curve.two_theta[-1] + step] = curve.data[-_OUTERMOST:].mean()
    return found


def log_misfit(curve: Curve, answer: Solution) -> float:
    """Mean square of log10 of counts over an answer's, which a prediction's errors do not blow up as chi-square."""
    return float(np.mean(np.log10((curve.data + 1) / (np.maximum(answer.expected, 0.0) + 1)) ** 2))


@keeping
def infer(
    curve: Curve,
    predictor: Predictor,
    config: RockingInferConfig,
    fit: RockingFitConfig,
    generator: torch.Generator,
) -> LayerProfile:
    """Answer a curve by the network, refined by a fit from its prediction on, if asked for.

    Parameters
    ----------
    curve:
        Counts.
    predictor:
        The network.
    config, fit:
        Whether to refine; the fit that does.
    generator:
        Draws starts and samples.

    Raises
    ------
    InputError
        A curve without the substrate's peak; one of another reflection or wavelength than the network's, where the
        prediction alone is asked for.
    """
    curve = centred(curve, reflection_of(curve))
    try:
        predictor.check_reflection(curve)
    except InputError as error:
        if not config.refine:
            raise
        warn(f"{error}; the answer is a fit from a library of curves, without the network")
        answer = fit_implanted(curve, reflection_of(curve), fit, generator)
        return report(curve, answer, "library, refined", drawn(curve, answer, fit, generator))
    prediction = predictor(curve)
    _tell_missing(predictor, curve)
    if config.refine:
        answer = refined(curve, prediction, config, fit, generator)
        return report(curve, answer, "network, refined", drawn(curve, answer, fit, generator))
    free = prediction.draw(_ALONE, generator)
    samples = Samples(free, torch.full((_ALONE,), 1 / _ALONE, dtype=free.dtype))
    return report(curve, alone(curve, prediction), "network", samples)


def _tell_missing(predictor: Predictor, curve: Curve) -> None:
    """Say where a curve ends before the network's scan."""
    missing = float(np.mean(~predictor.covered(curve)))
    if missing > 0:
        first, last = predictor.setup.blank.two_theta[[0, -1]]
        warn(
            f"the scan covers {curve.two_theta[0]:.2f} to {curve.two_theta[-1]:.2f} degrees, the network's scan "
            f"{first:.2f} to {last:.2f}; the network read {100 * missing:.0f} % of its angles from the curve of its "
            "own answer; a refined answer and its errors are of the measured angles alone."
        )


def refined(
    curve: Curve,
    prediction: Prediction,
    config: RockingInferConfig,
    fit: RockingFitConfig,
    generator: torch.Generator,
) -> Solution:
    """Fit from a prediction on, and from others and what is drawn from its distribution where that fails.

    A curve that does not cover the network's scan has several layers that nearly explain it: the fit goes on until
    chi-square is within two standard errors of 1, from up to twice as many starts.
    """
    starts = [prediction.mean, *prediction.others, *prediction.draw(config.draws, generator)]
    if prediction.others:
        within = 1 + 2 * math.sqrt(2 / len(curve.data))
        fit = fit.model_copy(update={"good_chi2": min(fit.good_chi2, within), "starts": 2 * fit.starts})
    return fit_implanted(curve, reflection_of(curve), fit, generator, [one.numpy() for one in starts])


def alone(curve: Curve, prediction: Prediction) -> Solution:
    """The prediction's own curve, its scale and background found, to judge it by."""
    model = exact_model(curve, reflection_of(curve))
    free = prediction.mean.numpy()
    numbers = np.concatenate([free, first_levels(model, curve, free)])
    expected, jacobian = model.expected_with_derivatives(numbers)
    spread = variance(expected, curve.relative_error)
    return Solution(model, numbers, expected, jacobian, spread, pearson(curve, expected), 1, math.nan)
