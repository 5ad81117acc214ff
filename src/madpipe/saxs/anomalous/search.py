"""Search from several starts for the particle that explains an energy series best."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from madpipe.physics.marquardt import minimise
from madpipe.saxs.anomalous.problem import AnomalousProblem, EvaluatedSeries
from madpipe.saxs.anomalous.starts import Start, exchanged

_AGREE = 3  # starts that end alike end the search
_ALIKE, _ALIKE_DEVIANCE = 1e-4, 0.05  # relative difference of chi-square, or this difference
_TOLERANCE = 1e-7
_GRAIN = 1e-9  # free numbers are rounded to it: what processors round differently must not grow
_APART = 5.0  # standard deviations of a length or share between solutions that are told as two
_RIVALS = 6.0  # of chi-square above the best, of solutions that are told beside it


@dataclass(frozen=True)
class FoundSeries:
    """Best answer, and others that explain the curves as well."""

    best: EvaluatedSeries
    others: tuple[EvaluatedSeries, ...]
    starts: int  # that were tried


def search(problem: AnomalousProblem, starts: Iterable[Start], most: int, evaluations: int) -> FoundSeries:
    """Minimise from starts in turn until enough agree, then from the best one's mirror images.

    Parameters
    ----------
    problem:
        What to explain.
    starts:
        Values of lengths and shares, the most promising first.
    most:
        Starts at most, besides the mirror images.
    evaluations:
        For each start.
    """
    ends: list[EvaluatedSeries] = []
    for start, _ in zip(starts, range(most), strict=False):
        ends.append(_ended(problem, start, evaluations))
        if _agreeing(ends) >= min(_AGREE, most):
            break
    best = min(ends, key=lambda one: one.deviance)
    if most > 1:
        values = problem.unknowns.natural(best.numbers)
        ends += [_ended(problem, start, evaluations) for start in exchanged(problem, values)]
    ends.sort(key=lambda one: one.deviance)
    others: list[EvaluatedSeries] = []
    for one in ends[1:]:
        near = [_is_near(problem, one, known) for known in (ends[0], *others)]
        if one.deviance < ends[0].deviance + _RIVALS and not any(near):
            others.append(one)
    return FoundSeries(ends[0], tuple(others), len(ends))


def _ended(problem: AnomalousProblem, start: Start, evaluations: int) -> EvaluatedSeries:
    """Where a search from one start ends."""
    farthest = np.array([one.farthest for one in problem.unknowns.moved])
    numbers = problem.unknowns.numbers(start)
    return minimise(problem.evaluated, numbers, evaluations, _TOLERANCE, farthest, _GRAIN, damping=0.1)


def _is_near(problem: AnomalousProblem, one: EvaluatedSeries, other: EvaluatedSeries) -> bool:
    """Whether two ends are one solution: no length or share is farther off than errors go."""
    shown = [one.kind in ("shape", "share") for one in problem.unknowns.moved]
    apart = np.abs(one.numbers - other.numbers)
    errors = np.sqrt(np.diag(np.linalg.pinv(other.normal, rcond=1e-12, hermitian=True)))
    return bool((apart <= np.maximum(_APART * errors, 1e-3))[shown].all())


def _agreeing(ends: list[EvaluatedSeries]) -> int:
    """How many ends are as good as the best."""
    best = min(one.deviance for one in ends)
    return sum(one.deviance - best < max(_ALIKE * best, _ALIKE_DEVIANCE) for one in ends)
