"""Search from several starts for the parameters that explain curves best."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from madpipe.physics.marquardt import minimise
from madpipe.saxs.fit.problem import Evaluated, Problem

_AGREE = 3  # starts that end alike end the search
_ALIKE = 1e-4  # relative difference of chi-square, or
_ALIKE_DEVIANCE = 0.05  # this difference
_FARTHEST = 0.7  # change of a free number in a step: a factor of 2 of a length
_TOLERANCE = 1e-7
_GRAIN = 1e-8  # free numbers are rounded to it: what processors round differently must not grow
_APART = 0.05  # of free numbers: solutions farther apart are told as others


@dataclass(frozen=True)
class Found:
    """Best answer, and others that explain the curves as well."""

    best: Evaluated
    others: tuple[Evaluated, ...]
    starts: int  # that were tried


def search(
    problem: Problem, starts: Iterable[Mapping[str, float]], most: int, evaluations: int, rivals: float
) -> Found:
    """Minimise from starts in turn, until enough of them agree.

    Parameters
    ----------
    problem:
        What to explain.
    starts:
        Values of every parameter, the most promising first.
    most:
        Starts at most.
    evaluations:
        For each start.
    rivals:
        Chi-square above the best at which another solution still counts.
    """
    ends: list[Evaluated] = []
    for start, _ in zip(starts, range(most), strict=False):
        ends.append(
            minimise(problem.evaluated, problem.numbers(start), evaluations, _TOLERANCE, _FARTHEST, _GRAIN, damping=0.1)
        )
        if _agreeing(ends) >= min(_AGREE, most):
            break
    ends.sort(key=lambda one: one.deviance)
    others: list[Evaluated] = []
    for one in ends[1:]:
        near = [np.abs(one.numbers - known.numbers).max() < _APART for known in (ends[0], *others)]
        if one.deviance < ends[0].deviance + rivals and not any(near):
            others.append(one)
    return Found(ends[0], tuple(others), len(ends))


def _agreeing(ends: list[Evaluated]) -> int:
    """How many ends are as good as the best."""
    best = min(one.deviance for one in ends)
    return sum(one.deviance - best < max(_ALIKE * best, _ALIKE_DEVIANCE) for one in ends)
