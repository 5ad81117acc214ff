"""Descent of several searches at once within ranges: Levenberg and Marquardt's steps, evaluated together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.physics.marquardt import in_grains
from madpipe.saxs.fit.problem import Evaluated

_Numbers = Float[np.ndarray, "number"]
_DAMPING, _LEAST_DAMPING, _HOPELESS = 0.1, 1e-7, 1e8
_FARTHEST = 0.7  # change of a free number in a step: a factor of 2 of a length
_NOTHING = 1e-30  # slopes squared of a model whose scale is 0: nothing moves, and nothing divides by zero
_GRAIN = 1e-8  # free numbers are rounded to it: what processors round differently must not grow
_FLAT = 1e-12  # least curvature relative to the largest, in which a number still moves


@dataclass(frozen=True)
class Path:
    """One search on its way.

    Attributes
    ----------
    here:
        The best trial so far.
    damping, growth:
        Of its next step.
    settled:
        Whether no step helps any more.
    """

    here: Evaluated
    damping: float = _DAMPING
    growth: float = 2.0
    settled: bool = False


@dataclass(frozen=True)
class Box:
    """Ends of the numbers' ranges."""

    low: _Numbers
    high: _Numbers


def begun(trials: Sequence[Evaluated]) -> list[Path]:
    """Begin where trials have a value."""
    return [Path(one) for one in trials if np.isfinite(one.deviance)]


def advanced(
    paths: Sequence[Path], evaluate: Callable[[np.ndarray], list[Evaluated]], box: Box, tolerance: float
) -> list[Path]:
    """Try one step of each search that has not settled.

    Parameters
    ----------
    paths:
        Searches.
    evaluate:
        Evaluates several places at once.
    box:
        Ranges; a number at an end whose slope points outwards stays there.
    tolerance:
        Gain still promised at which a search has settled: the square of its distance to the least chi-square, in
        standard deviations.

    References
    ----------
    Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05 (the damping).
    """
    moving = [(place, _proposed(one, box)) for place, one in enumerate(paths) if not one.settled]
    found = list(paths)
    if not moving:
        return found
    trials = evaluate(np.array([in_grains(paths[place].here.numbers + step, _GRAIN) for place, step in moving]))
    for (place, step), trial in zip(moving, trials, strict=True):
        found[place] = _judged(paths[place], step, trial, box, tolerance)
    return found


def _inside(here: Evaluated, box: Box) -> np.ndarray:
    """Numbers that may move: none at an end whose slope points outwards."""
    kept = (here.numbers <= box.low + _GRAIN) & (here.slope > 0) | (here.numbers >= box.high - _GRAIN) & (
        here.slope < 0
    )
    inside: np.ndarray = ~kept
    return inside


def _proposed(path: Path, box: Box) -> _Numbers:
    """Next step, as long as a step may be, within the ranges."""
    here = path.here
    step, moves = np.zeros(len(here.numbers)), _inside(path.here, box)
    if moves.any():
        normal, slope = here.normal[np.ix_(moves, moves)], here.slope[moves]
        size = np.sqrt(np.diag(normal) + _FLAT * max(float(np.diag(normal).max()), _NOTHING))
        unit = normal / np.outer(size, size) + path.damping * np.eye(len(size))
        step[moves] = -np.linalg.solve(unit, slope / size) / size
    longest = float(np.abs(step).max(initial=0.0))
    if longest > _FARTHEST:
        step *= _FARTHEST / longest
    bounded: np.ndarray = np.clip(here.numbers + step, box.low, box.high) - here.numbers
    return bounded


def remaining(here: Evaluated, box: Box) -> float:
    """Gain that the undamped step promises: the squared distance to the least chi-square in standard deviations."""
    moves = _inside(here, box)
    if not moves.any():
        return 0.0
    normal, slope = here.normal[np.ix_(moves, moves)], here.slope[moves]
    size = np.sqrt(np.diag(normal))
    size = np.where(size > 0, size, 1.0)
    unit = normal / np.outer(size, size) + 1e-9 * np.eye(len(size))
    return float(slope / size @ np.linalg.solve(unit, slope / size))


def _judged(path: Path, step: _Numbers, trial: Evaluated, box: Box, tolerance: float) -> Path:
    """Take the step or not, and set the damping."""
    here = path.here
    promised = float(-step @ (2 * here.slope + here.normal @ step))
    gain = here.deviance - trial.deviance
    if gain > 0:
        share = min(2 * gain / max(promised, gain / 2) - 1, 1.0)
        damping = max(path.damping * max(1 / 5, 1 - share**3), _LEAST_DAMPING)
        return Path(trial, damping, 2.0, remaining(trial, box) < tolerance)
    settled = remaining(here, box) < tolerance or path.damping > _HOPELESS or not step.any()
    return replace(path, damping=path.damping * path.growth, growth=path.growth * 2, settled=settled)
