"""Interference function of a crystal of few cells: F_latt^2 against the distance from the nearest reflection.

Each shape is a :class:`Shape` of functions of dh = (h, k, l) - (h0, k0, l0), h0 = ceil(h - 1/2), on blocks of domains
and points. Where the nearest reflection changes, dh jumps by one: inside a cell of the reciprocal lattice the
derivative is exact, on its border there is none (the square shape of whole cells has one even there: it is periodic).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_Offsets = Float[Tensor, "domain 3 point"]
_Values = Float[Tensor, "domain point"]
_Metric = Float[Tensor, "3 3"]

_VOLUME_OF_ROUND = 0.723601254558268  # nanoBragg's: as many photons as from a parallelepiped of the same N
_GAUSS, _TOP_HAT = 0.63, 0.3969  # nanoBragg's: fall of its Gaussian; radius of its top hat, squared
_NEAR = 1e-4  # N pi dh below which the ratio's slope is a series: relative error 1e-9 of a thing 1e-4 of the largest


@dataclass(frozen=True)
class Cells:
    """What a shape knows of the crystal."""

    numbers: Float[Tensor, "3"]  # of cells along a, b, c
    reciprocal: _Metric  # columns a*, b*, c* [1/angstrom]
    fudge: float = 1.0  # nanoBragg's factor on the argument; 1 for a crystal

    @property
    def peak(self) -> float:
        """F_latt^2 of all cells in phase."""
        return float(self.numbers.prod() ** 2)


@dataclass(frozen=True)
class Slopes:
    """F_latt^2 and its derivatives at fixed reciprocal axes."""

    value: _Values
    by_index: _Offsets  # with respect to h, k, l
    by_cells: _Offsets  # with respect to the numbers of cells


@dataclass(frozen=True)
class Shape:
    """A crystal's outer form."""

    value: Callable[[_Offsets, Cells], _Values]
    slopes: Callable[[_Offsets, Cells], Slopes] | None  # None: depends on more than dh and N, or has no derivative
    envelope: Callable[[_Offsets, Cells], _Values] | None  # falls with each |dh|, and is above the value; None: unknown


def square(offsets: _Offsets, cells: Cells) -> _Values:
    r"""Parallelepiped of N_a N_b N_c cells.

    .. math:: F_{latt}^2 = \prod_i \frac{\sin^2 \pi N_i \delta_i}{\sin^2 \pi \delta_i}
    """
    phase = (offsets * math.pi).add_(1e-300)  # never 0: the ratio is N there
    ratio = (phase * cells.numbers[:, None]).sin_().div_(phase.sin_())
    return (ratio[:, 0] * ratio[:, 1]).mul_(ratio[:, 2]).square_()


def square_slopes(offsets: _Offsets, cells: Cells) -> Slopes:
    r"""Derivatives of :func:`square`.

    With x = pi delta and r = sin(N x) / sin(x): dr/dx = (N cos(N x) - r cos(x)) / sin(x), dr/dN = x cos(N x) / sin(x).
    """
    numbers = cells.numbers[:, None]
    phase = (offsets * math.pi).add_(1e-300)
    wide = phase * numbers
    sine, cosine_wide = phase.sin(), wide.cos()
    ratio = wide.sin().div_(sine)
    slope = (numbers * cosine_wide).sub_(ratio * phase.cos()).div_(sine)
    near = (wide.abs_() < _NEAR).nonzero(as_tuple=True)
    if len(near[0]):
        few = cells.numbers[near[1]]
        slope[near] = -few * (few**2 - 1) * phase[near] / 3
    by_cells = phase.mul_(cosine_wide).div_(sine)
    twice = _twice_others(ratio)
    value = (ratio[:, 0] * ratio[:, 1]).mul_(ratio[:, 2]).square_()
    return Slopes(value, slope.mul_(twice).mul_(math.pi), by_cells.mul_(twice))


def _twice_others(ratio: _Offsets) -> _Offsets:
    """2 r_i prod_{j != i} r_j^2: the derivative of prod r^2 by each r."""
    squared = ratio.square()
    others = torch.stack(
        [squared[:, 1] * squared[:, 2], squared[:, 0] * squared[:, 2], squared[:, 0] * squared[:, 1]], 1
    )
    return others.mul_(ratio).mul_(2)


def square_envelope(offsets: _Offsets, cells: Cells) -> _Values:
    """Bound prod min(N, 1 / sin(pi |dh|))^2 of :func:`square`."""
    ratio = torch.minimum(1 / (offsets * math.pi).sin(), cells.numbers[:, None])
    return ratio.prod(1).square()


def gauss(offsets: _Offsets, cells: Cells) -> _Values:
    r"""Gaussian spot of a crystal of N_a N_b N_c cells.

    .. math:: F_{latt}^2 = (N_a N_b N_c)^2 \exp(-\pi \sum_i N_i^2 \delta_i^2)
        = (N_a N_b N_c)^2 \exp(-\tfrac12 \Delta q^T S_N^{-1} \Delta q),
        \quad S_N = B\, \mathrm{diag}(1 / 2 \pi N_i^2)\, B^T

    Height and integral, N_i along each axis, are those of :func:`square`; there are no side maxima. B has the columns
    a*, b*, c*, so that the width in 1/angstrom is that of N real cells (that of nanoBragg's own Gaussian,
    :func:`gauss_of_nanobragg`, has not even the dimension).
    """
    return torch.exp(-math.pi * _in_cells(offsets, cells).square().sum(1)) * cells.peak


def gauss_slopes(offsets: _Offsets, cells: Cells) -> Slopes:
    """Derivatives of :func:`gauss`."""
    value, numbers = gauss(offsets, cells), cells.numbers[:, None]
    by_index = -2 * math.pi * numbers**2 * offsets * value[:, None]
    by_cells = (2 / numbers - 2 * math.pi * numbers * offsets**2) * value[:, None]
    return Slopes(value, by_index, by_cells)


def ball(offsets: _Offsets, cells: Cells) -> _Values:
    r"""Ellipsoid, as nanoBragg has it.

    .. math:: F_{latt} = 0.7236\, N_a N_b N_c\, 3\,\frac{\sin r - r \cos r}{r^3},
        \quad r = \pi \sqrt{f \sum_i N_i^2 \delta_i^2}
    """
    return _bessel_ratio(_radius(offsets, cells)).square() * _VOLUME_OF_ROUND**2 * cells.peak


def ball_slopes(offsets: _Offsets, cells: Cells) -> Slopes:
    """Derivatives of :func:`ball`: with g = 3 j_1(r) / r, dg/dr = -3 j_2(r) / r."""
    radius, numbers = _radius(offsets, cells), cells.numbers[:, None]
    ratio, height = _bessel_ratio(radius), _VOLUME_OF_ROUND**2 * cells.peak
    value = ratio.square() * height
    per_square = (-6 * height * math.pi**2 * cells.fudge * ratio * _second_bessel_ratio(radius))[:, None]
    by_index = per_square * numbers**2 * offsets
    return Slopes(value, by_index, per_square * numbers * offsets**2 + 2 * value[:, None] / numbers)


def ball_envelope(offsets: _Offsets, cells: Cells) -> _Values:
    """Bound of :func:`ball`: 3 (1 + r) / r^3 where that is below 1."""
    radius = _radius(offsets, cells)
    return (3 * (1 + radius) / radius**3).clamp(max=1).square() * _VOLUME_OF_ROUND**2 * cells.peak


def gauss_of_nanobragg(offsets: _Offsets, cells: Cells) -> _Values:
    r"""nanoBragg's Gaussian: (N_a N_b N_c)^2 exp(-2 R / (0.63 f)), R = (N_a N_b N_c)^2 |B delta|^2 in 1/angstrom^2.

    Without the cell's volume R has a dimension: for comparison with its images alone.
    """
    return torch.exp(_metric_square(offsets, cells) * (-2 / _GAUSS * cells.fudge)) * cells.peak


def top_hat_of_nanobragg(offsets: _Offsets, cells: Cells) -> _Values:
    """nanoBragg's top hat: (N_a N_b N_c)^2 where R f < 0.3969, R as in :func:`gauss_of_nanobragg`."""
    return (_metric_square(offsets, cells) * cells.fudge < _TOP_HAT).to(offsets.dtype) * cells.peak


def _in_cells(offsets: _Offsets, cells: Cells) -> _Offsets:
    """N_i dh_i."""
    return offsets * cells.numbers[:, None]


def _radius(offsets: _Offsets, cells: Cells) -> _Values:
    """r = pi sqrt(f sum (N dh)^2)."""
    return math.pi * (_in_cells(offsets, cells).square().sum(1) * cells.fudge).sqrt()


def _metric_square(offsets: _Offsets, cells: Cells) -> _Values:
    """(N_a N_b N_c)^2 |B dh|^2 [1/angstrom^2]."""
    return (cells.reciprocal @ offsets).square().sum(1) * cells.peak


def _bessel_ratio(radius: _Values) -> _Values:
    """3 j_1(r) / r = 3 (sin r - r cos r) / r^3; its series below 0.1, to r^6."""
    safe = radius.clamp(min=0.1)
    square_ = radius**2
    series = 1 - square_ / 10 * (1 - square_ / 28 * (1 - square_ / 54))
    return torch.where(radius < 0.1, series, 3 * (safe.sin() - safe * safe.cos()) / safe**3)


def _second_bessel_ratio(radius: _Values) -> _Values:
    """j_2(r) / r^2; its series below 0.3, to r^6 (the next term is 1e-12 of the first there)."""
    safe = radius.clamp(min=0.3)
    square_ = radius**2
    series = (1 - square_ / 14 * (1 - square_ / 36 * (1 - square_ / 66 * (1 - square_ / 104)))) / 15
    return torch.where(radius < 0.3, series, ((3 - safe**2) * safe.sin() - 3 * safe * safe.cos()) / safe**5)


SHAPES = {
    "square": Shape(square, square_slopes, square_envelope),
    "gauss": Shape(gauss, gauss_slopes, gauss),
    "round": Shape(ball, ball_slopes, ball_envelope),
    "nanobragg-gauss": Shape(gauss_of_nanobragg, None, None),
    "nanobragg-tophat": Shape(top_hat_of_nanobragg, None, None),
}
