"""The network's answer to a curve, alone or as the start of a fit."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping
from madpipe.rocking.config import RockingFitConfig, RockingInferConfig
from madpipe.rocking.fit.draws import Samples
from madpipe.rocking.fit.fit import centred, drawn, report
from madpipe.rocking.fit.implanted import exact_model, fit_implanted
from madpipe.rocking.fit.search import Solution, first_levels, pearson
from madpipe.rocking.model import reflection_of, variance
from madpipe.rocking.network.design import CurveNetwork, covariance_of
from madpipe.rocking.network.exposures import what_is_seen
from madpipe.rocking.network.weights import TrainedCurveNetwork
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.simulate.scan import Setup

_ROUNDING = 1e-3  # relative, of spacing and wavelength
_ALONE = 800  # layers drawn from a prediction


@dataclass(frozen=True)
class Prediction:
    """What the network says of one curve."""

    mean: Float[Tensor, "7"]  # free numbers
    covariance: Float[Tensor, "7 7"]

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

        Raises
        ------
        InputError
            A curve of another reflection, beam or wavelength, or one that covers too little.
        """
        self._check_fits(curve)
        counts = torch.from_numpy(on_angles(curve, self.setup.blank.two_theta)).float()
        with torch.no_grad():
            answer = self.network(what_is_seen(counts[None]))
        return Prediction(answer.mean[0].double(), covariance_of(answer)[0])

    def _check_fits(self, curve: Curve) -> None:
        """Refuse a curve that the network was not made for."""
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
        first, last = self.setup.blank.two_theta[[0, -1]]
        if curve.two_theta[0] > first + 0.05 or curve.two_theta[-1] < last - 0.05:
            raise InputError(
                f"{curve.title}: these weights need 2 theta from {first:.2f} to {last:.2f} degrees; the curve has "
                f"{curve.two_theta[0]:.2f} to {curve.two_theta[-1]:.2f}; train with rocking.train.scan.two_theta, or "
                "use `madpipe rocking fit`"
            )


def on_angles(curve: Curve, two_theta: np.ndarray) -> np.ndarray:
    """Counts at the angles of a network's scan: means where the curve is finer, else those of the nearest angle."""
    step = np.diff(two_theta).mean()
    edges = np.append(two_theta - step / 2, two_theta[-1] + step / 2)
    inside = np.histogram(curve.two_theta, edges)[0]
    sums = np.histogram(curve.two_theta, edges, weights=curve.data)[0]
    nearest = np.abs(curve.two_theta[:, None] - two_theta).argmin(axis=0)
    return np.where(inside > 1, sums / np.maximum(inside, 1), curve.data[nearest])


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
        A curve that the network was not made for, or without the substrate's peak.
    """
    curve = centred(curve, reflection_of(curve))
    prediction = predictor(curve)
    if config.refine:
        answer = refined(curve, prediction, config, fit, generator)
        return report(curve, answer, "network, refined", drawn(curve, answer, fit, generator))
    free = prediction.draw(_ALONE, generator)
    samples = Samples(free, torch.full((_ALONE,), 1 / _ALONE, dtype=free.dtype))
    return report(curve, alone(curve, prediction), "network", samples)


def refined(
    curve: Curve,
    prediction: Prediction,
    config: RockingInferConfig,
    fit: RockingFitConfig,
    generator: torch.Generator,
) -> Solution:
    """Fit from a prediction on, and from what is drawn from its distribution where that fails."""
    starts = [prediction.mean, *prediction.draw(config.draws, generator)]
    return fit_implanted(curve, reflection_of(curve), fit, generator, [one.numpy() for one in starts])


def alone(curve: Curve, prediction: Prediction) -> Solution:
    """The prediction's own curve, its scale and background found, to judge it by."""
    model = exact_model(curve, reflection_of(curve))
    free = prediction.mean.numpy()
    numbers = np.concatenate([free, first_levels(model, curve, free)])
    expected, jacobian = model.expected_with_derivatives(numbers)
    spread = variance(expected, curve.relative_error)
    return Solution(model, numbers, expected, jacobian, spread, pearson(curve, expected), 1, math.nan)
