"""One curve's fit as numbers: parameters, factors and what follows from them, with errors, states and words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri

from madpipe.saxs.fit.derived import UNITS, derived, derived_names, derived_slopes
from madpipe.saxs.fit.errors import Draws, Uncertainty, uncertainty, weighted_quantiles
from madpipe.saxs.fit.problem import Fitted, Problem
from madpipe.saxs.fit.residuals import excess, explains, explanation, longest_run_probability, runs_probability
from madpipe.saxs.fit.search import Found
from madpipe.saxs.intensities import is_absolute
from madpipe.saxs.records import AT_BOUND, FREE, HELD, OPEN

_SEEN = 2.0  # standard deviations from which a scale is told from 0
_END = 0.01  # of a range, in free numbers or as a share, that counts as its end
_LEVELS = (1.0, 3.84)  # of chi-square, of the inner and the outer interval
_TAILS = np.array([0.025, 0.16, 0.84, 0.975])


@dataclass(frozen=True)
class Answer:
    """One curve's fit."""

    names: list[str]
    units: list[str]
    values: np.ndarray
    errors: np.ndarray
    quantiles: Float[np.ndarray, "parameter 4"]
    states: np.ndarray
    correlation: Float[np.ndarray, "parameter parameter"]
    models: Sequence[np.ndarray]  # of each curve that was fitted together
    chi2: list[float]  # of each
    points: list[int]
    dof: int
    runs: list[float]
    longest_run: list[float]
    error_scale: float
    starts: int
    explained: bool
    verdict: str
    rivals: list[str]


def answer_of(problem: Problem, rough: Problem, found: Found, samples: int, generator: np.random.Generator) -> Answer:
    """Turn the end of a search into numbers with errors.

    Parameters
    ----------
    problem:
        What was fitted.
    rough:
        The same, computed more cheaply: for draws.
    found:
        Where the search ended.
    samples:
        Draws from the posterior at most.
    generator:
        Draws.
    """
    fitted = problem.fitted(found.best.numbers)
    dof = max(fitted.dof, 1)
    beyond = excess(fitted.deviance, dof)
    scale = math.sqrt(fitted.deviance / dof) if beyond > 2 else 1.0
    known = uncertainty(fitted, found.others, rough, scale, samples, generator)
    names, units, values, slopes = _everything(problem, fitted)
    covariance, quantiles = _spread(problem, fitted, known, values, slopes)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    residuals = [one.residuals for one in fitted.factors]
    runs, longest = [runs_probability(one) for one in residuals], [longest_run_probability(one) for one in residuals]
    states = _states(problem, fitted, known, len(names))
    verdict, explained = _verdict(fitted, dof, beyond, min(longest), names, states)
    verdict = "; ".join([verdict, *_unseen(names, values, errors)])
    return Answer(
        names,
        units,
        values,
        errors,
        quantiles,
        states,
        covariance / np.maximum(np.outer(errors, errors), 1e-300),
        fitted.models,
        [float(one @ one) / max(dof * len(one) / sum(map(len, residuals)), 1) for one in residuals],
        [len(one) for one in residuals],
        dof,
        runs,
        longest,
        scale,
        found.starts,
        explained,
        verdict,
        _rivals(problem, found),
    )


def _everything(problem: Problem, fitted: Fitted) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Names, units and values of parameters, factors and derived ones; derivatives by free numbers and factors."""
    numbers = torch.from_numpy(fitted.numbers)
    values, free = problem.natural(fitted.numbers), [one.name for one in problem.free]
    named = problem.named
    factors = _factors(problem, fitted)
    more = derived_names(problem)
    slopes = np.zeros((len(named) + len(factors) + len(more), len(free) + len(factors)))
    for row, one in enumerate(named):
        if one.name in free:
            place = free.index(one.name)
            slopes[row, place] = float(one.slope(numbers[place]))
    slopes[len(named) : len(named) + len(factors), len(free) :] = np.eye(len(factors))
    slopes[len(named) + len(factors) :, : len(free)] = derived_slopes(problem, numbers).numpy()
    names = [*(one.name for one in named), *(name for name, _, _ in factors), *more]
    units = [*(one.unit for one in named), *(unit for _, unit, _ in factors)]
    units += [UNITS[name.split(".")[-1].split("[")[0]] for name in more]
    found = [*(values[one.name] for one in named), *(value for _, _, value in factors)]
    return names, units, np.array([*found, *derived(problem, numbers[:, None])[:, 0].tolist()]), slopes


def _factors(problem: Problem, fitted: Fitted) -> list[tuple[str, str, float]]:
    """Scales of the terms and factors of the background of every curve."""
    told = []
    many = len(fitted.factors) > 1
    for number, found in enumerate(fitted.factors):
        behind = f"[{number + 1}]" if many else ""
        for term, factor in zip(problem.model.terms, found.factors, strict=False):
            known = is_absolute(term, problem.contrasts)
            name, unit = ("volume_fraction", "1") if known else ("scale", "1e-12/angstrom^4")
            told.append((f"{term.prefix}{name}{behind}", unit, float(factor)))
        rest = found.factors[len(problem.model.terms) :]
        words = (("background", "1/cm"), ("power_law", "1/cm"))
        told += [(f"{name}{behind}", unit, float(one)) for (name, unit), one in zip(words, rest, strict=False)]
    return told


def _states(problem: Problem, fitted: Fitted, known: Uncertainty, count: int) -> np.ndarray:
    """State of each parameter; factors and derived ones are free."""
    states = np.full(count, FREE)
    free = {one.name: place for place, one in enumerate(problem.free)}
    _, seen = problem.box()
    for row, one in enumerate(problem.named):
        if one.name not in free:
            states[row] = HELD
            continue
        number = fitted.numbers[free[one.name]]
        value = float(one.natural(torch.tensor(number)))
        margin = _END * (one.high - one.low) if one.scale == "logit" else 0.0
        below, above = one.low + margin, one.high - margin
        if one.scale == "ln":
            below, above = one.low * (1 + _END), one.high * (1 - _END)
        if not below < value < above:
            states[row] = AT_BOUND
        elif known.open[free[one.name]] or number > seen[free[one.name]] - _END:
            states[row] = OPEN
    return states


def _spread(
    problem: Problem, fitted: Fitted, known: Uncertainty, values: np.ndarray, slopes: np.ndarray
) -> tuple[Float[np.ndarray, "all all"], Float[np.ndarray, "all 4"]]:
    """Covariance of everything, and ends of the central 95 and 68 %: from draws where there are any."""
    if known.draws is not None:
        return _spread_of_draws(problem, known.draws)
    covariance = slopes @ known.covariance @ slopes.T
    off = ndtri(_TAILS)
    ends: np.ndarray = values[:, None] + np.sqrt(np.maximum(np.diag(covariance), 0))[:, None] * off
    names = [one.name for one in problem.named]
    for number, one in enumerate(problem.free):  # lengths are Gaussian in their logarithm
        tails = fitted.numbers[number] + np.sqrt(known.covariance[number, number]) * off
        ends[names.index(one.name)] = one.natural(torch.from_numpy(tails)).numpy()
    return covariance, ends


def _spread_of_draws(problem: Problem, draws: Draws) -> tuple[Float[np.ndarray, "all all"], Float[np.ndarray, "all 4"]]:
    """Covariance and intervals of draws; the intervals hold the valley's floor as far as chi-square allows, too."""
    every = _at(problem, draws.places, draws.factors)
    floor = _at(problem, draws.floor, draws.floor_factors)
    away = every - draws.weights @ every
    covariance = (away * draws.weights[:, None]).T @ away
    ends = weighted_quantiles(every, draws.weights, _TAILS).T
    for level, low, high in zip(_LEVELS, (1, 0), (2, 3), strict=True):
        near = floor[draws.above <= level]
        ends[:, low], ends[:, high] = np.minimum(ends[:, low], near.min(0)), np.maximum(ends[:, high], near.max(0))
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    half = (ends[:, 2] - ends[:, 1]) / 2  # a long tail makes the standard deviation no error that one would quote
    share = np.where(half > 0, half / deviation, 1.0)
    return covariance * np.outer(share, share), ends


def _at(
    problem: Problem, places: Float[np.ndarray, "place number"], factors: Float[np.ndarray, "place factor"]
) -> Float[np.ndarray, "place all"]:
    """Parameters, factors and what follows from them, at each place."""
    numbers = torch.from_numpy(places.T.copy())
    values = problem.values(numbers)
    own = np.stack([values[one.name].numpy() for one in problem.named], axis=1)
    return np.column_stack([own, factors, derived(problem, numbers).numpy().T])


def _verdict(
    fitted: Fitted, dof: int, beyond: float, chance: float, names: list[str], states: np.ndarray
) -> tuple[str, bool]:
    """Whether the model explains the data, in words."""
    chi2 = fitted.deviance / dof
    words = [f"chi-square {chi2:.3g} per degree of freedom of {dof}"]
    words.append(explanation(beyond, chance, "the data", "errors"))
    for state, said in ((OPEN, "left open by the data"), (AT_BOUND, "at an end of its range")):
        words += [f"{name} is {said}" for name, one in zip(names, states, strict=True) if one == state]
    return "; ".join(words), explains(beyond, chance)


def _unseen(names: list[str], values: np.ndarray, errors: np.ndarray) -> list[str]:
    """Words on particles that are not told from none."""
    return [
        f"{name} is not told from 0"
        for name, value, error in zip(names, values, errors, strict=True)
        if name.split(".")[-1].split("[")[0] in ("scale", "volume_fraction") and not value > _SEEN * error
    ]


def _rivals(problem: Problem, found: Found) -> list[str]:
    """Other solutions in words."""
    told = []
    for one in found.others:
        values = problem.natural(one.numbers)
        listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name not in problem.held)
        told.append(f"{listed} (chi-square {one.deviance - found.best.deviance:+.2f})")
    return told
