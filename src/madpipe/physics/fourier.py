"""Fourier pair with the crystallographer's sign, and its grids; the only file that calls torch.fft.

Arrays are centred, origin at index n // 2 of each axis. Loops over many transforms keep theirs "cornered" instead,
origin at index 0, and move it at their two ends only: centring costs as much as the transform.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float, Shaped
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
    return centred(diffract_cornered(cornered(density, ndim), ndim), ndim)


def image(structure_factor: Complex[Tensor, "*shape"], ndim: int) -> Complex[Tensor, "*shape"]:
    r"""Density whose structure factor is given; the inverse of :func:`diffract`.

    .. math:: \rho(r) = \frac{1}{N} \sum_q F(q) \exp(-i q \cdot r)
    """
    return centred(image_cornered(cornered(structure_factor, ndim), ndim), ndim)


def cornered(array: Shaped[Tensor, "*shape"], ndim: int) -> Shaped[Tensor, "*shape"]:
    """Move the origin from index n // 2 of the last ndim axes to index 0."""
    moved: Tensor = torch.fft.ifftshift(array, dim=_axes(ndim))
    return moved


def centred(array: Shaped[Tensor, "*shape"], ndim: int) -> Shaped[Tensor, "*shape"]:
    """Move the origin from index 0 of the last ndim axes to index n // 2; the inverse of :func:`cornered`."""
    moved: Tensor = torch.fft.fftshift(array, dim=_axes(ndim))
    return moved


def diffract_cornered(density: Complex[Tensor, "*shape"], ndim: int) -> Complex[Tensor, "*shape"]:
    """:func:`diffract` with the origin at index 0 on either side."""
    transform: Tensor = torch.fft.ifftn(density, dim=_axes(ndim), norm="forward")
    return transform


def image_cornered(structure_factor: Complex[Tensor, "*shape"], ndim: int) -> Complex[Tensor, "*shape"]:
    """:func:`image` with the origin at index 0 on either side."""
    density: Tensor = torch.fft.fftn(structure_factor, dim=_axes(ndim), norm="forward")
    return density


def autocorrelation_cornered(intensity: Float[Tensor, "*shape"]) -> Float[Tensor, "*kept"]:
    """Modulus of the autocorrelation whose transform is an intensity, origin at index 0.

    Of the last axis only the half from 0 on: the other half mirrors it.
    """
    modulus: Tensor = torch.fft.rfftn(intensity).abs()
    return modulus


def gaussian_filter(values: Float[Tensor, "*shape"], damping: Float[Tensor, "*kept"]) -> Float[Tensor, "*shape"]:
    """Multiply the transform of real values by :func:`gaussian_damping`; commutes with moving the origin."""
    axes = _axes(damping.ndim)
    spectrum = torch.fft.rfftn(values, dim=axes) * damping
    filtered: Tensor = torch.fft.irfftn(spectrum, s=[values.shape[axis] for axis in axes], dim=axes)
    return filtered


def gaussian_damping(shape: Sequence[int], widths: Sequence[float], like: Tensor) -> Float[Tensor, "*kept"]:
    r"""Transform of a Gaussian of unit sum, for :func:`gaussian_filter`.

    .. math:: \exp(-\tfrac12 \sum_i (2\pi k_i w_i / n_i)^2)

    Parameters
    ----------
    shape:
        Of the array to be filtered, n.
    widths:
        Standard deviation w of the Gaussian along each axis [point].
    like:
        Tensor whose dtype and device are taken.
    """
    kept = [*shape[:-1], shape[-1] // 2 + 1]
    damping = torch.ones(kept, dtype=like.dtype, device=like.device)
    for axis, (size, width) in enumerate(zip(shape, widths, strict=True)):
        k = torch.arange(kept[axis], dtype=torch.float64)
        turn = 2 * math.pi * torch.minimum(k, size - k) / size
        profile = torch.exp(-((turn * width) ** 2) / 2).to(damping)
        damping = damping * profile.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return damping


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


def diffract_box(box: Complex[Tensor, "*batch_box"], shape: Sequence[int]) -> Complex[Tensor, "*batch_q"]:
    r"""Structure factor of a density that fills a box of the grid and is zero elsewhere, cornered.

    .. math:: F(q) = \sum_r \rho(r) \exp(+i q \cdot r)

    The box stands at the origin, r >= 0, and q = 0 at index 0 of each axis: no array is shifted, and rows that hold
    nothing are not transformed. Against :func:`diffract` of the same density elsewhere only phases differ, by a ramp.

    Parameters
    ----------
    box:
        Scattering amplitude per voxel [electron]; the last len(shape) axes are space.
    shape:
        Of the whole grid, at least the box's.
    """
    for axis, size in zip(range(-1, -len(shape) - 1, -1), reversed(shape), strict=True):
        box = torch.fft.ifft(box, n=size, dim=axis, norm="forward")
    return box


def onto_box(structure_factor: Complex[Tensor, "*batch_q"], box: Sequence[int]) -> Complex[Tensor, "*batch_box"]:
    r"""Adjoint of :func:`diffract_box`: :math:`\sum_q F(q) \exp(-i q \cdot r)` for the voxels of the box."""
    for axis, size in zip(range(-len(box), 0), box, strict=True):
        structure_factor = torch.fft.fft(structure_factor, dim=axis).narrow(axis, 0, size)
    return structure_factor
