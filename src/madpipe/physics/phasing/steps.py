"""Projections and the steps made of them; densities, supports and moduli are cornered."""

import math
from collections.abc import Callable
from functools import wraps

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.physics.fourier import diffract_cornered, gaussian_filter, image_cornered
from madpipe.physics.phasing.moduli import Moduli


def project_modulus(density: Complex[Tensor, "*batch_space"], moduli: Moduli) -> Complex[Tensor, "*batch_space"]:
    r"""Density whose structure factor has the imposed modulus and the old phase.

    .. math:: F \to F \left(1 - w + \frac{w |F_{obs}|}{\sqrt{\gamma * |F|^2}}\right)

    Parameters
    ----------
    density:
        Cornered [any unit]; the axes before those of the moduli are batches.
    moduli:
        :func:`impose`; with w = 1 the result is the nearest density of that modulus. :math:`\gamma *` is the
        convolution with the coherence function's transform, where there is one.
    """
    factor = diffract_cornered(density, moduli.ndim)
    intensity = _intensity(factor)
    if moduli.coherence is not None:
        intensity = _filtered(intensity, moduli.coherence)
    scale = intensity.clamp_(min=torch.finfo(intensity.dtype).tiny).rsqrt_().mul_(moduli.imposed).add_(moduli.free)
    return image_cornered(factor.mul_(scale), moduli.ndim)


def _intensity(factor: Complex[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Squared modulus without the square root that abs takes."""
    return torch.addcmul(factor.real * factor.real, factor.imag, factor.imag)


def _filtered(intensity: Float[Tensor, "*batch_space"], coherence: Float[Tensor, "*kept"]) -> Tensor:
    """Convolve an intensity with the coherence function's transform, kept above the rounding of its largest value."""
    blurred = gaussian_filter(intensity, coherence)
    space = tuple(range(-coherence.ndim, 0))
    return torch.maximum(blurred, torch.finfo(blurred.dtype).eps * blurred.amax(space, keepdim=True))


def _support_factor(
    projected: Tensor, support: Bool[Tensor, "*#batch_space"], ceiling: float, ndim: int
) -> Float[Tensor, "*batch_space"]:
    """1 in the support, 0 outside; in it, what cuts moduli above ceiling times their rms."""
    inside = support.to(projected.real.dtype)
    if math.isinf(ceiling):
        return inside
    space = tuple(range(-ndim, 0))
    square = _intensity(projected)
    filled = inside.sum(space, keepdim=True).clamp(min=1)
    limit = ceiling**2 * (square * inside).sum(space, keepdim=True) / filled
    cut = (limit / square.clamp_(min=torch.finfo(square.dtype).tiny)).clamp_(max=1).sqrt_()
    return cut.mul_(inside)


def within_ceiling(
    density: Complex[Tensor, "*batch_space"], support: Bool[Tensor, "*#batch_space"], ceiling: float, ndim: int
) -> Complex[Tensor, "*batch_space"]:
    """Projection on the support, with moduli above ceiling times their rms cut; phases stay.

    A homogeneous crystal has a nearly uniform modulus; the cut keeps an unfinished image from piling up in bright
    spots, between which the phase winds.
    """
    return density * _support_factor(density, support, ceiling, ndim)


def _seed_by_seed(step: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Take the seeds one after the other on a CPU: one fits its caches, and into memory that is used again."""

    @wraps(step)
    def taken(density: Tensor, moduli: Moduli, support: Tensor, *settings: float, **named: float) -> Tensor:
        if density.is_cuda or density.ndim == moduli.ndim:
            return step(density, moduli, support, *settings, **named)
        moved, supports = torch.empty_like(density), support.expand(density.shape)
        for seed in range(len(density)):
            moved[seed] = taken(density[seed], moduli, supports[seed], *settings, **named)
        return moved

    return taken


@_seed_by_seed
def error_reduction(
    density: Complex[Tensor, "*batch_space"],
    moduli: Moduli,
    support: Bool[Tensor, "*#batch_space"],
    beta: float = 1.0,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of error reduction, :math:`x \to P_S P_M x`; it knows no beta. The Fourier error never rises.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), section III.
    """
    projected = project_modulus(density, moduli)
    return projected.mul_(_support_factor(projected, support, ceiling, moduli.ndim))


@_seed_by_seed
def hybrid_input_output(
    density: Complex[Tensor, "*batch_space"],
    moduli: Moduli,
    support: Bool[Tensor, "*#batch_space"],
    beta: float,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of hybrid input-output: :math:`P_M x` in the support, :math:`x - \beta P_M x` outside.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), eq. 44.
    """
    projected = project_modulus(density, moduli)
    inside = _support_factor(projected, support, ceiling, moduli.ndim)
    outside = (~support).to(inside.dtype)
    return (density * outside).add_(projected.mul_(inside.sub_(beta * outside)))


@_seed_by_seed
def relaxed_reflections(
    density: Complex[Tensor, "*batch_space"],
    moduli: Moduli,
    support: Bool[Tensor, "*#batch_space"],
    beta: float,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of RAAR: :math:`P_M x` in the support, :math:`\beta x + (1 - 2\beta) P_M x` outside.

    References
    ----------
    Luke, Inverse Problems 21, 37 (2005), eq. 10.
    """
    projected = project_modulus(density, moduli)
    inside = _support_factor(projected, support, ceiling, moduli.ndim)
    outside = (~support).to(inside.dtype)
    return (density * (beta * outside)).add_(projected.mul_(inside.add_((1 - 2 * beta) * outside)))


@_seed_by_seed
def difference_map(
    density: Complex[Tensor, "*batch_space"],
    moduli: Moduli,
    support: Bool[Tensor, "*#batch_space"],
    beta: float,
    ceiling: float = math.inf,
) -> Complex[Tensor, "*batch_space"]:
    r"""One step of the difference map; two modulus projections, one and Fienup's formula at beta = 1.

    .. math::
        x \to x + \beta (P_S f_M x - P_M f_S x),\quad f_M = P_M + (P_M - 1) / \beta,\quad
        f_S = P_S - (P_S - 1) / \beta

    References
    ----------
    Elser, J. Opt. Soc. Am. A 20, 40 (2003), eqs 10 and 17; Marchesini, Rev. Sci. Instrum. 78, 011301 (2007), table I.
    """
    projected = project_modulus(density, moduli)
    overshoot = (1 + 1 / beta) * projected - density / beta
    if beta == 1:
        other = projected
    else:
        inner = within_ceiling(density, support, ceiling, moduli.ndim)
        other = project_modulus(inner - (inner - density) / beta, moduli)
    return density + beta * (within_ceiling(overshoot, support, ceiling, moduli.ndim) - other)


Step = Callable[[Tensor, Moduli, Tensor, float, float], Tensor]
STEPS: dict[str, Step] = {
    "er": error_reduction,
    "hio": hybrid_input_output,
    "raar": relaxed_reflections,
    "dm": difference_map,
}


def fourier_error(
    density: Complex[Tensor, "*batch_space"],
    modulus: Float[Tensor, "*space"],
    points: Bool[Tensor, "*space"],
    coherence: Float[Tensor, "*kept"] | None = None,
) -> Float[Tensor, "*batch"]:
    r"""Relative distance of an image from the measured moduli at the chosen points; all three cornered.

    .. math:: \sqrt{\sum (|F| - |F_{obs}|)^2 / \sum |F_{obs}|^2}
    """
    space = tuple(range(-modulus.ndim, 0))
    intensity = _intensity(diffract_cornered(density, modulus.ndim))
    if coherence is not None:
        intensity = _filtered(intensity, coherence)
    miss = (intensity.sqrt() - modulus) * points
    return (miss.square().sum(space) / (modulus * points).square().sum()).sqrt()
