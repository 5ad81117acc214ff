"""The classical fit of a stack: exact solution per point, standard errors from the Fisher information."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.base.runtime import progress
from madpipe.mad.config import FitConfig
from madpipe.mad.fit import exact, nanomad
from madpipe.mad.fit.exact import Solution
from madpipe.mad.fit.explained import explained_by, sums_of
from madpipe.mad.fit.refine import refine_nuisances
from madpipe.mad.fit.whole_errors import common_covariance, root_of
from madpipe.mad.measurement import Measurement, measurement_from_stack, with_nuisance
from madpipe.mad.records import Fit, Nuisance, Stack, axis_fields

_TINY = 1e-150
_LEAST_SHARE = 0.01  # of the resonant atoms in the intensity that can still be measured, as of Se in a protein [1]
METHODS: dict[str, Callable[[Measurement, FitConfig], Solution]] = {
    "exact": lambda points, config: exact.solve(points, config.max_iterations, config.tolerance, config.prior_breadth),
    "nanomad": lambda points, config: nanomad.solve(points, tolerance=config.tolerance),
}


def fit_with_nuisances(stack: Stack, config: FitConfig, refine: Sequence[str] = ()) -> Fit:
    """Refine the nuisances asked for, then fit every point with them.

    Parameters
    ----------
    stack, config:
        As in :func:`fit_stack`.
    refine:
        Any of ``scale``, ``offset``, ``dispersion``, ``background`` (:func:`madpipe.mad.fit.refine.refine_nuisances`).

    Raises
    ------
    InputError
        A nuisance that is not known, or that has nothing to act on.
    """
    return fit_stack(stack, config, refine_nuisances(stack, refine, config) if refine else None)


def fit_stack(stack: Stack, config: FitConfig, nuisance: Nuisance | None = None) -> Fit:
    """Fit every point of a stack, as :func:`fit_points`, and say how well they are explained."""
    fit, sums = fit_points(stack, config, nuisance)
    return replace(fit, explained=explained_by(sums, stack.data.size))


def fit_points(
    stack: Stack, config: FitConfig, nuisance: Nuisance | None = None
) -> tuple[Fit, Float[np.ndarray, "batch column"]]:
    """Fit every point of a stack.

    Parameters
    ----------
    stack:
        Counts, energies, f', f'', f0.
    config:
        Iterations and tolerance.
    nuisance:
        Refined f', f'', scales and noise scale, put into the stack first (see :mod:`madpipe.mad.fit.refine`).

    Returns
    -------
    :
        Structure factors in sqrt(photons at unit exposure), with standard errors that hold in the linear regime
        and saturate, for a phase, at pi / sqrt(3); and the sums of each batch that
        :func:`madpipe.mad.fit.explained.explained_by` takes. Where nuisances were refined, the errors hold what all
        points have in common by them (:mod:`madpipe.mad.fit.whole_errors`).
    """
    measurement = measurement_from_stack(with_nuisance(stack, nuisance))
    config = config.model_copy(update={"prior_breadth": config.prior_breadth * _resonant_share(nuisance)})
    starts = range(0, len(measurement.f0), config.chunk_points)
    root = None if nuisance is None else root_of(nuisance)
    parts, sums = [], []
    iterations = 0
    for start in progress(starts, "fit"):
        chunk = measurement.part(slice(start, start + config.chunk_points))
        solution = METHODS[config.method](chunk, config)
        iterations = max(iterations, solution.iterations)
        parts.append(_columns(solution, chunk, root))
        sums.append(sums_of(chunk, solution.parameters, solution.covariance, solution.chi2))
    columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    fit = _fit_record(columns, stack, measurement, iterations, nuisance, config.method)
    return fit, torch.stack(sums).cpu().numpy()


def own_errors(stack: Stack, fit: Fit) -> Fit:
    """Give a fit the errors that its points have by themselves, at given nuisances: what averages out over points.

    Parameters
    ----------
    stack:
        What was fitted.
    fit:
        Its answer; one without refined nuisances, whose errors are of this kind, is given back.
    """
    if fit.nuisance is None or fit.nuisance.covariance is None:
        return fit
    alone, _ = fit_points(stack, FitConfig(), replace(fit.nuisance, covariance=None))
    errors: dict[str, Any] = {name: getattr(alone, name) for name in vars(alone) if name.endswith("_errors")}
    return replace(fit, **errors)


def _resonant_share(nuisance: Nuisance | None) -> float:
    """Measured |F_A|^2 over a pure resonant element's, which the prior on |F_A| is put to; 1 where it is not known."""
    if nuisance is None or nuisance.resonant_share is None:
        return 1.0
    return min(1.0, max(_LEAST_SHARE, nuisance.resonant_share))


def structure_factors(
    parameters: Float[Tensor, "3 point"], bound: Float[Tensor, "6 point"], *, exact: bool = False
) -> dict[str, Float[Tensor, "point"]]:
    r"""Moduli and phases with standard errors from (x, a, b) and their covariance xx, xa, xb, aa, ab, bb.

    .. math::
        |F_T| = x,\quad |F_A| e^{i\Delta\phi} = a + ib,\quad |F_N|^2 = (x - a)^2 + b^2,\quad
        \arg F_N - \arg F_A = \mathrm{atan2}(xb,\ xa - a^2 - b^2)

    First-order propagation. Near a vanishing modulus its direction is unknown: the error tends to that of both
    parts together. A phase's error rests on the modulus less its noise and saturates at pi / sqrt(3), since a weak
    |F| is found too large and would make its phase look determined. With ``exact`` the parameters are the truth, not
    an estimate, and the phases' errors are their plain Cramer-Rao bounds.
    """
    x, a, b = parameters
    xx, xa, xb, aa, ab, bb = bound
    resonant, resonant_error, phase_error = _polar(a, b, aa, ab, bb, exact)
    rest = x - a
    normal, normal_error, _ = _polar(rest, b, xx - 2 * xa + aa, xb - ab, bb, exact)
    upper, right = x * b, x * a - a * a - b * b
    by_x, by_a, by_b = b * right - upper * a, upper * (2 * a - x), x * right + 2 * upper * b
    along = by_x * by_x * xx + by_a * by_a * aa + by_b * by_b * bb
    across = by_x * (by_a * xa + by_b * xb) + by_a * by_b * ab
    product = _significant(resonant, resonant_error, exact) * _significant(normal, normal_error, exact)
    return {
        "f_total": x,
        "f_total_errors": xx.sqrt(),
        "f_resonant": resonant,
        "f_resonant_errors": resonant_error,
        "delta_phi": torch.atan2(b, a),
        "delta_phi_errors": phase_error,
        "f_normal": normal,
        "f_normal_errors": normal_error,
        "delta_phi_na": torch.atan2(upper, right),
        "delta_phi_na_errors": _phase_error((along + 2 * across).clamp(min=0).sqrt(), product),
    }


def _polar(
    real: Tensor, imag: Tensor, rr: Tensor, ri: Tensor, ii: Tensor, exact: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Modulus of a complex number, its error and its phase's error, from the covariance of its two parts."""
    square = real * real + imag * imag
    modulus = square.sqrt()
    inverse = 1 / modulus.clamp(min=_TINY)
    cosine, sine = real * inverse, imag * inverse
    mixed = 2 * cosine * sine * ri
    along = (cosine * cosine * rr + sine * sine * ii + mixed).clamp(min=0)
    across = (sine * sine * rr + cosine * cosine * ii - mixed).clamp(min=0)
    spread = across.sqrt()
    phase_error = _phase_error(spread * modulus, _significant(modulus, spread, exact))
    return modulus, modulus_error(along, square, rr + ii), phase_error


def modulus_error(variance: Tensor, square: Tensor, both: Tensor) -> Tensor:
    r"""Standard error of a modulus, that of both parts together where it is insignificant against them.

    .. math:: \sigma^2 = v + e^{-s / 2b} (b - v)

    Parameters
    ----------
    variance:
        v, of the modulus where its direction is known.
    square:
        s, of the modulus of the estimated complex number.
    both:
        b, sum of the variances of its two parts.
    """
    insignificant = torch.exp(-square / (2 * both).clamp(min=_TINY))
    return (variance + insignificant * (both - variance).clamp(min=0)).sqrt()


def _significant(modulus: Tensor, error: Tensor, exact: bool) -> Tensor:
    """Square of a modulus less what noise alone puts there; the noise across F adds its variance to |F|^2."""
    square = modulus * modulus
    return square if exact else (square - error * error).clamp(min=0)


def _phase_error(change: Tensor, modulus2: Tensor) -> Tensor:
    """Standard error of a phase: change / modulus2 where that is small, pi / sqrt(3) where nothing is known."""
    ratio = modulus2 / change.clamp(min=_TINY)
    return (ratio * ratio + UNKNOWN_PHASE**-2).rsqrt()


def _columns(solution: Solution, chunk: Measurement, root: Tensor | None) -> dict[str, Tensor]:
    """All per-point results of one chunk."""
    covariance = solution.covariance
    if root is not None:
        covariance = covariance + common_covariance(chunk, solution.parameters, covariance, root)
    columns = structure_factors(solution.parameters, covariance)
    return {**columns, "chi2": solution.chi2, "dof": solution.dof, "certified": solution.certified}


def _fit_record(
    columns: dict[str, Tensor],
    stack: Stack,
    measurement: Measurement,
    iterations: int,
    nuisance: Nuisance | None,
    method: str,
) -> Fit:
    """Put points back where the stack has them; both Friedel mates get their common answer."""
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        arrays[name] = column[measurement.point_of_entry].reshape(stack.shape).cpu().numpy()
    return Fit(**arrays, n_iterations=iterations, method=method, nuisance=nuisance, **axis_fields(stack))
