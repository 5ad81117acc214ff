"""Supports: from the autocorrelation, shrink-wrapped, grown; those of a density keep its layout."""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.physics.fourier import gaussian_damping, gaussian_filter, image


def dilate(support: Bool[Tensor, "*space"], steps: int) -> Bool[Tensor, "*space"]:
    """Grow a support by one voxel along every axis and either way, so many times."""
    for _ in range(steps):
        grown = support
        for axis in range(support.ndim):
            grown = grown | support.roll(1, axis) | support.roll(-1, axis)
        support = grown
    return support


def interior(support: Bool[Tensor, "*batch_space"], ndim: int) -> Bool[Tensor, "*batch_space"]:
    """Voxels of a support whose neighbours along each of the last ndim axes belong to it too."""
    inner = support
    for axis in range(-ndim, 0):
        inner = inner & support.roll(1, axis) & support.roll(-1, axis)
    return inner


def autocorrelation_support(
    intensity: Float[Tensor, "*space"], variance: Float[Tensor, "*space"], significance: float = 6.0
) -> Bool[Tensor, "*space"]:
    r"""Body whose double is the significant part of the autocorrelation.

    .. math:: S = \{r : |A(2r)| > k\,\sigma_A\},\quad A = \mathrm{image}(I),\quad \sigma_A = \sqrt{\sum\sigma_I^2}/N

    For a convex body of inversion symmetry it is the body; for any body its volume is at least the body's
    (Brunn-Minkowski), as far as the autocorrelation stands out of the noise. Needs an oversampling of 2 or more.

    Parameters
    ----------
    intensity:
        [photon, or any]; zero where not measured.
    variance:
        Of the intensity [its unit squared].
    significance:
        k; 6 leaves no false voxel in 1e8.

    References
    ----------
    Crimmins, Fienup and Thelen, J. Opt. Soc. Am. A 7, 3 (1990) on supports from autocorrelations.
    """
    correlation = image(intensity.to(torch.complex128), intensity.ndim).abs()
    noise = variance.sum().double().sqrt() / intensity.numel()
    significant = correlation > torch.maximum(significance * noise, 1e-9 * correlation.max())
    for axis, size in enumerate(intensity.shape):
        doubled = 2 * (torch.arange(size, device=intensity.device) - size // 2) + size // 2
        held = (doubled >= 0) & (doubled < size)
        picked = significant.index_select(axis, doubled.clamp(0, size - 1))
        significant = picked & held.reshape([-1 if other == axis else 1 for other in range(intensity.ndim)])
    return significant


def smoothed_modulus(
    density: Complex[Tensor, "*batch_space"], sigma: float, ndim: int
) -> Float[Tensor, "*batch_space"]:
    """Modulus of a density convolved with a Gaussian of standard deviation sigma [voxel]."""
    modulus = density.abs()
    return gaussian_filter(modulus, gaussian_damping(modulus.shape[-ndim:], [sigma] * ndim, modulus))


def shrink_to_threshold(
    density: Complex[Tensor, "*batch_space"], sigma: float, threshold: float, ndim: int
) -> Bool[Tensor, "*batch_space"]:
    """Shrink-wrap: where the smoothed modulus exceeds threshold times its maximum.

    References
    ----------
    Marchesini et al., Phys. Rev. B 68, 140101 (2003).
    """
    smooth = smoothed_modulus(density, sigma, ndim)
    return smooth > threshold * smooth.amax(tuple(range(-ndim, 0)), keepdim=True)


def shrink_to_level(
    density: Complex[Tensor, "*space"], sigma: float, level: float, within: Bool[Tensor, "*space"]
) -> Bool[Tensor, "*space"]:
    """Shrink-wrap of the last image: where the smoothed modulus exceeds level times its rms within a support.

    At a sharp edge of a body of even density a smoothed modulus is half of what it is inside, hence a level of 0.5
    puts the edge where it is, and a bright spot moves it far less than it moves a share of the maximum.
    """
    smooth = smoothed_modulus(density, sigma, within.ndim)
    rms = (smooth.square() * within).sum().div(within.sum().clamp(min=1)).sqrt()
    return (smooth > level * rms) & within


def shrink_to_volume(
    density: Complex[Tensor, "batch *space"], sigma: float, volume: int, within: Bool[Tensor, "*space"]
) -> Bool[Tensor, "batch *space"]:
    """Shrink-wrap of given volume [voxel]: the largest smoothed moduli inside an envelope.

    A threshold relative to the maximum loses the body once a bright spot forms, as strong displacement phases make
    it form; a volume does not.
    """
    smooth = smoothed_modulus(density, sigma, within.ndim) * within
    least = smooth.flatten(1).topk(volume, dim=1).values[:, -1]
    return (smooth >= least.reshape(-1, *[1] * within.ndim)) & within
