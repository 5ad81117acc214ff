"""Search for the rates: many starts compared, the best refined, exchanged rates tried on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from madpipe.kinetics.rates.problem import Problem, Tried
from madpipe.physics import marquardt

_EVALUATIONS, _POLISH = 60, 40
_TOLERANCE = 1e-11  # gain relative to the deviance at which a search ends
_FARTHEST = 1.5  # largest change of a logarithm in a step
_SAME = 1e-2  # solutions closer than this in every logarithm, or than half an error, are one
_NEARLY = 50.0  # of the noise's variance: coarse solutions that much worse than the best are not polished
_ALLOWED = 9.0  # of the noise's variance: solutions that are so little worse are reported


@dataclass(frozen=True)
class Window:
    """Where the logarithms of the parameters are looked for."""

    low: Float[np.ndarray, " parameter"]
    high: Float[np.ndarray, " parameter"]

    @property
    def centre(self) -> Float[np.ndarray, " parameter"]:
        """Give its middle."""
        return (self.low + self.high) / 2


def window_of(names: Sequence[str], law: str, ages: Float[np.ndarray, " frame"]) -> Window:
    """Give the rates that the frames can show, from a fifth of 1 / the last time to five times 1 / the first."""
    later = np.unique(ages[ages > 0])
    first, last = (later[0], later[-1]) if len(later) else (1.0, 1.0)
    exponents = (np.log(0.3), 0.0) if law == "stretched" else (0.0, np.log(5.0))
    ends = [exponents if name == "n" else (np.log(0.2 / last), np.log(5 / first)) for name in names]
    return Window(np.array([low for low, _ in ends]), np.array([high for _, high in ends]))


def solutions(problem: Problem, window: Window, starts: int, refined: int, variance: float) -> list[Tried]:
    """Find all minima that the data allow, the least deviance first.

    Parameters
    ----------
    starts, refined:
        Points compared, and how many of them are refined.
    variance:
        Of the noise.
    """
    coarse = problem.coarse()
    extra = problem.numbers - len(window.low)
    points = qmc.scale(qmc.Halton(len(window.low), scramble=False).random(starts + 1)[1:], window.low, window.high)
    compared = [coarse.tried(np.concatenate([point, np.zeros(extra)])) for point in points]
    best = _distinct([_refined(coarse, one.numbers, _EVALUATIONS) for one in _apart(compared, refined)])
    best += [_refined(coarse, numbers, _EVALUATIONS) for numbers in _exchanged(best[0].numbers, len(window.low))]
    near = [one for one in _distinct(best) if one.deviance < best[0].deviance + _NEARLY * variance]
    polished = _distinct([_refined(problem, one.numbers, _POLISH) for one in near[:refined]])
    return [one for one in polished if one.deviance <= polished[0].deviance + _ALLOWED * variance]


def _refined(problem: Problem, start: np.ndarray, evaluations: int) -> Tried:
    """Least deviance from a start."""
    return marquardt.minimise(problem.tried, start, evaluations, _TOLERANCE, _FARTHEST, 0.0, 1e-2)


def _apart(compared: list[Tried], most: int) -> list[Tried]:
    """Take the best starts, none in another's neighbourhood."""
    taken: list[Tried] = []
    for one in sorted(compared, key=lambda trial: trial.deviance):
        if len(taken) < most and all(np.abs(one.numbers - other.numbers).max() > 1.0 for other in taken):
            taken.append(one)
    return taken


def _exchanged(numbers: np.ndarray, parameters: int) -> list[np.ndarray]:
    """Give the parameters with each pair of them exchanged."""
    found = []
    for first, second in combinations(range(parameters), 2):
        other = numbers.copy()
        other[[first, second]] = other[[second, first]]
        found.append(other)
    return found


def _distinct(found: list[Tried]) -> list[Tried]:
    """Keep one of those that ended in the same place, the least deviance first."""
    kept: list[Tried] = []
    for one in sorted(found, key=lambda trial: trial.deviance):
        errors = np.sqrt(np.diag(np.linalg.inv(one.normal)))
        if all((np.abs(one.numbers - other.numbers) > np.maximum(_SAME, errors / 2)).any() for other in kept):
            kept.append(one)
    return kept
