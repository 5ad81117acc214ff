"""Measured moduli with the weight that errors leave them, masks, held-out points, and partial coherence."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.physics.fourier import cornered, gaussian_damping
from madpipe.physics.phasing.quality import distance, shell_mean, shells

_POWER_ROUNDS = 4  # of a fixed point that settles by a factor of ten each where noise is below the signal
_HELD_OUT_RADIUS = 1.5  # points; a ball of 19 points in 3-D, a disk of 9 in 2-D


class Moduli(NamedTuple):
    """Measured moduli, cornered, in the form in which the projection uses them."""

    imposed: Float[Tensor, "*space"]  # w |F_obs|
    free: Float[Tensor, "*space"]  # 1 - w; 1 where the structure factor floats
    coherence: Float[Tensor, "*kept"] | None = None  # damps the autocorrelation; None: full coherence

    @property
    def ndim(self) -> int:
        """Number of axes of space."""
        return self.imposed.ndim


def impose(
    modulus: Float[Tensor, "*space"],
    known: Bool[Tensor, "*space"],
    error: Float[Tensor, "*space"] | None = None,
    coherence_length: Sequence[float] | None = None,
) -> Moduli:
    r"""Prepare moduli for the projection, each with the weight that its error leaves it.

    .. math::
        |F| \to |F| + w\,(|F_{obs}| - |F|),\quad w = \frac{\tau^2}{\tau^2 + \sigma^2},\quad
        \tau^2 = \langle |F_{obs}|^2 - \sigma^2 \rangle_{|q|}

    It is the proximal map of the point's log likelihood :math:`(|F| - |F_{obs}|)^2 / 2\sigma^2`, from an iterate
    that may be wrong by the power of its shell of q, :math:`\tau^2`: a speckle's minimum that was measured well is
    imposed though weak, a point below its noise floats, points in between are relaxed.

    Parameters
    ----------
    modulus:
        Centred [unit of density summed over voxels].
    known:
        Points with a measurement; the others (mask, gap, held out) float.
    error:
        Standard deviation of the moduli [their unit]; left out, all known points are imposed.
    coherence_length:
        Standard deviation along each axis of the Gaussian mutual coherence as a function of distance [voxel]; left
        out, the illumination is coherent. The intensity is then the coherent one convolved with a Gaussian of
        n / (2 pi times this length) points, and the projection compares with that.

    References
    ----------
    Marchesini, Rev. Sci. Instrum. 78, 011301 (2007), sections II and V, on projections and distances that errors
    weight; Parikh and Boyd, Found. Trends Optim. 1, 127 (2014), section 6, on proximal maps; Clark et al., Nat.
    Commun. 3, 993 (2012) on partial coherence.
    """
    weight = known.to(modulus)
    if error is not None:
        variance = torch.where(known, error, 0).square()
        power = _shell_power(modulus.square(), variance, known)
        weight = weight * power / (power + variance).clamp(min=torch.finfo(modulus.dtype).tiny)
    imposed = torch.where(known, weight * modulus, 0)
    coherence = None
    if coherence_length is not None:
        widths = [n / (2 * math.pi * length) for n, length in zip(modulus.shape, coherence_length, strict=True)]
        coherence = gaussian_damping(modulus.shape, widths, modulus)
    return Moduli(cornered(imposed, modulus.ndim), cornered(1 - weight, modulus.ndim), coherence)


def _shell_power(square: Tensor, variance: Tensor, known: Tensor) -> Tensor:
    """Mean power without noise over the shell of q of each point, laid back onto the grid.

    Points weigh by the inverse variance of their power, (tau^2 + sigma^2)^-2, which the power itself enters.
    """
    shell, counts = shells(square.shape).to(square.device), known.to(square)
    excess = torch.where(known, square - variance, 0)
    power = shell_mean(torch.where(known, square, 0), counts)[shell]
    for _ in range(_POWER_ROUNDS):
        weight = (power / (power + variance).clamp(min=torch.finfo(square.dtype).tiny)).square()
        power = shell_mean(excess, counts * weight).clamp(min=0)[shell]
    return power


def draw_held_out(
    known: Bool[Tensor, "*space"], share: float, centre: float, generator: torch.Generator
) -> Bool[Tensor, "*space"]:
    """Draw known points to be kept from the iterations, so that they can judge their outcome.

    Small balls instead of single points, because an oversampled diffraction pattern gives a single point away by its
    neighbours; none touches the central speckle, without which nothing can be retrieved.

    Parameters
    ----------
    known:
        Centred.
    share:
        Of the known points outside the central speckle [1].
    centre:
        Radius of the central speckle [point]: grid points over the body's width.
    generator:
        Draws the balls' centres.

    References
    ----------
    Bruenger, Nature 355, 472 (1992) on the free R value; Favre-Nicolin, Leake and Chushkin, Sci. Rep. 10, 2664 (2020)
    on free pixels in coherent diffraction.
    """
    radius = distance(known.shape).to(known.device)
    allowed = known & (radius > centre)
    ball = distance([2 * math.ceil(_HELD_OUT_RADIUS) + 1] * known.ndim) <= _HELD_OUT_RADIUS
    chance = 1 - (1 - share) ** (1 / int(ball.sum()))
    seeds = (torch.rand(known.shape, generator=generator, device=generator.device) < chance).to(known.device)
    drawn = torch.zeros_like(known)
    for offset in torch.nonzero(ball) - math.ceil(_HELD_OUT_RADIUS):
        drawn = drawn | seeds.roll(offset.tolist(), tuple(range(known.ndim)))
    return drawn & allowed
