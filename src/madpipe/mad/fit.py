"""The classical fit of a stack: exact solution per point, standard errors from the Fisher information."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.mad.config import FitConfig
from madpipe.mad.exact import Solution, solve
from madpipe.mad.measurement import Measurement, measurement_from_stack, with_dispersion
from madpipe.mad.records import Fit, Nuisance, Stack, axis_fields
from madpipe.mad.refine import refine_dispersion

_UNDETERMINED = math.pi / math.sqrt(3)  # rms of a phase of which nothing is known [radian]


def fit_with_nuisances(stack: Stack, config: FitConfig, refine: Sequence[str] = ()) -> Fit:
    """Refine the nuisances asked for, then fit every point with them.

    Parameters
    ----------
    stack, config:
        As in :func:`fit_stack`.
    refine:
        Names of the nuisances; ``dispersion`` stands for f' and f'' (:func:`madpipe.mad.refine.refine_dispersion`).

    Raises
    ------
    InputError
        A nuisance that is not known, or that the data cannot determine.
    """
    unknown = set(refine) - {"dispersion"}
    if unknown:
        raise InputError(f"refine knows 'dispersion'; {', '.join(sorted(unknown))} came; leave it out.")
    return fit_stack(stack, config, refine_dispersion(stack) if "dispersion" in refine else None)


def fit_stack(stack: Stack, config: FitConfig, nuisance: Nuisance | None = None) -> Fit:
    """Fit every point of a stack.

    Parameters
    ----------
    stack:
        Counts, energies, f', f'', f0.
    config:
        Iterations and tolerance.
    nuisance:
        Refined f', f'' and noise scale, used instead of the stack's (see :mod:`madpipe.mad.refine`).

    Returns
    -------
    :
        Structure factors in sqrt(photons at unit exposure), with standard errors that hold in the linear regime
        and saturate, for a phase, at pi / sqrt(3).
    """
    measurement = measurement_from_stack(with_dispersion(stack, nuisance))
    starts = range(0, len(measurement.f0), config.chunk_points)
    parts = []
    iterations = 0
    for start in progress(starts, "fit"):
        chunk = measurement.part(start, start + config.chunk_points)
        solution = solve(chunk, config.max_reweightings, config.tolerance)
        iterations = max(iterations, solution.iterations)
        parts.append(_columns(solution))
    columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return _fit_record(columns, stack, measurement, iterations, nuisance)


def covariance(information: Float[Tensor, "point 3 3"]) -> Float[Tensor, "point 3 3"]:
    """Cramer-Rao bound on (x, a, b) from their Fisher information [photon]."""
    scale = information.diagonal(dim1=-2, dim2=-1).rsqrt()
    scaled = information * scale[:, :, None] * scale[:, None, :]
    return torch.linalg.inv(scaled + 1e-14 * torch.eye(3).to(scaled)) * scale[:, :, None] * scale[:, None, :]


def structure_factors(
    parameters: Float[Tensor, "point 3"], bound: Float[Tensor, "point 3 3"], *, exact: bool = False
) -> dict[str, Float[Tensor, "point"]]:
    r"""Moduli and phases with standard errors from (x, a, b) and their covariance.

    .. math::
        |F_T| = x,\quad |F_A| e^{i\Delta\phi} = a + ib,\quad |F_N|^2 = (x - a)^2 + b^2,\quad
        \arg F_N - \arg F_A = \mathrm{atan2}(xb,\ xa - a^2 - b^2)

    First-order propagation. Near a vanishing modulus its direction is unknown: the error tends to that of both
    parts together. A phase's error rests on the modulus less its noise and saturates at pi / sqrt(3), since a weak
    |F| is found too large and would make its phase look determined. With ``exact`` the parameters are the truth, not
    an estimate, and the phases' errors are their plain Cramer-Rao bounds.
    """
    x, a, b = parameters.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    to_resonant = torch.stack([torch.stack([zero, one, zero], -1), torch.stack([zero, zero, one], -1)], -2)
    to_normal = torch.stack([torch.stack([one, -one, zero], -1), torch.stack([zero, zero, one], -1)], -2)
    resonant, resonant_error, phase_error = _polar(a, b, to_resonant @ bound @ to_resonant.mT, exact)
    normal, normal_error, _ = _polar(x - a, b, to_normal @ bound @ to_normal.mT, exact)
    upper, right = x * b, x * a - a.square() - b.square()
    slope = torch.stack([b * right - upper * a, -upper * (x - 2 * a), x * right + 2 * upper * b], -1)
    na_error = (slope[:, None, :] @ bound @ slope[:, :, None])[:, 0, 0].clamp(min=0).sqrt()
    product = _significant(resonant, resonant_error, exact) * _significant(normal, normal_error, exact)
    return {
        "f_total": x,
        "f_total_errors": bound[:, 0, 0].sqrt(),
        "f_resonant": resonant,
        "f_resonant_errors": resonant_error,
        "delta_phi": torch.atan2(b, a),
        "delta_phi_errors": phase_error,
        "f_normal": normal,
        "f_normal_errors": normal_error,
        "delta_phi_na": torch.atan2(upper, right),
        "delta_phi_na_errors": _phase_error(na_error, product),
    }


def _polar(real: Tensor, imag: Tensor, bound: Float[Tensor, "point 2 2"], exact: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Modulus of a complex number, its error and its phase's error, from the covariance of its two parts."""
    modulus = torch.hypot(real, imag)
    far = modulus.clamp(min=1e-150)
    unit = torch.stack([real / far, imag / far], -1)
    turned = torch.stack([-unit[:, 1], unit[:, 0]], -1)
    along = (unit[:, None, :] @ bound @ unit[:, :, None])[:, 0, 0].clamp(min=0)
    across = (turned[:, None, :] @ bound @ turned[:, :, None])[:, 0, 0].clamp(min=0)
    largest = bound.diagonal(dim1=-2, dim2=-1).sum(-1)
    insignificant = torch.exp(-modulus.square() / (2 * largest).clamp(min=1e-300))
    error = (along + insignificant * (largest - along).clamp(min=0)).sqrt()
    return modulus, error, _phase_error(across.sqrt() * far, _significant(modulus, across.sqrt(), exact))


def _significant(modulus: Tensor, error: Tensor, exact: bool) -> Tensor:
    """Square of a modulus less what noise alone puts there; the noise across F adds its variance to |F|^2."""
    return modulus.square() if exact else (modulus.square() - error.square()).clamp(min=0)


def _phase_error(change: Tensor, modulus2: Tensor) -> Tensor:
    """Standard error of a phase: change / modulus2 where that is small, pi / sqrt(3) where nothing is known."""
    return (modulus2 / change.clamp(min=1e-150)).square().add(_UNDETERMINED**-2).rsqrt()


def _columns(solution: Solution) -> dict[str, Tensor]:
    """All per-point results of one chunk."""
    columns = structure_factors(solution.parameters, covariance(solution.information))
    return {**columns, "chi2": solution.chi2, "dof": solution.dof, "certified": solution.certified}


def _fit_record(
    columns: dict[str, Tensor],
    stack: Stack,
    measurement: Measurement,
    iterations: int,
    nuisance: Nuisance | None,
) -> Fit:
    """Put points back where the stack has them; both Friedel mates get their common answer."""
    scale = 1.0 if nuisance is None else nuisance.noise_scale
    arrays: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        scaled = column * scale if name.endswith("_errors") else column
        arrays[name] = scaled[measurement.point_of_entry].reshape(stack.shape).cpu().numpy()
    return Fit(**arrays, n_iterations=iterations, method="exact", nuisance=nuisance, **axis_fields(stack))
