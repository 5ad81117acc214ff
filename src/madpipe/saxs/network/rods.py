"""Orientation averages of spheroids and of round cylinders with a shell, for many particles at once, in float32.

The amplitude of a cylinder is a product of one function of x = q sin(theta) and one of y = q cos(theta): the averages
over the size distribution are those of products of these, tabulated once for each particle and read at all angles.
It is a quick path beside physics.scattering's form factors, which the tests compare it with.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_TABLE = 1536  # values of a table, dense at small arguments
_BLOCK = 32  # points of q that share their angles
_STEP = 0.0125  # of ln x in the table of a sphere's average
_FEWEST, _DENSITY, _MOST_ANGLES = 20, 0.7, 256  # angles: this many, and so many more for each radian of q times size


class Angles(NamedTuple):
    """Angles between the axis and q for blocks of an axis of q, and where the tables are read."""

    weights: list[Float[Tensor, "angle"]]  # sum to 1, sin(theta) included
    across: list[tuple[Int[Tensor, "place"], Float[Tensor, "place"]]]  # of q sin(theta): place in the table, share
    along: list[tuple[Int[Tensor, "place"], Float[Tensor, "place"]]]  # of q cos(theta)
    at: Float[Tensor, "table"]  # arguments of the table
    shapes: list[tuple[int, int]]  # points of q and angles of each block


def angles_for(q: Float[Tensor, "q"], size: float) -> Angles:
    """Choose angles and table for an axis of rising q and particles of no more than a size [inverse of q]."""
    at = (float(q[-1]) * 1.001) * torch.linspace(0, 1, _TABLE, dtype=torch.float64) ** 2
    weights, across, along, shapes = [], [], [], []
    for block in q.double().split(_BLOCK):
        count = min(int(_FEWEST + _DENSITY * float(block[-1]) * size), _MOST_ANGLES)
        nodes, share = np.polynomial.legendre.leggauss(count)
        theta = torch.from_numpy((nodes + 1) * np.pi / 4)
        weights.append((torch.from_numpy(share) * np.pi / 4 * torch.sin(theta)).float())
        across.append(_places(block[:, None] * torch.sin(theta), at))
        along.append(_places(block[:, None] * torch.cos(theta), at))
        shapes.append((len(block), count))
    return Angles(weights, across, along, at.float(), shapes)


def _places(x: Float[Tensor, "q angle"], at: Float[Tensor, "table"]) -> tuple[Tensor, Tensor]:
    """Where values lie in a table: the entry below, and the share of the entry above."""
    x = x.flatten()
    below = (torch.searchsorted(at, x, right=True) - 1).clamp(0, len(at) - 2)
    return below, ((x - at[below]) / (at[below + 1] - at[below])).float()


def disk_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """2 J1(x) / x, which is 1 at 0."""
    small = x.clamp(min=1e-3)
    return torch.where(x < 1e-3, 1 - x**2 / 8, 2 * torch.special.bessel_j1(small) / small)


def slab_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """sin(x) / x, which is 1 at 0."""
    small = x.clamp(min=1e-3)
    return torch.where(x < 1e-3, 1 - x**2 / 6, torch.sin(small) / small)


def sphere_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """3 (sin x - x cos x) / x^3, which is 1 at 0."""
    large = x.clamp(min=0.05)
    series = 1 - x**2 / 10 + x**4 / 280
    return torch.where(x < 0.05, series, 3 * (torch.sin(large) - large * torch.cos(large)) / large**3)


def cylinders(
    angles: Angles,
    radius: Float[Tensor, "particle node"],
    length: Float[Tensor, "particle other"],
    thickness: Float[Tensor, "particle"],
    weights: Float[Tensor, "particle node"],
    other_weights: Float[Tensor, "particle other"],
    contrasts: Float[Tensor, "particle 2"],
) -> tuple[Float[Tensor, "particle q"], Float[Tensor, "particle"]]:
    """Mean square amplitude of cylinders in a shell on all sides, and mean outer volume.

    Parameters
    ----------
    angles:
        Of the axis of q.
    radius, length, weights, other_weights:
        Of the core, in nodes of their independent distributions; weights sum to 1.
    thickness:
        Of the shell; 0: none.
    contrasts:
        Core and shell against the solvent.
    """
    shell = thickness[:, None]
    area, outer_area = torch.pi * radius**2, torch.pi * (radius + shell) ** 2
    outer = length + 2 * shell
    across = _products(
        area[:, None] * disk_amplitude(angles.at[:, None] * radius[:, None]),
        outer_area[:, None] * disk_amplitude(angles.at[:, None] * (radius + shell)[:, None]),
        weights,
    )
    along = _products(
        length[:, None] * slab_amplitude(angles.at[:, None] * length[:, None] / 2),
        outer[:, None] * slab_amplitude(angles.at[:, None] * outer[:, None] / 2),
        other_weights,
    )
    inner = (contrasts[:, 0] - contrasts[:, 1])[:, None, None]
    factors = torch.cat([inner**2, 2 * inner * contrasts[:, 1, None, None], contrasts[:, 1, None, None] ** 2], dim=1)
    volume = (outer_area * weights).sum(1) * (outer * other_weights).sum(1)
    return _averaged(angles, across, factors * along), volume


def _products(
    inner: Float[Tensor, "particle table node"],
    outer: Float[Tensor, "particle table node"],
    weights: Float[Tensor, "particle node"],
) -> Float[Tensor, "particle 3 table"]:
    """Averages of inner^2, inner outer and outer^2."""
    pairs = (inner * inner, inner * outer, outer * outer)
    return torch.stack([(pair @ weights[:, :, None])[..., 0] for pair in pairs], dim=1)


def _averaged(
    angles: Angles, across: Float[Tensor, "particle 3 table"], along: Float[Tensor, "particle 3 table"]
) -> Float[Tensor, "particle q"]:
    """Sum over the products, and mean over orientations."""
    blocks = []
    for weights, x, y, shape in zip(angles.weights, angles.across, angles.along, angles.shapes, strict=True):
        values = (_read(across, x) * _read(along, y)).sum(1)
        blocks.append(values.unflatten(1, shape) @ weights)
    return torch.cat(blocks, dim=1)


def _read(table: Float[Tensor, "particle 3 table"], places: tuple[Tensor, Tensor]) -> Float[Tensor, "particle 3 place"]:
    """Interpolate a table linearly."""
    below, share = places
    low = table[:, :, below]
    return low + share * (table[:, :, below + 1] - low)


def spheroids(
    q: Float[Tensor, "q"],
    polar: Float[Tensor, "particle"],
    equatorial: Float[Tensor, "particle"],
    relative: Float[Tensor, "particle node"],
    weights: Float[Tensor, "particle node"],
) -> tuple[Float[Tensor, "particle q"], Float[Tensor, "particle"]]:
    """Mean square amplitude of ellipsoids of revolution whose two radii vary in proportion, and mean volume.

    Parameters
    ----------
    q:
        Rising, even in ln q.
    polar, equatorial:
        Mean radii.
    relative, weights:
        Sizes over the mean, in nodes of the distribution.
    """
    nodes, share = np.polynomial.legendre.leggauss(64)
    cosine = torch.from_numpy((nodes + 1) / 2).float()
    radius = torch.sqrt((polar[:, None] * cosine) ** 2 + equatorial[:, None] ** 2 * (1 - cosine**2))
    step = min(float(torch.log(q[1] / q[0])), 2 * _STEP)
    most, least = torch.maximum(polar, equatorial).max(), torch.minimum(polar, equatorial).min()
    begin, end = torch.log(q[0] * least) - 2 * step, torch.log(q[-1] * most) + 2 * step
    at = torch.exp(torch.arange(float(begin), float(end), step / 2, dtype=q.dtype))
    square = sphere_amplitude(at[:, None] * relative[:, None]) ** 2 * relative[:, None] ** 6
    table = (square @ weights[:, :, None])[..., 0]
    place = (torch.log(q[:, None] * radius[:, None]) - begin) / (step / 2)
    below = place.floor().long().clamp(0, len(at) - 2).flatten(1)
    low, high = table.gather(1, below), table.gather(1, below + 1)
    values = (low + (place.flatten(1) - below) * (high - low)).unflatten(1, place.shape[1:])
    volume = 4 / 3 * torch.pi * polar * equatorial**2
    square_mean = values @ torch.from_numpy(share / 2).float()
    return volume[:, None] ** 2 * square_mean, volume * (relative**3 * weights).sum(1)
