"""Centred Fourier pair with the crystallographer's sign, and its grids; the only file that calls torch.fft."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def _axes(ndim: int) -> tuple[int, ...]:
    """Return the last ndim axes, which are transformed; those before them are batches."""
    return tuple(range(-ndim, 0))


def diffract(density: Complex[Tensor, "*shape"], ndim: int) -> Complex[Tensor, "*shape"]:
    r"""Structure factor of a density sampled on a grid.

    .. math:: F(q) = \sum_r \rho(r) \exp(+i q \cdot r)

    Parameters
    ----------
    density:
        Scattering amplitude per voxel [electron], origin at index n // 2 of each axis.
    ndim:
        How many trailing axes are space; the axes before them are batches.

    Returns
    -------
    :
        [electron], q = 0 at index n // 2 of each axis, on :func:`q_axis`.
    """
    axes = _axes(ndim)
    shifted = torch.fft.ifftshift(density, dim=axes)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=axes, norm="forward"), dim=axes)


def image(structure_factor: Complex[Tensor, "*shape"], ndim: int) -> Complex[Tensor, "*shape"]:
    r"""Density whose structure factor is given; the inverse of :func:`diffract`.

    .. math:: \rho(r) = \frac{1}{N} \sum_q F(q) \exp(-i q \cdot r)
    """
    axes = _axes(ndim)
    shifted = torch.fft.ifftshift(structure_factor, dim=axes)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=axes, norm="forward"), dim=axes)


def real_axis(size: int, voxel_size: float) -> Float[Tensor, "size"]:
    """Positions of the voxels along one axis, origin at index size // 2 [unit of voxel_size]."""
    return (torch.arange(size, dtype=torch.float64) - size // 2) * voxel_size


def q_axis(size: int, voxel_size: float) -> Float[Tensor, "size"]:
    """Momentum transfer along one axis, 2 pi / (size x voxel_size) apart [1 / unit of voxel_size]."""
    return real_axis(size, 2 * math.pi / (size * voxel_size))


def grid(axes: Sequence[Float[Tensor, "_"]]) -> Float[Tensor, "axis ..."]:
    """Coordinates of every point of the grid spanned by the axes, one leading entry per axis."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def fourier_shift(density: Complex[Tensor, "*shape"], shift: Float[Tensor, "axis"]) -> Complex[Tensor, "*shape"]:
    """Move a band-limited density by a fraction of a voxel [voxel]; axes before the last ones are batches."""
    ndim = len(shift)
    coordinates = grid([q_axis(size, 1.0) for size in density.shape[-ndim:]]).to(shift)
    phase = torch.tensordot(shift, coordinates, dims=1)
    return image(diffract(density, ndim) * torch.exp(1j * phase), ndim)
