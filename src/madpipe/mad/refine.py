"""Refinement of f' and f'' by variable projection: the structure factors of every point are eliminated exactly."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import OptimizeResult, least_squares
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.mad.exact import CONE, constrained_least_squares
from madpipe.mad.measurement import Measurement, condition_number, measurement_from_stack
from madpipe.mad.records import Nuisance, Stack

_DEEPER = 4.0  # how far a start lowers f', as the dip at an edge does [electron]
_LEAST = 0.05  # f'' stays above this, so that it keeps its sign [electron]
_DARK = 0.1  # fewer expected photons weigh like this many: a channel that the model darkens must not decide [photon]
_TRIAL = (2, 1e-4)  # rounds with weights renewed, and relative change of chi-square to stop at, from each start
_FINAL = (30, 1e-8)  # the same, at most, for the search that goes on from the best of them
_AS_LOW = 1.5  # a minimum this much above the lowest is not excluded: (6 - 3) / (6 - 4) degrees of freedom per point
_ILL = 4.0  # times the least condition number: a design that is losing a column
_SETTLED = 1e-3  # the weights are settled when nothing moves by more than this share of its standard error


def refine_dispersion(stack: Stack) -> Nuisance:
    r"""Fit f' and f'' of every energy but the last together with the structure factors of every reflection.

    .. math:: \min_{f'_k, f''_k} \sum_p \min_{z_p} \sum_k w_{kp} (I_{kp} - a_k(f'_k, f''_k) \cdot z_p)^2

    The inner minimum is the exact one of :func:`madpipe.mad.exact.solve`; the outer one is a Gauss-Newton search in
    the few dispersion parameters, with the Jacobian less its part that the points' unknowns can follow (Kaufman).

    Parameters
    ----------
    stack:
        A list of reflections with Friedel mates. Its f', f'' are the start; those of the last energy are held.

    Returns
    -------
    :
        f', f'' and their standard errors [electron], and one noise scale for all energies,
        :math:`\sqrt{\chi^2 / \mathrm{dof}}`, which multiplies the stated errors everywhere downstream.

    Raises
    ------
    InputError
        No Friedel mates, f'' = 0 at the last energy, or no reflection with more than three intensities.

    Notes
    -----
    A common shift of all f' moves F_T by a multiple of F_A, and a common factor of f'' and of the differences of f'
    divides F_A: the last energy's values decide both. Turning the differences of f' round, with
    Delta_phi -> pi - Delta_phi, changes no intensity either: they keep the side on which the stack's own values are,
    below the last energy's where those are all equal. Without Friedel mates f'' would have a common shift as well.
    The relative scales of the energies are held at the stack's monitor: chi-square hardly tells them from f' and f'',
    and wrong ones spoil |F_A| while R stays as it is.

    References
    ----------
    G. Golub, V. Pereyra, Inverse Problems 19, R1 (2003); L. Kaufman, BIT 15, 49 (1975).
    """
    if stack.friedel_sign is None or len(np.unique(stack.friedel_sign)) < 2:
        raise InputError(
            "Refining f', f'' needs Friedel mates, friedel_sign +1 and -1; the stack has none; "
            "give f', f'' from a table or from a measured spectrum instead."
        )
    if stack.f_double_prime[-1] < _LEAST:
        raise InputError(
            f"Refining f', f'' needs the last energy's f'' as the unit of all others, at least {_LEAST} electron; "
            f"it is {stack.f_double_prime[-1]:g}; give a measured or tabulated one above the edge."
        )
    positive = replace(stack, f_double_prime=np.maximum(stack.f_double_prime, _LEAST))
    measurement = _overdetermined(measurement_from_stack(positive))
    searches = (_minimise(measurement, start, *_TRIAL) for start in progress(_starts(stack), "refine"))
    start = _best(stack, list(searches))
    return _nuisance(stack, measurement, _minimise(measurement, start, *_FINAL))


def _overdetermined(measurement: Measurement) -> Measurement:
    """Keep the points with more than three intensities at three energies or more, where all four unknowns are seen."""
    energies = range(int(measurement.energy_of_channel.max()) + 1)
    seen = [measurement.good[:, measurement.energy_of_channel == energy].any(-1) for energy in energies]
    enough = (measurement.good.sum(-1) > 3) & (torch.stack(seen).sum(0) >= 3)
    if not bool(enough.any()):
        raise InputError(
            "Refining f', f'' needs reflections with more than three intensities at three energies; there is none; "
            "check that the files index their reflections alike."
        )
    names = ("intensity", "background", "good", "f0")
    return replace(measurement, **{name: getattr(measurement, name)[enough] for name in names})


def _starts(stack: Stack) -> list[Float[np.ndarray, "unknown"]]:
    """The stack's own values; then each energy in turn, and all of them, in the dip that f' has at the edge."""
    f_prime, f_double_prime = stack.f_prime[:-1], np.maximum(stack.f_double_prime[:-1], _LEAST)
    count = len(f_prime)
    lowered = _DEEPER * np.vstack([np.zeros(count), np.eye(count), np.ones(count)])
    return [np.concatenate([f_prime - lower, f_double_prime]) for lower in lowered]


def _best(stack: Stack, found: list[OptimizeResult]) -> Float[np.ndarray, "unknown"]:
    """Take the lowest minimum, but not one whose design is far worse conditioned than another's nearly as low.

    Where all rho_k and their conjugates lie on one circle the design loses a column, and chi-square falls a little
    below that of the truth although nothing is determined there.
    """
    unknowns = [_on_the_stacks_side(stack, item.x) for item in found]
    costs = np.array([item.cost for item in found])
    conditions = np.array([condition_number(_stack_with(stack, unknown)) for unknown in unknowns])
    conditions[costs > _AS_LOW * costs.min()] = np.inf
    costs[conditions > _ILL * conditions.min()] = np.inf
    return unknowns[int(costs.argmin())]


def _stack_with(stack: Stack, unknown: Float[np.ndarray, "unknown"]) -> Stack:
    """Put f', f'' of every energy but the last into a stack."""
    f_prime, f_double_prime = unknown.reshape(2, -1)
    return replace(
        stack,
        f_prime=np.append(f_prime, stack.f_prime[-1]),
        f_double_prime=np.append(f_double_prime, stack.f_double_prime[-1]),
    )


def _on_the_stacks_side(stack: Stack, unknown: Float[np.ndarray, "unknown"]) -> Float[np.ndarray, "unknown"]:
    """Turn the differences of f' round where they are on the other side than the stack's."""
    last = stack.f_prime[-1]
    f_prime, f_double_prime = unknown.reshape(2, -1)
    side = stack.f_prime[:-1] - last
    if (f_prime - last) @ (side if side.any() else -np.ones(len(side))) < 0:
        f_prime = 2 * last - f_prime
    return np.concatenate([f_prime, f_double_prime])


def _with_dispersion(measurement: Measurement, unknown: Float[np.ndarray, "unknown"]) -> Measurement:
    """Put trial values of f', f'' in; the last energy keeps its own, a Friedel mate the sign of its f''."""
    f_prime, f_double_prime = measurement.f_prime.clone(), measurement.f_double_prime.clone()
    for energy, (real, imaginary) in enumerate(unknown.reshape(2, -1).T):
        here = measurement.energy_of_channel == energy
        f_prime[here], f_double_prime[here] = real, imaginary * f_double_prime[here].sign()
    return replace(measurement, f_prime=f_prime, f_double_prime=f_double_prime)


def _minimise(
    measurement: Measurement, start: Float[np.ndarray, "unknown"], rounds: int, tolerance: float
) -> OptimizeResult:
    """Search from one start; the weights are held during a search and renewed from the model between searches."""
    half = len(start) // 2
    bounds = np.repeat([-np.inf, _LEAST], half), np.full(2 * half, np.inf)
    mean = (measurement.intensity * measurement.good).sum(-1, keepdim=True) / measurement.good.sum(-1, keepdim=True)
    expected, unknown = mean.expand_as(measurement.intensity), start
    for _ in range(rounds):
        weight = measurement.good / measurement.variance_at(expected.clamp(min=_DARK))
        residual, jacobian = partial(_residual, measurement, weight), partial(_jacobian, measurement, weight)
        found = least_squares(residual, unknown, jacobian, bounds, ftol=tolerance, x_scale="jac")
        moved, unknown = found.x - unknown, found.x
        expected = _expected(_with_dispersion(measurement, unknown), weight)
        if moved @ (found.jac.T @ found.jac) @ moved < _SETTLED**2:
            break
    return found


def _unknowns(trial: Measurement, weight: Float[Tensor, "point channel"]) -> Float[Tensor, "point 4"]:
    """Best unknowns of every point, linear ones on the cone, at trial values of f', f''."""
    return constrained_least_squares(trial.design(), trial.intensity - trial.background, weight)


def _expected(trial: Measurement, weight: Float[Tensor, "point channel"]) -> Float[Tensor, "point channel"]:
    """Expected photons at trial values of f', f'', background included."""
    return (trial.design() @ _unknowns(trial, weight)[..., None])[..., 0] + trial.background


def _residual(
    measurement: Measurement, weight: Float[Tensor, "point channel"], unknown: Float[np.ndarray, "unknown"]
) -> Float[np.ndarray, "residual"]:
    """Expected less observed photons over the standard deviation, every channel of every point."""
    trial = _with_dispersion(measurement, unknown)
    return (weight.sqrt() * (_expected(trial, weight) - trial.intensity)).flatten().cpu().numpy()


def _jacobian(
    measurement: Measurement, weight: Float[Tensor, "point channel"], unknown: Float[np.ndarray, "unknown"]
) -> Float[np.ndarray, "residual unknown"]:
    """Derivatives of the residual by f', f'', less what the tangent of each point's cone can follow."""
    trial = _with_dispersion(measurement, unknown)
    z, root = _unknowns(trial, weight), weight.sqrt()[..., None]
    columns = []
    for step in np.eye(len(unknown)):  # the design is quadratic in f', f'': the central difference is exact
        ahead, behind = (_with_dispersion(measurement, unknown + sign * step).design() for sign in (1, -1))
        columns.append((ahead - behind) / 2 @ z[..., None])
    slope = root * torch.cat(columns, dim=-1)
    normal = torch.nn.functional.normalize(z @ CONE.to(z), dim=-1)
    tangent = torch.eye(4).to(z) - normal[..., :, None] * normal[..., None, :]
    follow = torch.linalg.svd(root * trial.design() @ tangent, full_matrices=False).U[..., :3]
    free = slope - follow @ (follow.mT @ slope)
    return free.flatten(end_dim=1).cpu().numpy()


def _nuisance(stack: Stack, measurement: Measurement, found: OptimizeResult) -> Nuisance:
    """Result in the stack's gauge, errors from the Jacobian and the noise that the residuals show."""
    f_prime, f_double_prime = found.x.reshape(2, -1)
    last = stack.f_prime[-1]
    freedom = int(measurement.good.sum()) - 3 * len(measurement.f0) - len(found.x)
    noise_scale = np.sqrt(2 * found.cost / freedom)
    errors = noise_scale * np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    f_prime_errors, f_double_prime_errors = errors.reshape(2, -1)
    energies = len(stack.energy)
    return Nuisance(
        scale=np.ones(energies),
        scale_errors=np.zeros(energies),
        energy_offset=0.0,
        energy_offset_errors=0.0,
        f_prime=np.append(f_prime, last),
        f_prime_errors=np.append(f_prime_errors, 0.0),
        f_double_prime=np.append(f_double_prime, stack.f_double_prime[-1]),
        f_double_prime_errors=np.append(f_double_prime_errors, 0.0),
        noise_scale=float(noise_scale),
        gauge=(
            f"last energy: f' = {last:g}, f'' = {stack.f_double_prime[-1]:g} electron held; the sign of the "
            "differences of f' is the stack's; relative scales of the energies held at the monitor"
        ),
    )
