"""Bring images that differ by what a modulus cannot tell (shift, twin, global phase) onto one reference."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.physics.fourier import diffract, fourier_shift, grid, image, q_axis

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
    q = grid([q_axis(size, 1.0) for size in density.shape]).to(density.real).flatten(1)
    flat = cross.flatten()
    if not flat.any():  # one of the two is empty: nothing to register
        return torch.zeros_like(shift), flat[0]
    for _ in range(_NEWTON_STEPS):
        wave = flat * torch.exp(-1j * (shift @ q))
        overlap = wave.sum()
        slope = -1j * (q * wave).sum(1)
        bend = -torch.einsum("aq,bq->ab", (q * wave), q.to(wave.dtype))
        gradient = (overlap.conj() * slope).real
        hessian = (slope.conj()[:, None] * slope[None, :] + overlap.conj() * bend).real
        step = torch.linalg.solve(hessian, gradient).clamp(-0.5, 0.5)
        shift = shift - step
    overlap = (flat * torch.exp(-1j * (shift @ q))).sum() / flat.numel()
    return shift, overlap


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
