"""Bring images that differ by what a modulus cannot tell (shift, twin, global phase) onto one reference."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.physics.fourier import diffract, fourier_shift, grid, image, q_axis, real_axis

_NEWTON_STEPS = 12  # quadratic convergence from within half a voxel; 5 are enough in practice


class Alignment(NamedTuple):
    """An image moved onto a reference, and how."""

    density: Complex[Tensor, "*space"]
    support: Bool[Tensor, "*space"] | None
    shift: Float[Tensor, "axis"]  # [voxel], applied after the twin was taken
    twinned: bool
    correlation: float  # |<reference, image>| / (norms); 1 for equal images


def twin(array: Tensor, ndim: int) -> Tensor:
    r"""Conjugate inversion :math:`\rho^*(-r)` about the origin at index n // 2; its structure factor is :math:`F^*`."""
    space = tuple(range(-ndim, 0))
    turned = array.flip(space)
    even = [axis for axis in space if array.shape[axis] % 2 == 0]
    return turned.roll([1] * len(even), even).conj().resolve_conj() if even else turned.conj().resolve_conj()


def register(
    density: Complex[Tensor, "*space"], reference: Complex[Tensor, "*space"]
) -> tuple[Float[Tensor, "axis"], Complex[Tensor, ""]]:
    r"""Shift that brings a density onto a reference, and the overlap that is then left.

    .. math:: \max_s |C(s)|^2,\quad C(s) = \frac1N \sum_q R(q) D^*(q) e^{-i q s}

    The best whole voxel from one transform, then Newton's method on :math:`|C|^2`; exact to rounding for band-limited
    images.

    Returns
    -------
    :
        Shift [voxel] for :func:`fourier_shift`, and C there.
    """
    ndim = density.ndim
    cross = diffract(reference, ndim) * diffract(density, ndim).conj()
    start = image(cross, ndim).abs().flatten().argmax()
    indices = torch.stack(torch.unravel_index(start, density.shape))
    centre = torch.tensor([size // 2 for size in density.shape], device=indices.device)
    shift = (indices - centre).to(density.real.dtype)
    axes = [q_axis(size, 1.0) for size in density.shape]
    shift, overlap = _climb(cross, axes, shift, torch.full_like(shift, 0.5), -1)
    return shift, overlap / cross.numel()


def _climb(
    values: Complex[Tensor, "*grid"],
    axes: Sequence[Float[Tensor, "_"]],
    start: Float[Tensor, "axis"],
    largest: Float[Tensor, "axis"],
    sign: int,
) -> tuple[Float[Tensor, "axis"], Complex[Tensor, ""]]:
    r"""Maximise :math:`|S|^2, S(x) = \sum_c v(c) e^{\pm i x c}` by Newton's method in steps up to largest; x and S."""
    x = start
    if not values.any():  # nothing to maximise
        return torch.zeros_like(x), values.flatten()[0]
    unit = torch.eye(len(axes), dtype=torch.long)
    for _ in range(_NEWTON_STEPS):
        moments = _moments(values, axes, x, sign)
        total = moments[(0,) * len(axes)]
        slope = sign * 1j * torch.stack([moments[tuple(one)] for one in unit])
        bend = -torch.stack([torch.stack([moments[tuple(one + two)] for two in unit]) for one in unit])
        gradient = (total.conj() * slope).real
        hessian = (slope.conj()[:, None] * slope[None, :] + total.conj() * bend).real
        step = torch.linalg.solve(hessian, gradient)
        x = x - torch.minimum(torch.maximum(step, -largest), largest)
    return x, _moments(values, axes, x, sign)[(0,) * len(axes)]


def _moments(values: Tensor, axes: Sequence[Tensor], x: Tensor, sign: int) -> Tensor:
    r"""Sums :math:`\sum v\, c_1^j c_2^k .. e^{\pm i x c}` for powers 0, 1, 2 of each axis, one axis at a time."""
    for axis, place in zip(axes, x, strict=True):
        coordinate = axis.to(place)
        wave = torch.exp(sign * 1j * place * coordinate)
        columns = torch.stack([wave, wave * coordinate, wave * coordinate.square()])
        values = torch.tensordot(values, columns, dims=([0], [1]))
    return values


def align(
    density: Complex[Tensor, "*space"],
    reference: Complex[Tensor, "*space"],
    support: Bool[Tensor, "*space"] | None = None,
    *,
    allow_twin: bool = True,
) -> Alignment:
    """Move a density onto a reference: the better of itself and its twin, shifted below a voxel, phase taken off.

    Parameters
    ----------
    density, reference:
        Complex images of the same shape.
    support:
        Of the density; moved along with it by whole voxels.
    allow_twin:
        False where the hand is known.
    """
    ndim = density.ndim
    found = []
    for twinned in (False, True)[: 1 + allow_twin]:
        candidate = twin(density, ndim) if twinned else density
        found.append((*register(candidate, reference), candidate, twinned))
    shift, overlap, candidate, twinned = max(found, key=lambda item: float(item[1].abs()))
    moved = fourier_shift(candidate, shift) * overlap.sgn()
    norms = torch.linalg.vector_norm(density) * torch.linalg.vector_norm(reference)
    if support is not None:
        whole = [int(value) for value in shift.round()]
        support = (twin(support, ndim) if twinned else support).roll(whole, tuple(range(-ndim, 0)))
    return Alignment(moved, support, shift, twinned, float(overlap.abs() / norms.clamp(min=1e-300)))


def average(densities: Complex[Tensor, "solution *space"]) -> tuple[Complex[Tensor, "*space"], Tensor]:
    """Mean of solutions after aligning all of them to the first; also the aligned solutions themselves."""
    aligned = torch.stack([densities[0], *[align(other, densities[0]).density for other in densities[1:]]])
    return aligned.mean(0), aligned


class Flattened(NamedTuple):
    """A density without its linear phase ramp, and the ramp."""

    density: Complex[Tensor, "*space"]
    ramp: Float[Tensor, "axis"]  # q of the brightest point before [radian / voxel]


def remove_ramp(density: Complex[Tensor, "*space"]) -> Flattened:
    r"""Move the brightest point of the structure factor to q = 0, below the grid's steps.

    .. math:: \rho(r) \to \rho(r) e^{i q_0 r},\quad q_0 = \arg\max_q |F(q)|^2

    A ramp is a Bragg peak off the grid's middle: a uniform strain, or a reference lattice that is not the mean one.
    The best grid point, then Newton's method; exact to rounding.
    """
    ndim = density.ndim
    factor = diffract(density, ndim).abs()
    start = torch.stack(torch.unravel_index(factor.flatten().argmax(), density.shape))
    spacing = torch.tensor([2 * math.pi / size for size in density.shape]).to(density.real)
    q0 = (start - torch.tensor([size // 2 for size in density.shape])).to(spacing) * spacing
    positions = [real_axis(size, 1.0) for size in density.shape]
    ramp, _ = _climb(density, positions, q0, spacing / 2, 1)
    wave = torch.exp(1j * torch.tensordot(ramp, grid(positions).to(ramp), dims=1))
    return Flattened(density * wave, ramp)
