"""Phase retrieval of a finite density from the modulus of its structure factor, many starts side by side.

Densities are (*batch, *space), moduli and masks (*space); a real dtype of the modulus and the matching complex dtype
of the density are kept, so complex64 iterates run in float32: the iteration corrects its own rounding, and 1e-7 is far
below the counting noise. ``known`` is false where the modulus was not measured or is insignificant; there the
structure factor floats.
"""

import math
from itertools import combinations

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from madpipe.physics.fourier import diffract, grid, image, q_axis


def project_modulus(
    density: Complex[Tensor, "*batch_space"], modulus: Float[Tensor, "*space"], known: Bool[Tensor, "*space"]
) -> Complex[Tensor, "*batch_space"]:
    r"""Nearest density whose structure factor has the measured modulus.

    .. math:: F \to |F_{obs}|\, F / |F| \text{ where known, unchanged elsewhere}

    Parameters
    ----------
    density:
        [any unit]; the axes before those of the modulus are batches.
    modulus:
        [unit of density summed over voxels].
    known:
        Points that are imposed; the others float free.
    """
    factor = diffract(density, modulus.ndim)
    tiny = torch.finfo(modulus.dtype).tiny
    ratio = torch.where(known, modulus / factor.abs().clamp(min=tiny**0.5), 1)
    return image(factor * ratio, modulus.ndim)


def within_ceiling(
    density: Complex[Tensor, "*batch_space"], support: Bool[Tensor, "*#batch_space"], ceiling: float, ndim: int
) -> Complex[Tensor, "*batch_space"]:
    """Cut moduli above ceiling times their rms in the support; phases stay.

    A homogeneous crystal has a nearly uniform modulus; the cut keeps an unfinished image from piling up in bright
    spots, between which the phase winds.
    """
    space = tuple(range(-ndim, 0))
    modulus = density.abs()
    filled = support.sum(space, keepdim=True).clamp(min=1)
    rms = ((modulus.square() * support).sum(space, keepdim=True) / filled).sqrt()
    return density * (ceiling * rms / modulus.clamp(min=1e-30)).clamp(max=1)


def error_reduction(
    density: Complex[Tensor, "*batch_space"],
    modulus: Float[Tensor, "*space"],
    known: Bool[Tensor, "*space"],
    support: Bool[Tensor, "*#batch_space"],
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of error reduction, :math:`x \to P_S P_M x`; the Fourier error never rises.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), section III.
    """
    return project_modulus(density, modulus, known) * support


def _projections(
    density: Tensor, modulus: Tensor, known: Tensor, support: Tensor, ceiling: float
) -> tuple[Tensor, Tensor]:
    """Projection on the modulus, and the same below the ceiling."""
    projected = project_modulus(density, modulus, known)
    inside = projected if math.isinf(ceiling) else within_ceiling(projected, support, ceiling, modulus.ndim)
    return projected, inside


def hybrid_input_output(
    density: Complex[Tensor, "*batch_space"],
    modulus: Float[Tensor, "*space"],
    known: Bool[Tensor, "*space"],
    support: Bool[Tensor, "*#batch_space"],
    beta: float,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of hybrid input-output: :math:`P_M x` in the support, :math:`x - \beta P_M x` outside.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), eq. 44.
    """
    projected, inside = _projections(density, modulus, known, support, ceiling)
    return torch.where(support, inside, density - beta * projected)


def relaxed_reflections(
    density: Complex[Tensor, "*batch_space"],
    modulus: Float[Tensor, "*space"],
    known: Bool[Tensor, "*space"],
    support: Bool[Tensor, "*#batch_space"],
    beta: float,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of RAAR: :math:`P_M x` in the support, :math:`\beta x + (1 - 2\beta) P_M x` outside.

    References
    ----------
    Luke, Inverse Problems 21, 37 (2005), eq. 10.
    """
    projected, inside = _projections(density, modulus, known, support, ceiling)
    return torch.where(support, inside, beta * density + (1 - 2 * beta) * projected)


STEPS = {"hio": hybrid_input_output, "raar": relaxed_reflections}


def fourier_error(
    density: Complex[Tensor, "*batch_space"], modulus: Float[Tensor, "*space"], points: Bool[Tensor, "*space"]
) -> Float[Tensor, "*batch"]:
    r"""Relative distance of an image from the measured moduli at the chosen points.

    .. math:: \sqrt{\sum (|F| - |F_{obs}|)^2 / \sum |F_{obs}|^2}
    """
    space = tuple(range(-modulus.ndim, 0))
    miss = (diffract(density, modulus.ndim).abs() - modulus) * points
    return (miss.square().sum(space) / (modulus * points).square().sum()).sqrt()


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
    shape = density.shape[-ndim:]
    q2 = grid([q_axis(size, 1.0) for size in shape]).square().sum(0).to(density.real)
    spectrum = diffract(density.abs().to(density.dtype), ndim) * torch.exp(-q2 * sigma**2 / 2)
    return image(spectrum, ndim).real


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


def transfer_function(
    densities: Complex[Tensor, "solution *space"], modulus: Float[Tensor, "*space"]
) -> Float[Tensor, "*space"]:
    r"""Phase retrieval transfer function of aligned solutions, 1 where they agree on the phase.

    .. math:: T(q) = |\langle F / |F| \rangle|

    References
    ----------
    Chapman et al., J. Opt. Soc. Am. A 23, 1179 (2006), eq. 12, with moduli set to the measured ones.
    """
    return diffract(densities, modulus.ndim).sgn().mean(0).abs()


def shell_mean(values: Float[Tensor, "*space"], weights: Float[Tensor, "*space"]) -> Float[Tensor, "shell"]:
    """Weighted mean over shells one point wide about the origin; 0 in a shell without weight."""
    radius = grid([q_axis(size, 2 * math.pi / size) for size in values.shape]).norm(dim=0).round().long().flatten()
    radius = radius.to(values.device)
    total = torch.bincount(radius, (values * weights).flatten())
    weight = torch.bincount(radius, weights.flatten())
    return torch.where(weight > 0, total / weight.clamp(min=torch.finfo(weight.dtype).tiny), 0)


def count_vortices(
    density: Complex[Tensor, "*batch_space"], support: Bool[Tensor, "*batch_space"], ndim: int
) -> Int[Tensor, "*batch"]:
    r"""Count elementary squares of voxels around which the phase winds.

    .. math:: \oint d\phi = \pm 2\pi \text{ over four voxels, all in the support}

    In 3-D squares of all three orientations count, so one line of dislocation counts once per voxel of its length.
    """
    phase = density.angle()
    count = torch.zeros(density.shape[: density.ndim - ndim], dtype=torch.int64, device=density.device)
    for first, second in combinations(range(-ndim, 0), 2):
        corners = [_corner(phase, first, second, i, j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        inside = [_corner(support, first, second, i, j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        steps = [_wrapped(b - a) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
        winds = sum(steps[1:], steps[0]).abs() > math.pi
        held = inside[0] & inside[1] & inside[2] & inside[3]
        count = count + (winds & held).sum(tuple(range(-ndim, 0)))
    return count


def _corner(array: Tensor, first: int, second: int, i: int, j: int) -> Tensor:
    """Array of one corner of every square of two axes."""
    along = array.narrow(first, i, array.shape[first] - 1)
    return along.narrow(second, j, along.shape[second] - 1)


def _wrapped(angle: Tensor) -> Tensor:
    """Angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
