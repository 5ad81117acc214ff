"""Amplitudes of homogeneous solids, their second moments and how fast they oscillate with direction."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import Literal

import torch
from torch import Tensor

from madpipe.physics.scattering.bessel_ratios import ball_amplitude, disc_amplitude, slab_amplitude
from madpipe.physics.scattering.orientation import Directions

Size = tuple[Tensor, ...]  # half axes of a solid [angstrom], each of the batch's shape
Symmetry = Literal["ball", "revolution", "three axes", "sheet"]


@dataclass(frozen=True)
class Solid:
    """A homogeneous body with its centre at the origin.

    Attributes
    ----------
    symmetry:
        What the average over orientation has to go through.
    amplitude:
        :math:`f(q) = \\int e^{iqr} d^3r` of wave number [1/angstrom], size, directions [angstrom^3]; the volume at 0.
    second_moment:
        :math:`\\int r^2 d^3r` [angstrom^5].
    reach:
        Lengths by which q is multiplied to give the largest rate of phase in the polar cosine and in the azimuth
        [angstrom].
    """

    symmetry: Symmetry
    amplitude: Callable[[Tensor, Size, Directions], Tensor]
    second_moment: Callable[[Size], Tensor]
    reach: Callable[[Size], tuple[Tensor, Tensor]]


def _ball(q: Tensor, size: Size, towards: Directions) -> Tensor:
    (radius,) = size
    return (4 * pi / 3) * radius**3 * ball_amplitude(q * radius)


def _spheroid(q: Tensor, size: Size, towards: Directions) -> Tensor:
    polar, equatorial = size
    radius = ((polar * towards.polar) ** 2 + (equatorial * towards.sine) ** 2).sqrt()
    return (4 * pi / 3) * polar * equatorial**2 * ball_amplitude(q * radius)


def _ellipsoid(q: Tensor, size: Size, towards: Directions) -> Tensor:
    a, b, c = size
    across = (a * towards.azimuth.cos()) ** 2 + (b * towards.azimuth.sin()) ** 2
    radius = ((c * towards.polar) ** 2 + across * towards.sine**2).sqrt()
    return (4 * pi / 3) * a * b * c * ball_amplitude(q * radius)


def _rod(q: Tensor, size: Size, towards: Directions) -> Tensor:
    radius, half = size
    across, along = disc_amplitude(q * radius * towards.sine), slab_amplitude(q * half * towards.polar)
    return 2 * pi * radius**2 * half * across * along


def _box(q: Tensor, size: Size, towards: Directions) -> Tensor:
    a, b, c = size
    across = slab_amplitude(q * a * (towards.sine * towards.azimuth.cos()))
    across = across * slab_amplitude(q * b * (towards.sine * towards.azimuth.sin()))
    return 8 * a * b * c * across * slab_amplitude(q * c * towards.polar)


def _slab(q: Tensor, size: Size, towards: Directions) -> Tensor:
    (half,) = size
    return 2 * half * slab_amplitude(q * half)


def _spheroid_reach(size: Size) -> tuple[Tensor, Tensor]:
    polar, equatorial = size
    return (polar**2 - equatorial**2).abs().sqrt(), torch.zeros_like(polar)


def _ellipsoid_reach(size: Size) -> tuple[Tensor, Tensor]:
    a, b, c = size
    along = torch.maximum((c**2 - a**2).abs(), (c**2 - b**2).abs()).sqrt()
    return along, (a**2 - b**2).abs().sqrt()


BALL = Solid("ball", _ball, lambda size: (4 * pi / 5) * size[0] ** 5, lambda size: (0 * size[0], 0 * size[0]))
SPHEROID = Solid(
    "revolution",
    _spheroid,
    lambda size: (4 * pi / 15) * size[0] * size[1] ** 2 * (size[0] ** 2 + 2 * size[1] ** 2),
    _spheroid_reach,
)
ELLIPSOID = Solid(
    "three axes",
    _ellipsoid,
    lambda size: (4 * pi / 15) * size[0] * size[1] * size[2] * (size[0] ** 2 + size[1] ** 2 + size[2] ** 2),
    _ellipsoid_reach,
)
ROD = Solid(
    "revolution",
    _rod,
    lambda size: 2 * pi * size[0] ** 2 * size[1] * (size[0] ** 2 / 2 + size[1] ** 2 / 3),
    lambda size: (size[0] + size[1], 0 * size[0]),
)
BOX = Solid(
    "three axes",
    _box,
    lambda size: (8 / 3) * size[0] * size[1] * size[2] * (size[0] ** 2 + size[1] ** 2 + size[2] ** 2),
    lambda size: (size[2] + torch.hypot(size[0], size[1]), torch.hypot(size[0], size[1])),
)
SLAB = Solid("sheet", _slab, lambda size: (2 / 3) * size[0] ** 3, lambda size: (0 * size[0], 0 * size[0]))
