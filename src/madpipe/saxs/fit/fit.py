"""Fit of a model to curves, one by one, in a chain, or all together."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.saxs.fit.answer import Answer, answer_of
from madpipe.saxs.fit.measured import measured
from madpipe.saxs.fit.problem import Measured, Problem
from madpipe.saxs.fit.search import Found, search
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.fit.starts import library
from madpipe.saxs.model import ParticleModel, model_named
from madpipe.saxs.records import ParticleFit

RIVALS = 6.0  # of chi-square above the best, of solutions that are told beside it
Start = Mapping[str, float]


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
    every = measured(curves, config)
    groups = [every] if config.series == "global" else [[one] for one in every]
    answers: list[Answer] = []
    problems = [Problem(group, model, config.distribution, config.contrast, config.fix) for group in groups]
    if config.series == "chained":
        found = _chained(problems, config, seed, starts)
    else:
        told = starts or [[] for _ in problems]
        each = zip(problems, told, strict=False)
        found = [_searched(problem, given, config, seed) for problem, given in progress(list(each), "curves")]
    for problem, one in zip(problems, found, strict=True):
        answers.append(answer_of(problem, one, config.samples, np.random.default_rng(seed)))
    return _record(curves, config, every, answers)


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


def _searched(problem: Problem, given: Sequence[Start], config: SaxsFitConfig, seed: int) -> Found:
    """Search from told starts, then from the library's best."""
    own: Iterator[Start] = (start for drawn in [library(problem, config.library, seed)] for start in _apart(drawn))
    return search(problem, chain(given, own), config.starts, config.evaluations, RIVALS)


def _apart(drawn: Sequence[Start], factor: float = 1.1) -> Iterator[Start]:
    """Leave out starts that are nearly one that went before."""
    taken: list[Start] = []
    for one in drawn:
        near = (all(abs(one[k] - other[k]) < (factor - 1) * abs(one[k]) + 1e-9 for k in one) for other in taken)
        if not any(near):
            taken.append(one)
            yield one


def _chained(
    problems: Sequence[Problem], config: SaxsFitConfig, seed: int, starts: Sequence[Sequence[Start]] | None
) -> list[Found]:
    """Fit each curve from its neighbour's answer, up and down the series, and keep the better."""
    found = [_searched(problems[0], starts[0] if starts else [], config, seed)]
    for problem in progress(problems[1:], "curves, up"):
        before = problems[0].natural(found[-1].best.numbers)
        found.append(search(problem, chain([before], library(problem, config.library, seed)[:2]), 3, config.evaluations, RIVALS))
    for number in progress(list(range(len(problems) - 2, -1, -1)), "curves, down"):
        after = problems[0].natural(found[number + 1].best.numbers)
        again = search(problems[number], [after], 1, config.evaluations, RIVALS)
        if again.best.deviance < found[number].best.deviance:
            found[number] = Found(again.best, found[number].others, found[number].starts + 1)
    return found


def _record(curves: Curves, config: SaxsFitConfig, every: Sequence[Measured], answers: Sequence[Answer]) -> ParticleFit:
    """Put the answers into one record."""
    together = config.series == "global"
    calculated, sigma = np.full(curves.intensity.shape, np.nan), np.full(curves.intensity.shape, np.inf)
    models = [model for one in answers for model in one.models]
    for row, (one, model) in enumerate(zip(every, models, strict=True)):
        calculated[row, one.rows], sigma[row, one.rows] = model, one.sigma
    names = curves.names.split("\n")
    said = [f"{name}: {one.verdict}" for name, one in zip(names, answers * (len(names) if together else 1), strict=False)]
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
        verdicts="\n".join(said[:1] if together else said),
        rivals="\n".join(f"{name}: {line}" for name, one in zip(names, answers, strict=False) for line in one.rivals),
        energy=curves.energy,
        time=curves.time,
        warnings=warned.kept(curves.warnings),
    )
