"""Search from several starts at once for the parameters that explain curves best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madpipe.saxs.fit.descent import Box, Path, advanced, begun
from madpipe.saxs.fit.problem import Evaluated, Problem

_ROUND = 5  # steps after which the worse half of the searches ends
_FEWEST = 4  # searches that go on to the end
_ALIKE = 0.02  # of free numbers: searches that are nearer to a better one end
_NEAR = 0.05  # squared distance to the least chi-square, in standard deviations, at which a rough search ends
_EXACT = 1e-7  # the same of a final one
_APART = 0.05  # of free numbers, and
_SIGMAS = 1.0  # standard deviations that solutions must be apart to be told as others


@dataclass(frozen=True)
class Found:
    """Best answer, and others that explain the curves as well."""

    best: Evaluated
    others: tuple[Evaluated, ...]
    starts: int  # that were tried


def survey(problem: Problem, starts: Sequence[Mapping[str, float]], evaluations: int) -> list[Evaluated]:
    """Descend from every start, the hopeless ones not to the end.

    Parameters
    ----------
    problem:
        What to explain; a rough one will do.
    starts:
        Values of every parameter.
    evaluations:
        For each start, at most.

    Returns
    -------
    :
        Where they ended, the best first; those that ended alike once. None where no start has a value.
    """
    box = Box(*problem.box())
    paths = begun(problem.trials(np.array([problem.inside(one) for one in starts])))
    ended: list[Path] = []
    for step in range(1, evaluations):
        if all(one.settled for one in paths):
            break
        paths = advanced(paths, problem.trials, box, _NEAR)
        paths = _without_doubles(paths)
        if step % _ROUND == 0 and len(paths) > _FEWEST:
            paths.sort(key=lambda one: one.here.deviance)
            keep = max(_FEWEST, len(paths) // 2)
            ended += [one for one in paths[keep:] if one.settled]
            paths = paths[:keep]
    return [one.here for one in sorted([*paths, *ended], key=lambda one: one.here.deviance)]


def _without_doubles(paths: Sequence[Path]) -> list[Path]:
    """Drop searches that have come to where a better one is."""
    kept: list[Path] = []
    for one in sorted(paths, key=lambda one: one.here.deviance):
        if all(np.abs(one.here.numbers - other.here.numbers).max(initial=0.0) > _ALIKE for other in kept):
            kept.append(one)
    return kept


def polished(problem: Problem, near: Sequence[np.ndarray], evaluations: int, rivals: float, starts: int) -> Found:
    """Descend to the end from where rough searches came.

    Parameters
    ----------
    problem:
        What to explain, exactly.
    near:
        Free numbers.
    evaluations:
        For each, at most.
    rivals:
        Chi-square above the best at which another solution still counts.
    starts:
        Of the rough search, to be told.

    Raises
    ------
    ValueError
        The model has a value at none of them.
    """
    box = Box(*problem.box())
    paths = begun(problem.trials(np.array([np.clip(one, box.low, box.high) for one in near])))
    if not paths:
        raise ValueError("numbers at which the model has a value are required; none came; start elsewhere")
    for _ in range(evaluations):
        if all(one.settled for one in paths):
            break
        paths = advanced(paths, problem.trials, box, _EXACT)
        least = min(one.here.deviance for one in paths)
        paths = [one for one in paths if not (one.settled and one.here.deviance > least + rivals)]
    ends = sorted((one.here for one in paths), key=lambda one: one.deviance)
    others: list[Evaluated] = []
    for one in ends[1:]:
        if one.deviance < ends[0].deviance + rivals and all(_differ(one, known) for known in (ends[0], *others)):
            others.append(one)
    return Found(ends[0], tuple(others), starts)


def _differ(one: Evaluated, other: Evaluated) -> bool:
    """Whether two ends are two solutions: apart as numbers, and by more than their errors along one valley."""
    apart = one.numbers - other.numbers
    return bool(
        np.abs(apart).max(initial=0.0) > _APART and apart @ (one.normal + other.normal) @ apart / 2 > _SIGMAS**2
    )
