"""Where a particle may be: the domain of the unknowns, the core within it, and the box that holds them."""

from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.physics.phasing import dilate, interior, smoothed_modulus

HALF = 0.5  # of a full voxel's density: a voxel that is more than half full belongs to the particle
_SMOOTHING = 0.7  # voxel, where single voxels are noisy
_NOISY = 0.02  # relative error of a voxel's density, above which the core is taken from the smoothed density


def full_density(modulus: Float[Tensor, "*grid"], domain: Bool[Tensor, "*grid"]) -> float:
    """Density of a full voxel: the median over the domain's inside, two voxels from its rim if there are any."""
    inner = interior(interior(domain, domain.ndim), domain.ndim)
    return float(modulus[inner if inner.any() else domain].median())


def core_of(
    atoms: Complex[Tensor, "kind *grid"], domain: Bool[Tensor, "*grid"], noise: float = 0.0, least: float = HALF
) -> Bool[Tensor, "*grid"]:
    """Voxels that are more than half full.

    Parameters
    ----------
    atoms:
        Densities, in units of atoms.
    domain:
        Where they may be.
    noise:
        Relative error of a full voxel's density; above a few per cent neighbours are averaged first.
    least:
        Share of a full voxel's density that such a voxel has; less than half where full voxels differ.
    """
    total = atoms.sum(0)
    modulus = smoothed_modulus(total, _SMOOTHING, domain.ndim) if noise > _NOISY else total.abs()
    return (modulus > least * full_density(modulus, domain)) & dilate(domain, 1)


def box_of(domain: Bool[Tensor, "*grid"], margin: int = 1) -> tuple[slice, ...]:
    """Smallest box about a domain, and a margin where the grid leaves room for one."""
    places = torch.nonzero(domain)
    low, high = (places.amin(0) - margin).clamp(min=0).tolist(), (places.amax(0) + margin + 1).tolist()
    return tuple(slice(start, min(end, size)) for start, end, size in zip(low, high, domain.shape, strict=True))


def cut(array: Tensor, box: tuple[slice, ...]) -> Tensor:
    """Cut a box out of the last axes of an array on the grid."""
    place: tuple[Any, ...] = (..., *box)
    return array[place].contiguous()


def pasted(part: Tensor, box: tuple[slice, ...], shape: tuple[int, ...]) -> Tensor:
    """Put what fills a box back onto the grid, with zeros about it."""
    whole = part.new_zeros(*part.shape[: part.ndim - len(box)], *shape)
    place: tuple[Any, ...] = (..., *box)
    whole[place] = part
    return whole
