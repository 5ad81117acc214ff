"""Strain and static Debye-Waller factor against depth: the implanted layer's seven parameters, and free splines.

Each profile turns free numbers, any real ones, into sublayers (``layers``) and stays inside its constraints by
construction. All is torch, so that derivatives go through it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import BSpline
from scipy.linalg import block_diag
from torch import Tensor

from madpipe.rocking.forward import GAUSS
from madpipe.rocking.prior import HIGH, LARGEST_SUM, LEAST_STRAIN, LOW, NAMES, RANGES

_Free = Float[Tensor, "free"]
_Frees = Float[Tensor, "free *curve"]
_Sublayers = tuple[Float[Tensor, "layer *curve"], Float[Tensor, "layer 2 *curve"], Float[Tensor, "layer *curve"]]


@runtime_checkable
class Profile(Protocol):
    """What a fit needs of a profile."""

    def cut(self, free: _Free) -> tuple[int, ...]:
        """How many sublayers the layer is cut into."""

    def layers(self, free: _Frees, cut: tuple[int, ...] | None = None) -> _Sublayers:
        """Thickness [angstrom], strain at both Gauss points, Debye-Waller factor of each sublayer, top first.

        Free numbers of many layers, each a column, are cut alike.
        """

    def at(self, depth: Float[Tensor, "depth"], free: _Frees) -> tuple[Tensor, Tensor]:
        """Strain and Debye-Waller factor at depths [angstrom]; of many layers, each a column, columns."""

    @property
    def shares(self) -> Float[np.ndarray, "free"]:
        """Weight of each free number's prior."""

    @property
    def smoothness(self) -> Float[np.ndarray, "difference free"]:
        """Differences of free numbers, over what they may be."""


# -- seven parameters of an implanted layer -------------------------------------------------------------------


@dataclass(frozen=True)
class Implanted:
    """Two bells: strain = D1 + D2 (:func:`implanted_strain`)."""

    step: float  # thickest sublayer [angstrom], from forward.largest_step

    @property
    def shares(self) -> Float[np.ndarray, "7"]:
        """Every number has a prior of its own."""
        return np.ones(7)

    @property
    def smoothness(self) -> Float[np.ndarray, "0 7"]:
        """Two bells are smooth."""
        return np.empty((0, 7))

    def cut(self, free: _Free) -> tuple[int, ...]:
        """Sublayers above L2, where D2 ends, and below it: so nothing jumps inside one."""
        _, _, end, _, _, inner, _ = from_free(free).tolist()
        return max(1, math.ceil(inner / self.step)), max(1, math.ceil((end - inner) / self.step))

    def layers(self, free: _Frees, cut: tuple[int, ...] | None = None) -> _Sublayers:
        """Sublayers of equal thickness above L2, and below it."""
        upper, lower = cut or self.cut(free)
        values = from_free(free)
        end, inner = values[2], values[5]
        steps = (inner / upper, (end - inner) / lower)
        middles, thickness = [], []
        for count, size, start in zip((upper, lower), steps, (torch.zeros_like(inner), inner), strict=True):
            number = torch.arange(count, dtype=free.dtype).view(-1, *[1] * inner.ndim)
            middles.append(start + size * (number + 0.5))
            thickness.append(size.expand(middles[-1].shape))
        middle, size = torch.cat(middles), torch.cat(thickness)
        strain = torch.stack([implanted_strain(middle + side * GAUSS * size, values) for side in (-1, 1)], dim=1)
        return size, strain, torch.ones_like(size)

    def at(self, depth: Float[Tensor, "depth"], free: _Frees) -> tuple[Tensor, Tensor]:
        """Strain and Debye-Waller factor, which is 1, at depths."""
        values = from_free(free)
        depth = depth.view(-1, *[1] * (free.ndim - 1)).expand(-1, *free.shape[1:])
        return implanted_strain(depth, values) * (depth < values[2]), torch.ones_like(depth)


def implanted_strain(depth: Float[Tensor, "*depth"], values: Float[Tensor, "7 ..."]) -> Float[Tensor, "*depth"]:
    """Strain D1(z) + D2(z) of an implanted layer, above z = L1.

    D1 = Dmax1 exp(-(z - Rp1)^2 / s) with s = Rp1^2 / ln(Dmax1 / D01) above Rp1, D01 at the surface, and
    (L1 - Rp1)^2 / ln(Dmax1 / Dmin) below it, Dmin at L1. D2 = D02 exp((Rp2^2 - (z - Rp2)^2) / s3), D02 at the surface,
    with s3 = L2 (L2 - 2 Rp2) / ln(D02 / Dmin), Dmin at L2 and zero beyond.

    Parameters
    ----------
    depth:
        z [angstrom].
    values:
        Dmax1, D01, L1 [angstrom], Rp1 [angstrom], D02, L2 [angstrom], Rp2 [angstrom]; of many layers with axes that
        broadcast with the depth's.
    """
    peak, surface, end, range_1, second, inner, range_2 = values
    above = range_1**2 / torch.log(peak / surface).clamp(min=1e-9)
    below = ((end - range_1) ** 2 / torch.log(peak / LEAST_STRAIN)).clamp(min=1e-6)
    width = torch.where(depth < range_1, above, below)
    first = peak * torch.exp(-((depth - range_1) ** 2) / width)
    third = inner * (inner - 2 * range_2) / torch.log(second / LEAST_STRAIN)
    other = second * torch.exp((range_2**2 - (depth - range_2) ** 2) / third)
    return first + torch.where(depth < inner, other, torch.zeros_like(other))


def implanted_strain_slopes(
    depth: Float[Tensor, "*depth"], values: Float[Tensor, "7 ..."]
) -> Float[Tensor, "7 *depth"]:
    """Derivatives of :func:`implanted_strain` by the seven parameters, arguments as there."""
    peak, surface, end, range_1, second, inner, range_2 = values
    ln_above = torch.log(peak / surface).clamp(min=1e-9)
    ln_below = torch.log(peak / LEAST_STRAIN)
    upper = depth < range_1
    ln_ends = torch.where(upper, ln_above, ln_below)
    flank = end - range_1
    width = torch.where(upper, range_1**2 / ln_above, (flank**2 / ln_below).clamp(min=1e-6))
    off = depth - range_1
    squared = off**2 / width
    first = peak * torch.exp(-squared)
    stretched = first * squared  # change of D1 as its width grows by a factor of e
    above, below = torch.where(upper, stretched, 0.0), torch.where(upper, 0.0, stretched)
    by_end = 2 * below / flank
    ln_second = torch.log(second / LEAST_STRAIN)
    third = inner * (inner - 2 * range_2) / ln_second
    exponent = depth * (2 * range_2 - depth) / third
    other = torch.where(depth < inner, second * torch.exp(exponent), 0.0)
    return torch.stack(
        [
            (first - stretched / ln_ends) / peak,
            above / ln_above / surface,
            by_end,
            2 * first * off / width + 2 * above / range_1 - by_end,
            other * (1 + exponent / ln_second) / second,
            -other * exponent * 2 * (inner - range_2) / (inner * (inner - 2 * range_2)),
            2 * other * (depth / third + exponent / (inner - 2 * range_2)),
        ]
    )


def from_free(free: Float[Tensor, "7 *curve"]) -> Float[Tensor, "7 *curve"]:
    """The seven parameters from any seven real numbers: a smooth map onto all that the constraints allow.

    D01 <= Dmax1, D01 + D02 <= 0.03, Rp1 <= L1, L2 <= L1, each within its range.
    """
    share = torch.sigmoid(free)
    surface = _between(share[1], LOW[1], LARGEST_SUM - LOW[4])
    peak = surface + share[0] * (HIGH[0] - torch.clamp(surface, min=LOW[0])) + torch.relu(LOW[0] - surface)
    end = _between(share[2], LOW[2], HIGH[2])
    range_1 = _between(share[3], LOW[3], torch.clamp(end, max=HIGH[3]))
    second = _between(share[4], LOW[4], torch.clamp(LARGEST_SUM - surface, max=HIGH[4]))
    inner = _between(share[5], LOW[5], torch.clamp(end, max=HIGH[5]))
    range_2 = _between(share[6], LOW[6], HIGH[6])
    return torch.stack([peak, surface, end, range_1, second, inner, range_2])


def to_free(values: Float[Tensor, "7 *curve"]) -> Float[Tensor, "7 *curve"]:
    """Inverse of :func:`from_free`; values on a bound come back a little inside."""
    peak, surface, end, range_1, second, inner, range_2 = values
    base = surface + torch.relu(LOW[0] - surface)
    shares = [
        (peak - base) / (HIGH[0] - torch.clamp(surface, min=LOW[0])),
        (surface - LOW[1]) / (LARGEST_SUM - LOW[4] - LOW[1]),
        (end - LOW[2]) / (HIGH[2] - LOW[2]),
        (range_1 - LOW[3]) / (torch.clamp(end, max=HIGH[3]) - LOW[3]),
        (second - LOW[4]) / (torch.clamp(LARGEST_SUM - surface, max=HIGH[4]) - LOW[4]),
        (inner - LOW[5]) / (torch.clamp(end, max=HIGH[5]) - LOW[5]).clamp(min=1e-9),
        (range_2 - LOW[6]) / (HIGH[6] - LOW[6]),
    ]
    return torch.logit(torch.stack(shares), eps=1e-4)


def ln_volume(free: Float[Tensor, "7 *curve"]) -> Float[Tensor, "*curve"]:
    """ln of the volume of parameters that a volume of shares stands for, as constraints make some ranges narrower.

    The prior is even over the parameters that are allowed, hence its density of shares goes with this.
    """
    _, surface, end, *_ = from_free(free)
    widths = (
        HIGH[0] - torch.clamp(surface, min=LOW[0]),
        torch.clamp(end, max=HIGH[3]) - LOW[3],
        torch.clamp(LARGEST_SUM - surface, max=HIGH[4]) - LOW[4],
        (torch.clamp(end, max=HIGH[5]) - LOW[5]).clamp(min=1e-9),
    )
    return torch.stack(
        [torch.log(width / RANGES[place]) for width, place in zip(widths, (0, 3, 4, 5), strict=True)]
    ).sum(0)


def _between(share: Tensor, low: float, high: float | Tensor) -> Tensor:
    """A number between two bounds."""
    return low + share * (high - low)


def draw_implanted(count: int, generator: torch.Generator) -> Float[Tensor, "profile 7"]:
    """Draw from the prior: even within the ranges, under the constraints, by rejection."""
    found: list[Tensor] = []
    low, width = torch.tensor(LOW, dtype=torch.float64), torch.tensor(RANGES, dtype=torch.float64)
    while sum(map(len, found)) < count:
        tried = low + width * torch.rand(4 * count + 64, 7, generator=generator, dtype=torch.float64)
        peak, surface, end, range_1, second, inner, _ = tried.T
        allowed = (surface <= peak) & (surface + second <= LARGEST_SUM) & (range_1 <= end) & (inner <= end)
        found.append(tried[allowed])
    return torch.cat(found)[:count]


# -- free form ------------------------------------------------------------------------------------------------


_FEW = 6  # splines that have a prior of one number each; more share the same between them
_ROUGH = 1.0  # standard deviation of a coefficient's random walk over the depth
_LEAST = 1e-9  # exponent of the Debye-Waller factor that has a free number
_START = math.log(math.expm1(0.05))  # free number of an exponent of 0.05, disorder to start from


class Spline:
    """Cubic B-splines in depth: strain of either sign, Debye-Waller factor from 0 to 1; both end perfect.

    The knots of fewer splines are among those of more (:func:`knots_of`), so that more can say what fewer say.

    Parameters
    ----------
    depth:
        Where the layer ends [angstrom].
    strain_knots, debye_waller_knots:
        Number of splines of each.
    step:
        Thickest sublayer [angstrom].
    """

    def __init__(self, depth: float, strain_knots: int, debye_waller_knots: int, step: float) -> None:
        self.depth = depth
        self.counts = (strain_knots, debye_waller_knots)
        count = max(1, math.ceil(depth / step))
        self.size = torch.full((count,), depth / count, dtype=torch.float64)
        middle = (np.arange(count) + 0.5) * depth / count
        half = GAUSS * depth / count
        self._gauss = tuple(self.basis(middle + side * half, strain_knots) for side in (-1, 1))
        self._middle = self.basis(middle, debye_waller_knots)
        self.shares = np.concatenate([_shares(count) for count in self.counts])
        # disorder's free number has no value at the substrate, where the exponent is 0
        self.smoothness = block_diag(_differences(strain_knots), _differences(debye_waller_knots)[:-1])

    def basis(self, depth: np.ndarray, count: int) -> Tensor:
        """Values of the splines at depths; the last one, which ends at the substrate with value 1, is left out."""
        matrix = BSpline.design_matrix(np.clip(depth, 0.0, self.depth), self.depth * knots_of(count), 3).toarray()
        return torch.from_numpy(matrix[:, :count] * (depth <= self.depth)[:, None])

    def refined(self, free: _Free, counts: tuple[int, int]) -> Float[Tensor, "more"]:
        """Free numbers of the same layer in more splines: knots are put in, exactly."""
        strain, disorder = self.split(free)
        return torch.cat([_inserted(strain, counts[0]), _unlike_zero(_inserted(_positive(disorder), counts[1]))])

    def cut(self, free: _Free) -> tuple[int, ...]:
        """Number of sublayers."""
        return (len(self.size),)

    def layers(self, free: _Frees, cut: tuple[int, ...] | None = None) -> _Sublayers:
        """Sublayers of equal thickness."""
        strain, disorder = self.split(free)
        several = free.shape[1:]
        return (
            self.size.view(-1, *[1] * len(several)).expand(-1, *several),
            torch.stack([basis @ strain / 100 for basis in self._gauss], dim=1),
            torch.exp(-(self._middle @ _positive(disorder))),
        )

    def at(self, depth: Float[Tensor, "depth"], free: _Frees) -> tuple[Tensor, Tensor]:
        """Strain and Debye-Waller factor at depths."""
        strain, disorder = self.split(free)
        bases = [self.basis(depth.numpy(), count) for count in self.counts]
        return bases[0] @ strain / 100, torch.exp(-(bases[1] @ _positive(disorder)))

    def split(self, free: _Frees) -> tuple[Tensor, Tensor]:
        """Coefficients of strain [percent] and of disorder."""
        strain, disorder = free.split(self.counts)
        return strain, disorder

    def start(self) -> _Free:
        """Free numbers of a layer without strain and hardly any disorder."""
        parts = [torch.full((count,), value) for count, value in zip(self.counts, (0.0, _START), strict=True)]
        return torch.cat(parts).double()


def knots_of(count: int) -> Float[np.ndarray, "knot"]:
    """Knots of splines over a depth from 0 to 1: halves of intervals, the widest first, so that few are among many.

    Parameters
    ----------
    count:
        Splines, the one that ends at the substrate left out.
    """
    number = np.arange(1, count - 2)
    places = [0.0, 1.0, *(_reversed_bits(int(one)) for one in number)]
    return np.concatenate([[0.0] * 3, np.sort(places), [1.0] * 3])


def _shares(count: int) -> Float[np.ndarray, "spline"]:
    """Part of the depth that each spline stands for, its integral; 1 for each of :data:`_FEW`, on average."""
    knots = knots_of(count)
    return _FEW * (knots[4:] - knots[:-4])[:count] / 4


def _differences(count: int) -> Float[np.ndarray, "difference spline"]:
    """Differences of neighbouring coefficients, the substrate's 0 the last, over what they may be: a random walk."""
    knots = knots_of(count)
    places = np.array([knots[one + 1 : one + 4].mean() for one in range(count + 1)])  # each spline's own (Greville)
    roughness = np.eye(count, count + 1, 1) - np.eye(count, count + 1)
    return (roughness / (_ROUGH * np.sqrt(np.diff(places)))[:, None])[:, :count]


def _reversed_bits(number: int) -> float:
    """Van der Corput's sequence: 1/2, 1/4, 3/4, 1/8, 5/8, 3/8, 7/8, 1/16 ..."""
    return int(f"{number:b}"[::-1], 2) / 2 ** number.bit_length()


def _inserted(coefficients: _Free, count: int) -> Float[Tensor, "more"]:
    """Coefficients of one function in more splines (Boehm, Comput. Aided Des. 12, 199 (1980))."""
    few = knots_of(len(coefficients))
    spline = BSpline(few, np.append(coefficients.numpy(), 0.0), 3)
    for place in np.setdiff1d(knots_of(count), few):
        spline = spline.insert_knot(place)
    return torch.from_numpy(spline.c[:count].copy())


def _positive(free: Tensor) -> Tensor:
    """Exponents of the Debye-Waller factor, which are not negative."""
    return torch.nn.functional.softplus(free)


def _unlike_zero(positive: Tensor) -> Tensor:
    """Free numbers of exponents, the inverse of softplus."""
    large = positive.clamp(min=_LEAST)
    return large + torch.log(-torch.expm1(-large))


def profile_names(profile: Profile) -> Sequence[str]:
    """Names of a profile's parameters."""
    if isinstance(profile, Spline):
        counts = zip(("strain", "debye_waller"), profile.counts, strict=True)
        return [f"{name}_{number}" for name, count in counts for number in range(count)]
    return NAMES
