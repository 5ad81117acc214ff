"""The network's answer to curves: probabilities of shapes, parameters with covariance, whether it knows the kind."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.saxs.network.classes import CLASSES, NAMES, ShapeClass
from madpipe.saxs.network.design import Answer
from madpipe.saxs.network.features import Gridded, gridded, least_level, seen, stacked
from madpipe.saxs.network.foreign_head import told
from madpipe.saxs.network.novelty import distance, known_share
from madpipe.saxs.network.particles import TO_PER_CM
from madpipe.saxs.network.weights import TrainedShapeNetwork

_CHUNK = 256
_RARE = 10  # so many times rarer than a foreign score a distance of the features must be to count
_USUAL = (1.5, 8.0)  # of ln q: spans that the network has seen
_MOST_WIDTH = 0.6  # of the sizes, in a start


@dataclass(frozen=True)
class ParameterGuess:
    """Distribution of a class's parameters: Gaussians of ln lengths, arsinh contrast_ratio, ln of the rest, mixed."""

    model: str  # name of the form factor
    names: tuple[str, ...]  # lengths [angstrom], numbers, scale = volume fraction times contrast^2 [1e-12/angstrom^4]
    shares: Float[np.ndarray, "mixture"]
    means: Float[np.ndarray, "mixture parameter"]
    covariances: Float[np.ndarray, "mixture parameter parameter"]
    background: float  # least level of the curve, in its unit

    def starts(self, count: int, generator: torch.Generator) -> list[dict[str, float]]:
        """Give values for a fit to start from: the means, the likelier first, then draws of the distribution.

        Parameters
        ----------
        count:
            How many.
        generator:
            Of the draws.

        Returns
        -------
        :
            Natural values by name, and ``background``.
        """
        order = np.argsort(-self.shares, kind="stable")
        rows = [self.means[place] for place in order]
        for _ in range(max(count - len(rows), 0)):
            place = int(torch.multinomial(torch.from_numpy(self.shares), 1, generator=generator))
            normal = torch.randn(len(self.names), generator=generator, dtype=torch.float64).numpy()
            rows.append(self.means[place] + np.linalg.cholesky(self.covariances[place]) @ normal)
        return [self._natural(row) for row in rows[:count]]

    def _natural(self, row: Float[np.ndarray, "parameter"]) -> dict[str, float]:
        """Values without logarithms."""
        undo = {"contrast_ratio": math.sinh}
        found = {name: undo.get(name, math.exp)(float(value)) for name, value in zip(self.names, row, strict=True)}
        if "pd" in found:
            found["pd"] = min(found["pd"], _MOST_WIDTH)
        return {**found, "background": self.background}


@dataclass(frozen=True)
class ShapePrediction:
    """What the network says of one curve."""

    probabilities: Mapping[str, float]  # of the classes, the most probable first; calibrated on simulations
    of_class: Mapping[str, ParameterGuess]  # in the same order
    foreign: float  # share of known curves that look less foreign: near 1, of no class
    is_foreign: bool
    note: str  # what the network has not seen in its training, else empty


class Predictor:
    """A trained network, ready for curves.

    Parameters
    ----------
    trained:
        Its weights and calibration.
    foreign:
        Share of known curves from which on a curve counts as foreign.
    """

    def __init__(self, trained: TrainedShapeNetwork, foreign: float = 0.99) -> None:
        self.network, self.head = trained.network(), trained.foreign_head()
        self.calibration, self.config, self.limit = trained.calibration, trained.config, foreign

    def __call__(self, curves: Curves) -> list[ShapePrediction]:
        """Answer each curve of a record on its own.

        Raises
        ------
        InputError
            A curve with fewer than eight points with q > 0 and sigma > 0.
        """
        grids = [self._gridded(curves, number) for number in range(len(curves.intensity))]
        found: list[ShapePrediction] = []
        for begin in range(0, len(grids), _CHUNK):
            found += self.of_grids(stacked(grids[begin : begin + _CHUNK]))
        return found

    def _gridded(self, curves: Curves, number: int) -> Gridded:
        """Bring one curve on its grid; points without a finite sigma are left out."""
        one, names = slice(number, number + 1), curves.names.splitlines()
        name = names[number] if number < len(names) else f"curve {number + 1}"
        return gridded(
            curves.q,
            curves.intensity[one],
            curves.sigma[one],
            dq=curves.dq,
            slit_length=curves.slit_length,
            absolute=bool(curves.absolute),
            name=name,
        )

    def of_grids(self, grids: Gridded) -> list[ShapePrediction]:
        """Answer curves on their grids."""
        prepared = seen(grids, slopes=self.config.slopes, scale=self.config.scale)
        with torch.no_grad():
            answer = self.network(type(prepared)(*(one.float() for one in prepared)))
        logits = answer.logits.double() / self.calibration.temperature
        for name in self.config.left_out:
            logits[:, NAMES.index(name)] = -torch.inf
        probabilities = logits.softmax(1).numpy()
        with torch.no_grad():
            shares = known_share(self.head(told(answer)), self.calibration.scores).numpy()
        far = known_share(distance(answer.common, self.calibration), self.calibration.distances).numpy()
        backgrounds = torch.exp(least_level(grids)).numpy()
        first, shift = prepared.first.double().numpy(), prepared.shift.double().numpy()
        return [
            self._prediction(
                answer,
                number,
                probabilities[number],
                (first[number], shift[number]),
                float(level),
                share,
                away,
                _note(grids, number),
            )
            for number, (level, share, away) in enumerate(zip(backgrounds, shares, far, strict=True))
        ]

    def _prediction(
        self,
        answer: Answer,
        number: int,
        probabilities: Float[np.ndarray, "class"],
        origin: tuple[float, float],
        background: float,
        share: float,
        far: float,
        note: str,
    ) -> ShapePrediction:
        """Put together what is said of one curve."""
        order = np.argsort(-probabilities, kind="stable")
        return ShapePrediction(
            {NAMES[place]: float(probabilities[place]) for place in order},
            {
                NAMES[place]: self._guess(CLASSES[place], int(place), answer, number, origin, background)
                for place in order
            },
            float(share),
            bool(share > self.limit or far > 1 - (1 - self.limit) / _RARE),
            note,
        )

    def _guess(
        self, shape: ShapeClass, place: int, answer: Answer, number: int, origin: tuple[float, float], background: float
    ) -> ParameterGuess:
        """Parameters of one class, their units taken back."""
        count, lengths = len(shape.parameters), len(shape.lengths)
        unit = self.network.unit[place, :count].double()
        means = answer.mean[number, place, :, :count].double() * unit + self.network.centre[place, :count].double()
        roots = answer.root[number, place, :, :count, :count].double()
        covariances = torch.cholesky_inverse(roots) * unit[:, None] * unit
        means[:, :lengths] -= origin[0]
        means[:, -1] += origin[1] + 3 * origin[0] - math.log(TO_PER_CM)
        shares = answer.shares[number, place].double().exp()
        return ParameterGuess(
            shape.model, shape.parameters, shares.numpy(), means.numpy(), covariances.numpy(), background
        )


def _note(grids: Gridded, number: int) -> str:
    """Say where a curve is unlike those that the network was trained with."""
    span = float(grids.step[number] * (int(grids.measured[number].nonzero()[-1]) + 1))
    if not _USUAL[0] <= span <= _USUAL[1]:
        return (
            f"the network was trained with q_max/q_min from {math.exp(_USUAL[0]):.0f} to {math.exp(_USUAL[1]):.0f}; "
            f"this curve has {math.exp(span):.3g}; take its answer as a start for fits only"
        )
    return ""
