"""Walks along the floor of a valley of chi-square: profiles of every free number, all walked at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.saxs.fit.descent import Box
from madpipe.saxs.fit.problem import Evaluated, Problem

_RISE = 1.5  # of the root of chi-square's excess, wanted from point to point
_END = 9.0  # chi-square above the best at which a walk ends
_TOO_MUCH = 1.6  # times the rise that was wanted
_STEPS = 14  # of a walk to one side
_SHORTER = 0.35  # a step that left the floor is tried again so much shorter
_SHORTEST = 0.01  # of the step that the curvature promises
_MOST, _LEAST = 0.7, 1e-4  # length of its steps, of a free number
_SETTLING = 3  # trials with the walk's own number held
_FLOOR = 1e-9  # curvature relative to the largest, below which a number counts as free


@dataclass(frozen=True)
class _Walk:
    """One walk: which number it moves, to which side, where it is."""

    number: int
    sign: float
    at: Evaluated
    share: float = 1.0  # of the step that the curvature promises
    ended: bool = False


def traced(problem: Problem, begin: Evaluated, scale: float) -> list[Evaluated]:
    """Find points on the floor of the valley on all sides of a solution.

    Parameters
    ----------
    problem:
        What is explained; a rough one will do.
    begin:
        The solution.
    scale:
        Factor of the data's errors.

    Returns
    -------
    :
        Points whose chi-square, over the square of the scale, is less than 9 above the solution's.

    References
    ----------
    Venzon and Moolgavkar, Appl. Stat. 37, 87 (1988), eq. 1 (profiles, from their tangents).
    """
    box = Box(*problem.box())
    walks = [_Walk(number, sign, begin) for number in range(len(begin.numbers)) for sign in (-1.0, 1.0)]
    found: list[Evaluated] = []
    for _ in range(_STEPS):
        moving = [one for one in walks if not one.ended]
        if not moving:
            break
        walks = _stepped(problem, moving, begin.deviance, box, scale)
        found += [one.at for one in walks if _above(one.at, begin.deviance, scale) < _END and one.at is not begin]
    return found


def _above(one: Evaluated, least: float, scale: float) -> float:
    """Chi-square above the solution's, over the square of the scale."""
    return (one.deviance - least) / scale**2


def _stepped(problem: Problem, walks: Sequence[_Walk], least: float, box: Box, scale: float) -> list[_Walk]:
    """Take one step in every walk, then settle the other numbers."""
    places = np.array([_next(one, least, box, scale) for one in walks])
    best = problem.trials(places)
    for _ in range(_SETTLING):
        places = np.array([_settled(one, walk.number, box) for one, walk in zip(best, walks, strict=True)])
        best = [
            one if one.deviance <= other.deviance else other
            for one, other in zip(problem.trials(places), best, strict=True)
        ]
    return [_taken(walk, one, least, box, scale) for walk, one in zip(walks, best, strict=True)]


def _taken(walk: _Walk, one: Evaluated, least: float, box: Box, scale: float) -> _Walk:
    """Take a step that stayed on the floor; try a shorter one where it did not."""
    before, after = max(_above(walk.at, least, scale), 0.0), _above(one, least, scale)
    if not after < (np.sqrt(before) + _TOO_MUCH * _RISE) ** 2:
        shorter = walk.share * _SHORTER
        return replace(walk, share=shorter, ended=shorter < _SHORTEST)
    longer = min(1.0, walk.share / _SHORTER**0.5)
    return _Walk(walk.number, walk.sign, one, longer, _has_ended(one, walk, least, box, scale))


def _has_ended(one: Evaluated, walk: _Walk, least: float, box: Box, scale: float) -> bool:
    """Whether a walk is high above the valley, or at the end of its number's range."""
    place = one.numbers[walk.number]
    stuck = abs(place - walk.at.numbers[walk.number]) < _LEAST * _SHORTEST / 2
    at_end = not box.low[walk.number] < place < box.high[walk.number]
    return bool(stuck or at_end or not np.isfinite(one.deviance) or _above(one, least, scale) > _END)


def _others(one: Evaluated, number: int, right: np.ndarray) -> Float[np.ndarray, "number"]:
    """Solve the normal equations of all numbers but one; that one stays."""
    rest = np.arange(len(one.numbers)) != number
    found = np.zeros(len(one.numbers))
    steepest = float(np.diag(one.normal)[rest].max(initial=0.0))
    if steepest > 0:  # 0 where nothing scatters: no number matters
        normal = one.normal[np.ix_(rest, rest)]
        size = np.sqrt(np.diag(normal) + _FLOOR * steepest)
        unit = normal / np.outer(size, size) + 1e-6 * np.eye(len(size))
        found[rest] = np.linalg.solve(unit, right[rest] / size) / size
    return found


def _next(walk: _Walk, least: float, box: Box, scale: float) -> Float[np.ndarray, "number"]:
    """Where chi-square should have risen by the next level, along the tangent of the profile."""
    one, number = walk.at, walk.number
    tangent = -_others(one, number, one.normal[:, number])
    tangent[number] = 1.0
    curvature = max(float(tangent @ one.normal @ tangent) / scale**2, _FLOOR)
    slope = walk.sign * float(tangent @ one.slope) / scale**2
    above = max(_above(one, least, scale), 0.0)
    wanted = (np.sqrt(above) + _RISE) ** 2 - above
    length = (-slope + np.sqrt(max(slope**2 + curvature * wanted, 0.0))) / curvature
    step = walk.sign * walk.share * np.clip(length, _LEAST, _MOST) * tangent
    longest = np.abs(step).max()
    if longest > _MOST:
        step *= _MOST / longest
    place: np.ndarray = np.clip(one.numbers + step, box.low, box.high)
    return place


def _settled(one: Evaluated, number: int, box: Box) -> Float[np.ndarray, "number"]:
    """Move the other numbers to where chi-square is least, as far as a step may be."""
    step = -_others(one, number, one.slope) if np.isfinite(one.deviance) else np.zeros(len(one.numbers))
    longest = np.abs(step).max(initial=0.0)
    if longest > _MOST:
        step *= _MOST / longest
    place: np.ndarray = np.clip(one.numbers + step, box.low, box.high)
    return place
