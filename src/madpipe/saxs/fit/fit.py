"""Fit of a model to curves, one by one, in a chain, or all together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.saxs.fit.answer import Answer, answer_of
from madpipe.saxs.fit.measured import Prepared
from madpipe.saxs.fit.problem import Measured, Problem
from madpipe.saxs.fit.search import Found, search
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.fit.starts import library
from madpipe.saxs.model import ParticleModel, model_named
from madpipe.saxs.records import ParticleFit

RIVALS = 6.0  # of chi-square above the best, of solutions that are told beside it
Start = Mapping[str, float]
_COARSE = 30.0  # of the largest dimension: the library's curves need no oscillations
_MARGIN = 1.5  # over a particle's size, by which it may grow in a search
_RESOLVED = 3  # starts whose oscillations the fine axis of a search resolves
_CHAINED = 3  # starts of a curve in a chain: its neighbour's answer, and the library's best


def fit_curves(
    curves: Curves, config: SaxsFitConfig, seed: int, starts: Sequence[Sequence[Start]] | None = None
) -> ParticleFit:
    """Fit a model.

    Parameters
    ----------
    curves:
        One or more.
    config:
        Model and search.
    seed:
        Of the library and of draws from the posterior.
    starts:
        Values to begin with, of each curve; else the library's best.

    Raises
    ------
    InputError
        No such model or parameter; too few points; a sigma that is no error.
    """
    model = model_named(config.model, None if config.spread == "none" else config.spread)
    _check_names(model, config)
    task = _Task(Prepared(curves, config), model, config, seed)
    count = len(curves.intensity)
    groups = [tuple(range(count))] if config.series == "global" else [(number,) for number in range(count)]
    told = starts or [[]] * len(groups)
    if config.series == "chained":
        found = _chained(task, groups, told)
    else:
        found = [
            task.searched(group, given) for group, given in progress(list(zip(groups, told, strict=True)), "curves")
        ]
    draws = [np.random.default_rng([seed, number]) for number in range(len(found))]
    answers = [answer_of(one.problem, one.found, config.samples, own) for one, own in zip(found, draws, strict=True)]
    return _record(curves, config, [one for end in found for one in end.problem.curves], answers)


@dataclass(frozen=True)
class _Ended:
    """A search's end, and what it was of."""

    problem: Problem
    found: Found


@dataclass(frozen=True)
class _Task:
    """What every search of a fit shares."""

    prepared: Prepared
    model: ParticleModel
    config: SaxsFitConfig
    seed: int

    def problem(self, group: Sequence[int], largest: float) -> Problem:
        """Some curves under one set of parameters, for particles of at most a size."""
        config = self.config
        curves = [self.prepared.measured(number, largest) for number in group]
        return Problem(curves, self.model, config.distribution, config.contrast, config.fix)

    def searched(self, group: Sequence[int], given: Sequence[Start], most: int | None = None) -> _Ended:
        """Search from told starts, then from the library's best; the fine axis follows the particles' size."""
        config = self.config
        coarse = self.problem(group, self.prepared.largest / _COARSE)
        drawn = list(islice(_apart(library(coarse, config.library, self.seed)), config.starts))
        starts = [*given, *drawn][: most or config.starts]
        problem = self.problem(group, _MARGIN * max(coarse.largest(one) for one in starts[:_RESOLVED]))
        found = search(problem, starts, len(starts), config.evaluations, RIVALS)
        while self.prepared.is_smeared and (size := problem.largest(problem.natural(found.best.numbers))) > 0:
            wanted = self.problem(group, _MARGIN * size)
            if len(wanted.curves[0].fine) == len(problem.curves[0].fine):
                break
            enough = len(wanted.curves[0].fine) < len(problem.curves[0].fine)
            best = problem.natural(found.best.numbers)
            problem, tried = wanted, found.starts
            found = search(problem, [best], 1, config.evaluations, RIVALS)
            found = Found(found.best, found.others, tried + 1)
            if enough:
                break
        return _Ended(problem, found)


def _check_names(model: ParticleModel, config: SaxsFitConfig) -> None:
    """Refuse values of what the model does not have."""
    known = [one.name for one in model.parameters()]
    if strange := [name for name in config.fix if name not in known]:
        raise InputError(
            f"{config.model}: fix needs parameters of the model, {', '.join(known)}; {strange[0]} came; rename it."
        )
    regions = [term.prefix + region for term in model.terms for region in term.regions]
    if strange := [name for name in config.contrast if name not in regions]:
        raise InputError(
            f"{config.model}: contrast needs regions of the model, {', '.join(regions)}; {strange[0]} came; rename it."
        )
    for term in model.terms:
        told = [term.prefix + region in config.contrast for region in term.regions]
        if any(told) and not all(told):
            raise InputError(
                f"{config.model}: contrasts of all regions or of none are needed ({', '.join(regions)}); "
                f"{len(config.contrast)} came; give the rest, or fix a contrast_ratio."
            )


def _apart(drawn: Sequence[Start], factor: float = 1.1) -> Iterator[Start]:
    """Leave out starts that are nearly one that went before."""
    taken: list[Start] = []
    for one in drawn:
        near = (all(abs(one[k] - other[k]) < (factor - 1) * abs(one[k]) + 1e-9 for k in one) for other in taken)
        if not any(near):
            taken.append(one)
            yield one


def _chained(task: _Task, groups: Sequence[Sequence[int]], told: Sequence[Sequence[Start]]) -> list[_Ended]:
    """Fit each curve from its neighbour's answer, up and down the series, and keep the better."""
    ends = [task.searched(groups[0], told[0])]
    for group, given in progress(list(zip(groups[1:], told[1:], strict=True)), "curves, up"):
        ends.append(task.searched(group, [_values(ends[-1]), *given], most=_CHAINED))
    for number in progress(list(range(len(groups) - 2, -1, -1)), "curves, down"):
        problem = ends[number].problem
        again = search(problem, [_values(ends[number + 1])], 1, task.config.evaluations, RIVALS)
        if again.best.deviance < ends[number].found.best.deviance:
            ends[number] = _Ended(problem, replace(again, starts=ends[number].found.starts + 1))
    return ends


def _values(end: _Ended) -> Start:
    """Values of the parameters where a search ended."""
    return end.problem.natural(end.found.best.numbers)


def _record(curves: Curves, config: SaxsFitConfig, every: Sequence[Measured], answers: Sequence[Answer]) -> ParticleFit:
    """Put the answers into one record."""
    calculated, sigma = np.full(curves.intensity.shape, np.nan), np.full(curves.intensity.shape, np.inf)
    models = [model for one in answers for model in one.models]
    for row, (one, model) in enumerate(zip(every, models, strict=True)):
        calculated[row, one.rows], sigma[row, one.rows] = model, one.sigma
    names = curves.names.split("\n")
    said = [f"{name}: {one.verdict}" for name, one in zip(names, answers, strict=False)]
    first = answers[0]
    return ParticleFit(
        q=curves.q,
        intensity=curves.intensity,
        sigma=sigma,
        calculated=calculated,
        curve_names=curves.names,
        model=config.model,
        method=f"variable projection, {config.series}",
        names="\n".join(first.names),
        units="\n".join(first.units),
        values=np.array([one.values for one in answers]),
        errors=np.array([one.errors for one in answers]),
        quantiles=np.array([one.quantiles for one in answers]),
        states=np.array([one.states for one in answers]),
        correlation=np.array([one.correlation for one in answers]),
        chi2=np.array([chi2 for one in answers for chi2 in one.chi2]),
        degrees_of_freedom=np.array([one.dof for one in answers]),
        runs=np.array([value for one in answers for value in one.runs]),
        longest_run=np.array([value for one in answers for value in one.longest_run]),
        error_scale=np.array([one.error_scale for one in answers]),
        starts=np.array([one.starts for one in answers]),
        explained=np.array([int(one.explained) for one in answers]),
        verdicts="\n".join(said),
        rivals="\n".join(f"{name}: {line}" for name, one in zip(names, answers, strict=False) for line in one.rivals),
        energy=curves.energy,
        time=curves.time,
        warnings=warned.kept(curves.warnings),
    )
