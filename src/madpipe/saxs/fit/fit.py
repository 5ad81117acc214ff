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
from madpipe.saxs.fit.problem import Evaluated, Measured, Problem
from madpipe.saxs.fit.residuals import NOISE, excess
from madpipe.saxs.fit.search import Found, polished, survey
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.fit.starts import library
from madpipe.saxs.fit.together import together
from madpipe.saxs.intensities import ACCURACY
from madpipe.saxs.model import ParticleModel, model_named
from madpipe.saxs.records import ParticleFit

RIVALS = 6.0  # of chi-square above the best, of solutions that are told beside it
Start = Mapping[str, float]
_COARSE = 30.0  # of the largest dimension: the library's curves need no oscillations
_ROUGH, _FINE = 8.0, 1.7  # particle's size over the largest dimension that a fine axis resolves, while it spreads
_ROUGH_ACCURACY = 1e-3  # of averages over sizes in a rough search
_WORTH = 2.0  # times what a rival may be above the best, for what is rough
_RESOLVED = 3  # starts whose oscillations the fine axis of a search resolves
_BATCH = 12  # starts that are searched together
_MARGIN = 1.2  # by which a particle may outgrow its fine axis
_REFINED = 4  # fine axes at most
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
    answers = [
        answer_of(one.problem, one.rough, one.found, config.samples, own) for one, own in zip(found, draws, strict=True)
    ]
    return _record(curves, config, [one for end in found for one in end.problem.curves], answers)


def fit_together(records: Sequence[Curves], config: SaxsFitConfig, seed: int) -> ParticleFit:
    """Fit one set of parameters to curves of several records, each on its own q with its own resolution.

    Parameters
    ----------
    records:
        Such as contrasts or detectors of one sample.
    config:
        Model and search; ``own`` names what each curve has for itself.
    seed:
        Of the library and of draws.

    Raises
    ------
    InputError
        What :func:`fit_curves` refuses; no record.
    """
    return fit_curves(together(records), config.model_copy(update={"series": "global"}), seed)


@dataclass(frozen=True)
class _Ended:
    """A search's end, and what it was of."""

    problem: Problem
    found: Found
    rough: Problem  # the same curves, cheaper, for draws from the posterior


@dataclass(frozen=True)
class _Task:
    """What every search of a fit shares."""

    prepared: Prepared
    model: ParticleModel
    config: SaxsFitConfig
    seed: int

    def problem(
        self, group: Sequence[int], largest: float, bins_of: float | None = None, accuracy: float = ACCURACY
    ) -> Problem:
        """Some curves under one set of parameters, for particles of at most a size."""
        config = self.config
        curves = [self.prepared.measured(number, largest, bins_of) for number in group]
        own = frozenset(config.own) if len(curves) > 1 else frozenset()
        return Problem(curves, self.model, config.distribution, config.contrast, config.fix, accuracy, own)

    def searched(self, group: Sequence[int], given: Sequence[Start], most: int | None = None) -> _Ended:
        """Search roughly from told starts and the library's best, and exactly where that ends."""
        coarse = self.problem(group, self.prepared.largest / _COARSE)
        ends: list[np.ndarray] = []
        tried = 0
        for starts in self._batches(coarse, given, most or self.config.starts):
            tried += len(starts)
            size = max(coarse.largest(one) for one in starts[:_RESOLVED])
            rough = self.problem(group, size / _ROUGH, size, _ROUGH_ACCURACY)
            found = survey(rough, starts, self.config.evaluations)
            ends += [one.numbers for one in found if one.deviance < found[0].deviance + _WORTH * rivals_of(found[0])]
            if found and _is_enough(rough, found[0]):
                break
        return self._ended(group, coarse, ends, tried)

    def _batches(self, coarse: Problem, given: Sequence[Start], most: int) -> Iterator[list[Start]]:
        """Starts in batches: told ones first, alone, then the library's best."""
        if given:
            yield list(given[:most])
        left = most - len(given)
        if left <= 0 or not coarse.free:
            return
        drawn = _apart(library(coarse, self.config.library, self.seed))
        while left > 0 and (batch := list(islice(drawn, min(_BATCH, left)))):
            left -= len(batch)
            yield batch

    def _ended(self, group: Sequence[int], coarse: Problem, ends: Sequence[np.ndarray], tried: int) -> _Ended:
        """Search exactly, on a fine axis that follows the particles' size."""
        size = max(coarse.largest(coarse.natural(one)) for one in ends)
        for _ in range(_REFINED):
            problem = self.problem(group, size / _FINE)
            found = polished(problem, ends, self.config.evaluations, RIVALS, tried)
            size, before = problem.largest(problem.natural(found.best.numbers)), size
            if not self.prepared.is_smeared or before / _MARGIN**2 < size < before * _MARGIN:
                break
            ends = [found.best.numbers, *(one.numbers for one in found.others)]
        return _Ended(problem, found, self.problem(group, size / _ROUGH, size, _ROUGH_ACCURACY))


def rivals_of(best: Evaluated) -> float:
    """Chi-square above the best of rough ends that may still win."""
    return max(RIVALS, 0.05 * best.deviance)


def _is_enough(problem: Problem, best: Evaluated) -> bool:
    """Whether noise may explain what the best end misses, so that no further starts are needed."""
    return excess(best.deviance, max(sum(len(one.q) for one in problem.curves) - len(best.numbers), 1)) < NOISE


def _check_names(model: ParticleModel, config: SaxsFitConfig) -> None:
    """Refuse values of what the model does not have."""
    known = [one.name for one in model.parameters()]
    if strange := [name for name in config.own if name not in known]:
        raise InputError(
            f"{config.model}: own needs parameters of the model, {', '.join(known)}; {strange[0]} came; rename it."
        )
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
        near = [problem.numbers(_values(ends[number + 1]))]
        again = polished(problem, near, task.config.evaluations, RIVALS, 1)
        if again.best.deviance < ends[number].found.best.deviance:
            ends[number] = replace(ends[number], found=replace(again, starts=ends[number].found.starts + 1))
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
