"""An energy series' fit as numbers: quantities with errors, states, and words."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.saxs.anomalous.problem import AnomalousProblem, FittedSeries
from madpipe.saxs.anomalous.search import FoundSeries
from madpipe.saxs.anomalous.unknowns import OFFSET, Unknown
from madpipe.saxs.fit.residuals import excess, explains, explanation, longest_run_probability
from madpipe.saxs.records import AT_BOUND, FREE, HELD, OPEN

_WIDER = 2.0  # standard deviations of chi-square from which errors are widened
_OPEN = 1.5  # standard deviation of a free number from which the data leave it open: a factor of 4 of a length
_VAGUE = 3.0  # standard deviation of a free number without data: keeps the information from being singular
_END = 0.01  # of a range, relative, that counts as its end
_FAR = 4.0  # standard deviations from its prior at which a quantity is told
_NORMAL = (-1.959964, -0.994458, 0.994458, 1.959964)  # ends of the central 95 and 68 %


@dataclass(frozen=True)
class Quantities:
    """All quantities of a fit, in the record's order: moved or held, then phi and backgrounds."""

    names: list[str]
    units: list[str]
    values: Float[np.ndarray, "quantity"]
    covariance: Float[np.ndarray, "quantity quantity"]
    quantiles: Float[np.ndarray, "quantity 4"]
    states: np.ndarray
    priors: Float[np.ndarray, "quantity 2"]
    moved: Float[np.ndarray, "number number"]  # covariance of the free numbers

    @property
    def errors(self) -> Float[np.ndarray, "quantity"]:
        """Standard deviations."""
        found: np.ndarray = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return found


def error_scale(fitted: FittedSeries) -> float:
    """Factor of the errors: above 1 where the model misses the data by more than noise does."""
    dof = max(fitted.dof, 1)
    return math.sqrt(fitted.deviance / dof) if excess(fitted.deviance, dof) > _WIDER else 1.0


def quantities(fitted: FittedSeries, is_absolute: bool) -> Quantities:
    """Turn free numbers and factors into quantities with errors.

    Parameters
    ----------
    fitted:
        Where a search ended.
    is_absolute:
        Whether the intensity is in 1/cm, so that the scale is the volume fraction.
    """
    unknowns, count = fitted.problem.unknowns, len(fitted.numbers)
    covariance = _covariance(fitted, error_scale(fitted))
    natural, steps = unknowns.natural(fitted.numbers), unknowns.slopes(fitted.numbers)
    moved = {one.name: place for place, one in enumerate(unknowns.moved)}
    told = _factors(fitted, is_absolute)
    slopes = np.zeros((len(natural) + len(told), len(covariance)))
    for row, name in enumerate(natural):
        if name in moved:
            slopes[row, moved[name]] = steps[moved[name]]
    slopes[len(natural) :, count:] = np.eye(len(told))
    values = np.array([*natural.values(), *(value for _, _, value in told)])
    of_values = slopes @ covariance @ slopes.T
    quantiles: np.ndarray = values[:, None] + np.sqrt(np.diag(of_values))[:, None] * np.array(_NORMAL)
    states, priors = np.full(len(values), FREE), np.full((len(values), 2), np.nan)
    for row, name in enumerate(natural):
        states[row] = HELD
        if name in moved:
            own, number = unknowns.moved[moved[name]], fitted.numbers[moved[name]]
            sigma = math.sqrt(covariance[moved[name], moved[name]])
            quantiles[row] = own.parameter.natural(torch.from_numpy(number + sigma * np.array(_NORMAL))).numpy()
            states[row] = _state(own, values[row], math.sqrt(of_values[row, row]), sigma)
            priors[row] = own.prior or (np.nan, np.nan)
    units = {one.name: one.parameter.unit for one in unknowns.moved} | _units_of_held(fitted.problem)
    names = [*natural, *(name for name, _, _ in told)]
    of_names = [*(units[name] for name in natural), *(unit for _, unit, _ in told)]
    return Quantities(names, of_names, values, of_values, quantiles, states, priors, covariance[:count, :count])


def _covariance(fitted: FittedSeries, scale: float) -> Float[np.ndarray, "all all"]:
    """Inverse of the information, errors of the data widened but not those of the priors."""
    count = len(fitted.numbers)
    own = np.diag(fitted.problem.unknowns.prior(fitted.numbers)[1] ** 2)
    information = fitted.information()
    information[:count, :count] = (information[:count, :count] - own) / scale**2 + own
    information[count:] /= scale**2
    information[:count, count:] /= scale**2
    alone = np.array([one.prior is None for one in fitted.problem.unknowns.moved], dtype=bool)
    information[np.flatnonzero(alone), np.flatnonzero(alone)] += 1 / _VAGUE**2
    size = np.sqrt(np.diag(information))
    used = size > 0
    used[count:] &= fitted.factors.free
    unit = information[np.ix_(used, used)] / np.outer(size[used], size[used])
    inverse = np.zeros_like(information)
    inverse[np.ix_(used, used)] = np.linalg.pinv(unit, rcond=1e-13, hermitian=True) / np.outer(size[used], size[used])
    return inverse


def _units_of_held(problem: AnomalousProblem) -> dict[str, str]:
    """Units of what does not move."""
    shapes = {one.name: one.unit for one in problem.term.parameters()}
    return {name: "eV" if name == OFFSET else shapes.get(name, "1") for name in problem.unknowns.held}


def _factors(fitted: FittedSeries, is_absolute: bool) -> list[tuple[str, str, float]]:
    """Phi and each curve's background."""
    told = [("volume_fraction" if is_absolute else "scale", "1", float(fitted.factors.factors[0]))]
    place = 1
    for number, one in enumerate(fitted.problem.curves):
        for name in ("background", "power_law")[: one.background.shape[1]]:
            told.append((f"{name}[{number + 1}]", "1/cm" if is_absolute else "1", float(fitted.factors.factors[place])))
            place += 1
    return told


def _state(one: Unknown, value: float, error: float, sigma: float) -> int:
    """State of a quantity that moved; sigma is that of its free number."""
    low, high = one.parameter.low, one.parameter.high
    if one.prior is not None and one.kind != "share":
        return FREE
    if one.parameter.scale == "ln":
        at_end = not low * (1 + _END) < value < high * (1 - _END)
    else:
        at_end = min(value - low, high - value) < min(error, _END * (high - low))
    if at_end:
        return AT_BOUND
    return OPEN if sigma > _OPEN else FREE


def verdict(fitted: FittedSeries, found: Quantities) -> tuple[str, bool]:
    """Say in words whether the particle explains the curves, what they leave open, and which nuisance is far off."""
    dof = max(fitted.dof, 1)
    beyond = excess(fitted.deviance, dof)
    chance = min(1.0, min(longest_runs(fitted)) * len(fitted.problem.curves))
    words = [f"chi-square {fitted.deviance / dof:.3g} per degree of freedom of {dof}"]
    words.append(explanation(beyond, chance, "the curves", "their errors"))
    for state, said in ((OPEN, "left open by the data"), (AT_BOUND, "at an end of its range")):
        words += [f"{name} is {said}" for name, one in zip(found.names, found.states, strict=True) if one == state]
    words += _far_off(fitted, found)
    return "; ".join(words), explains(beyond, chance)


def _far_off(fitted: FittedSeries, found: Quantities) -> list[str]:
    """Quantities that are farther from their priors than chance brings them."""
    off, _ = fitted.problem.unknowns.prior(fitted.numbers)
    told = []
    for place, one in enumerate(fitted.problem.unknowns.moved):
        if abs(off[place]) > _FAR:
            row = found.names.index(one.name)
            unit = "" if one.parameter.unit == "1" else f" {one.parameter.unit}"
            told.append(
                f"{one.name} {found.values[row]:.4g} +- {found.errors[row]:.2g}{unit} is "
                f"{abs(off[place]):.1f} standard deviations off what was known of it: check it"
            )
    return told


def longest_runs(fitted: FittedSeries) -> list[float]:
    """Chance of so long a run of residuals of one sign, for each curve."""
    return [longest_run_probability(fitted.factors.residuals[own]) for own in fitted.problem.rows]


def rivals(problem: AnomalousProblem, found: FoundSeries) -> list[str]:
    """Other solutions in words."""
    told = []
    for one in found.others:
        values = problem.unknowns.natural(one.numbers)
        shown = [name for kind in ("shape", "share") for name in problem.unknowns.every[kind]]
        listed = ", ".join(f"{name} {values[name]:.4g}" for name in shown if name not in problem.unknowns.held)
        told.append(f"{listed} (chi-square {one.deviance - found.best.deviance:+.2f})")
    return told
