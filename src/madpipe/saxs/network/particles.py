"""Intensities of particles with a spread of sizes, for many at once, in float32: what training curves are made of."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.saxs.network.rods import Angles, cylinders, sphere_amplitude

TO_PER_CM = 1e-4  # (1e-6/angstrom^2)^2 angstrom^3 in 1/cm


class Spread(NamedTuple):
    """Sizes over their mean in nodes of a distribution; weights sum to 1."""

    relative: Float[Tensor, "particle node"]
    weights: Float[Tensor, "particle node"]


def schulz(width: Float[Tensor, "particle"], nodes: int, reach: tuple[float, float] = (4.0, 8.0)) -> Spread:
    """Schulz's distribution of a mean of 1, number-weighted, in even steps.

    .. math:: n(x) \\propto x^{z} e^{-(z+1) x}, \\quad z + 1 = 1 / pd^2

    Parameters
    ----------
    width:
        Standard deviation over the mean.
    nodes:
        Steps.
    reach:
        Deviations below and above the mean; the volume squared makes those above count.
    """
    inverse = 1 / width[:, None] ** 2
    raw = 1 + width[:, None] * torch.linspace(-reach[0], reach[1], nodes, dtype=width.dtype)
    relative = raw.clamp(min=1e-3)
    weights = torch.exp((inverse - 1) * torch.log(relative) - (relative - 1) * inverse) * (raw > 1e-3)
    return Spread(relative, weights / weights.sum(1, keepdim=True))


def lognormal(width: Float[Tensor, "particle"], nodes: int, reach: tuple[float, float] = (4.0, 6.0)) -> Spread:
    """Lognormal distribution of a mean of 1 and a relative width, in even steps of ln x; see :func:`schulz`."""
    deviation = torch.sqrt(torch.log1p(width**2))[:, None]
    steps = torch.linspace(-reach[0], reach[1], nodes, dtype=width.dtype)
    relative = torch.exp(deviation * steps - deviation**2 / 2)
    weights = torch.exp(-(steps**2) / 2).expand_as(relative)
    return Spread(relative, weights / weights.sum(1, keepdim=True))


def gaussian(width: Float[Tensor, "particle"], nodes: int, reach: tuple[float, float] = (4.0, 5.0)) -> Spread:
    """Gaussian distribution of a mean of 1, cut at 0, in even steps; see :func:`schulz`."""
    steps = torch.linspace(-reach[0], reach[1], nodes, dtype=width.dtype)
    raw = 1 + width[:, None] * steps
    weights = torch.exp(-(steps**2) / 2) * (raw > 1e-3)
    return Spread(raw.clamp(min=1e-3), weights / weights.sum(1, keepdim=True))


def single(like: Float[Tensor, "particle"]) -> Spread:
    """No spread: one node."""
    one = torch.ones(len(like), 1, dtype=like.dtype)
    return Spread(one, one)


def core_shell_spheres(
    q: Float[Tensor, "q"],
    radius: Float[Tensor, "particle"],
    thickness: Float[Tensor, "particle node"],
    spread: Spread,
    contrasts: Float[Tensor, "particle 2"],
) -> tuple[Float[Tensor, "particle q"], Float[Tensor, "particle"]]:
    """Mean square amplitude of spheres in a shell, whose core's radius is spread, and mean outer volume.

    Parameters
    ----------
    q:
        [1/angstrom].
    radius, thickness:
        Of the core, of the shell in each node [angstrom].
    spread:
        Of the core's radius.
    contrasts:
        Core and shell against the solvent.
    """
    core = radius[:, None] * spread.relative
    outer = core + thickness
    inner = 4 / 3 * torch.pi * core**3 * (contrasts[:, :1] - contrasts[:, 1:])
    whole = 4 / 3 * torch.pi * outer**3 * contrasts[:, 1:]
    amplitude = inner[:, None] * sphere_amplitude(q[:, None] * core[:, None])
    amplitude = amplitude + whole[:, None] * sphere_amplitude(q[:, None] * outer[:, None])
    volume = (4 / 3 * torch.pi * outer**3 * spread.weights).sum(1)
    return (amplitude**2 @ spread.weights[:, :, None])[..., 0], volume


def round_rods(
    angles: Angles,
    radius: Float[Tensor, "particle"],
    length: Float[Tensor, "particle"],
    thickness: Float[Tensor, "particle"],
    spreads: tuple[Spread, Spread],
    contrasts: Float[Tensor, "particle 2"],
) -> tuple[Float[Tensor, "particle q"], Float[Tensor, "particle"]]:
    """Mean square amplitude of cylinders in a shell, mean outer volume; spreads are of the core's radius and length."""
    wide, long = spreads
    nodes = radius[:, None] * wide.relative, length[:, None] * long.relative
    return cylinders(angles, *nodes, thickness, wide.weights, long.weights, contrasts)
