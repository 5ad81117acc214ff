"""Other readings of data that the equation does not explain: fits of a few bright points, told and never applied.

Energies in reverse order, or two of them exchanged; exposures free; energies shifted together; f', f'' free within
their doubt; and, of a list of reflections, one energy indexed another way or with its mates exchanged.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad import limits
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.exact import share_of_pure, solve
from madpipe.mad.fit.indexing import reindexed
from madpipe.mad.fit.refine.search import minimise
from madpipe.mad.fit.refine.unknowns import signs, unknowns_of
from madpipe.mad.measurement import Measurement, measurement_from_stack, with_nuisance
from madpipe.mad.records import Nuisance, Stack

_POINTS = 1000  # the brightest: a few milliseconds a reading
_MOST_EXCHANGED = 12  # energies of which every pair is exchanged
_ITERATIONS = 10  # of a search
_ALIKE, _SAME = 2.0, 0.1  # readings explain alike whose chi-squares above 1 differ less than by factor and sum
_AT_ANY_BRIGHTNESS = (
    1.25  # ratio of the chi-squares of brighter and dimmer points: it grows as they do for a wrong model
)
_FARTHEST = 3.0  # prior errors, rms over the unknowns, that energies, f' or f'' may go
# rms of ln G where exposures are free, what it takes to believe it, and how far they may go
_FREE_SCALES = ((0.05, 3, 0.3), (0.5, 6, 2.0))


@dataclass(frozen=True)
class Reading:
    """Another way to read the data, and how well it explains them."""

    words: str
    advice: str
    chi2: float  # per degree of freedom
    effort: int  # what it takes to believe it: of two that explain the data alike the lesser is told
    most: float = math.inf  # chi-square that it must explain the data to: what is free explains part of anything


def other_readings(stack: Stack, nuisance: Nuisance | None, config: FitConfig, noisy: bool) -> str | None:
    """Say which other reading of the data explains them, with its chi-square and what to do; None where none does.

    Parameters
    ----------
    stack, nuisance:
        What was fitted, or its brightest rows, and what was refined.
    config:
        Settings of the fit.
    noisy:
        Whether more noise than stated is worth telling.
    """
    stack = with_nuisance(stack, nuisance)
    points = _bright(measurement_from_stack(stack))
    if len(points.f0) == 0:
        return None
    before = _chi2(points, config)
    found = [*_orders(stack, points, config), *_reindexed(stack, config), *_free(stack, points, config)]
    good = [one for one in found if one.chi2 - 1 < (1 - limits.EXPLAINS) * (before - 1) and one.chi2 < one.most]
    if not good:
        return _noisier(points, before, config) if noisy else None
    least = max(1.0, min(one.chi2 for one in good))
    alike = [one for one in good if one.chi2 - 1 < _ALIKE * (least - 1) + _SAME]
    best = min(alike, key=lambda one: (one.effort, one.chi2))
    return (
        f"{best.words} it is {best.chi2:.3g} instead of {before:.3g} in the {len(points.f0)} brightest points; "
        f"{best.advice}"
    )


def resonant_share(stack: Stack, nuisance: Nuisance | None, config: FitConfig) -> float:
    """Median |F_A|^2 of the brightest points over that of a pure resonant element as bright; 0 where there are none."""
    points = _bright(measurement_from_stack(with_nuisance(stack, nuisance)))
    if len(points.f0) == 0:
        return 0.0
    return share_of_pure(
        points, solve(points, config.max_iterations, config.tolerance, config.prior_breadth).parameters
    )


def _noisier(points: Measurement, before: float, config: FitConfig) -> str | None:
    """Say so where chi-square is the same whether points are brighter or dimmer: more noise, not another model."""
    if len(points.f0) < 2:
        return None
    order = points.brightness().argsort(descending=True, stable=True)
    upper, lower = (_chi2(points.part(half), config) for half in order.tensor_split(2))
    if not 1 / _AT_ANY_BRIGHTNESS < upper / max(lower, 1e-300) < _AT_ANY_BRIGHTNESS:
        return None
    if points.noise.is_poisson:
        return (
            f"it is so at any brightness, as where a photon counts {before:.3g} units; divide data and background by "
            "the detector's gain, or give data_errors"
        )
    return f"it is so at any brightness, as where the stated errors are {before**0.5:.3g} times too small; check them"


def _bright(measurement: Measurement) -> Measurement:
    """The brightest points with more than three intensities."""
    usable = (measurement.channels() > 3).nonzero()[:, 0]
    order = measurement.brightness()[usable].argsort(descending=True, stable=True)
    return measurement.part(usable[order[:_POINTS]])


def _chi2(points: Measurement, config: FitConfig) -> float:
    """Chi-square per degree of freedom."""
    solution = solve(points, config.max_iterations, config.tolerance, config.prior_breadth)
    return float(solution.chi2.sum() / solution.dof.sum().clamp(min=1))


def _orders(stack: Stack, points: Measurement, config: FitConfig) -> Iterator[Reading]:
    """Energies in reverse order, and each pair exchanged."""
    energies = np.arange(len(stack.energy))
    advice = f"check the order of the energies ({_listed(stack.energy)} eV) against that of the intensities"
    turned = _chi2(_in_order(points, energies[::-1].copy()), config)
    yield Reading("with the energies in reverse order", advice, turned, 0)
    if len(energies) > _MOST_EXCHANGED:
        return
    for i, j in combinations(energies.tolist(), 2):
        order = energies.copy()
        order[[i, j]] = order[[j, i]]
        words = f"with the energies {stack.energy[i]:.6g} and {stack.energy[j]:.6g} eV exchanged"
        yield Reading(words, advice, _chi2(_in_order(points, order), config), 1)


def _in_order(points: Measurement, order: np.ndarray) -> Measurement:
    """Give the energies' f', f'' to the intensities in another order; a Friedel mate keeps its sign."""
    first = [int((points.energy_of_channel == energy).nonzero()[0]) for energy in range(len(order))]
    taken = torch.as_tensor(np.array(first)[order])[points.energy_of_channel]
    f_double_prime = points.f_double_prime.abs()[taken] * signs(points)
    return replace(points, f_prime=points.f_prime[taken], f_double_prime=f_double_prime)


def _reindexed(stack: Stack, config: FitConfig) -> Iterator[Reading]:
    """Each energy of a list of reflections indexed another way."""
    for energy, words, other in reindexed(stack):
        points = _bright(measurement_from_stack(other))
        if len(points.f0):
            words = f"with {stack.energy[energy]:.6g} eV {words}"
            yield Reading(words, "index all wavelengths alike and convert again", _chi2(points, config), 2)


def _free(stack: Stack, points: Measurement, config: FitConfig) -> Iterator[Reading]:
    """What ``--refine`` can take up."""
    photons = points.net().clamp(min=0)
    variance = points.noise.variance(torch.maximum(points.intensity, points.least(points.brightness())))
    of_model = limits.MODEL_ERROR**2 * float((photons.square() / variance)[_measured(points)].mean())
    most = limits.CHI2 + of_model
    for width, effort, reach in _FREE_SCALES:
        theta, chi2, _ = _refined(stack, points, "scale", config, width)
        change = theta[: len(stack.energy)] - theta[: len(stack.energy)].median()
        if float(change.abs().max()) > reach:
            continue
        near = float(change.abs().max()) < limits.PRIORS * config.nuisance.scale_sigma
        mend = "give --refine scale" if near else "put the exposures into the monitor: --refine scale holds them near 1"
        words = f"with free exposures ({_listed(change.exp(), 3)} of those stated)"
        others = "; the same shows where f', f'' of the other atoms change over these energies, near an edge of theirs"
        yield Reading(words, f"check monitor and exposure times, or {mend}{others}", chi2, effort, most)
    for name, effort, advice in (
        ("offset", 4, "check the energies' zero and the spectrum or table of f', f'', or give --refine offset"),
        ("dispersion", 5, "measure a spectrum of the sample, or give --refine dispersion"),
    ):
        try:
            theta, chi2, far = _refined(stack, points, name, config)
        except InputError:  # nothing to move along
            continue
        if far > _FARTHEST:
            continue
        moved = (
            f"all energies {float(theta[-1]):+.2g} eV off" if name == "offset" else "f', f'' free within their doubt"
        )
        yield Reading(f"with {moved}", advice, chi2, effort, most)


def _measured(points: Measurement) -> Tensor:
    """Which intensities are there."""
    return torch.ones_like(points.intensity, dtype=torch.bool) if points.good is None else points.good


def _refined(
    stack: Stack, points: Measurement, name: str, config: FitConfig, width: float = 0.0
) -> tuple[Tensor, float, float]:
    """Refine one nuisance, of the exposures with this prior's width: what it comes to, chi-square, distance."""
    few = config.nuisance.model_copy(update={"iterations": _ITERATIONS, **({"scale_sigma": width} if width else {})})
    unknowns = unknowns_of(replace(stack, monitor_sigma=None), (name,), few)
    start = torch.zeros_like(unknowns.width)
    state, _ = minimise(points, unknowns, start, config.model_copy(update={"nuisance": few}))
    far = ((state.merit - state.deviance) / max(int(unknowns.free.sum()), 1)) ** 0.5  # rms, in the prior's errors
    return state.theta, float(state.solution.chi2.sum() / state.solution.dof.sum().clamp(min=1)), far


def _listed(values: object, digits: int = 6) -> str:
    """Numbers in a row."""
    return ", ".join(f"{value:.{digits}g}" for value in np.asarray(values).tolist())
