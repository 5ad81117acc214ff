"""Search from several starts for the particle that explains an energy series best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madpipe.physics.marquardt import minimise
from madpipe.saxs.anomalous.problem import AnomalousProblem
from madpipe.saxs.anomalous.starts import Start, exchanged
from madpipe.saxs.fit.problem import Evaluated

_DOUBT = 0.02  # relative error of the curves that stands for all doubts at first
_ROUGHLY = 60.0  # of chi-square above the best, of ends that are then refined
_REFINED = 4  # at most
_TOLERANCE = 1e-7
_GRAIN = 1e-9  # free numbers are rounded to it: what processors round differently must not grow
_APART = 5.0  # standard deviations of a length or share between solutions that are told as two
_RIVALS = 6.0  # of chi-square above the best, of solutions that are told beside it


@dataclass(frozen=True)
class FoundSeries:
    """Best answer, and others that explain the curves as well."""

    best: Evaluated
    others: tuple[Evaluated, ...]
    starts: int  # that were tried


def search(problem: AnomalousProblem, starts: Sequence[Start], evaluations: int) -> FoundSeries:
    """Minimise over lengths and shares from every start, then over everything from the ends that are best.

    Parameters
    ----------
    problem:
        What to explain.
    starts:
        Values of lengths and shares.
    evaluations:
        For each start.
    """
    rough = problem.roughly(_DOUBT)
    begun = sorted((_ended(rough, start, evaluations) for start in starts), key=lambda one: one.deviance)
    again = [one for start in begun[:1] for one in exchanged(rough, rough.unknowns.natural(start.numbers))]
    begun = sorted([*begun, *(_ended(rough, start, evaluations) for start in again)], key=lambda one: one.deviance)
    chosen = _apart(rough, begun, _ROUGHLY * max(begun[0].deviance / len(problem.data), 1.0))[:_REFINED]
    ends = [_ended(problem, rough.unknowns.natural(one.numbers), evaluations) for one in chosen]
    ends.sort(key=lambda one: one.deviance)
    return FoundSeries(ends[0], tuple(_apart(problem, ends, _RIVALS)[1:]), len(begun))


def refined(problem: AnomalousProblem, start: Start, evaluations: int) -> Evaluated:
    """Minimise over everything from one start."""
    return _ended(problem, start, evaluations)


def _apart(problem: AnomalousProblem, ends: Sequence[Evaluated], above: float) -> list[Evaluated]:
    """Ends that are solutions of their own and not worse than the best by more, the best first."""
    kept: list[Evaluated] = []
    for one in ends:
        if one.deviance < ends[0].deviance + above and not any(_is_near(problem, one, known) for known in kept):
            kept.append(one)
    return kept


def _ended(problem: AnomalousProblem, start: Start, evaluations: int) -> Evaluated:
    """Where a search from one start ends."""
    farthest = np.array([one.farthest for one in problem.unknowns.moved])
    numbers = problem.unknowns.numbers(start)
    return minimise(problem.evaluated, numbers, evaluations, _TOLERANCE, farthest, _GRAIN, damping=0.1)


def _is_near(problem: AnomalousProblem, one: Evaluated, other: Evaluated) -> bool:
    """Whether two ends are one solution: no length or share is farther off than errors go."""
    shown = [one.kind in ("shape", "share") for one in problem.unknowns.moved]
    apart = np.abs(one.numbers - other.numbers)
    errors = np.sqrt(np.diag(np.linalg.pinv(other.normal, rcond=1e-12, hermitian=True)))
    return bool((apart <= np.maximum(_APART * errors, 1e-3))[shown].all())
