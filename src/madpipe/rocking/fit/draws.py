"""Layers drawn from the posterior of a curve that is linear in the strain.

What a curve leaves open is a curved valley: L2 and Rp2 may be almost anything, and the other five parameters follow
them closely, but along no straight line, so that no mixture of a few Gaussians has the posterior's shape. Hence L2 and
Rp2 are drawn alone, as two dimensions are easily covered, by adaptive multiple importance sampling (Cornuet et al.,
Scand. J. Stat. 39, 798 (2012)), and the other five about the minimum that each pair leaves (Laplace's method), with
weights that put right what is not Gaussian.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.rocking.fit.linear import Linear

_HEATS = (0.25, 0.5, 1.0, 1.0)  # powers of the posterior that successive rounds draw from
_PAIRS = 150  # of L2 and Rp2, drawn in each round
_CENTRES = 100  # of a round's mixture
_FIVE = 5  # parameters that follow L2 and Rp2, which are the last two
_TAILS = 5  # degrees of freedom of Student's distributions
_FARTHEST = 12.0  # of free numbers from zero; beyond lies a millionth of the prior
_SEARCHED = 2  # iterations to the minimum that a pair leaves
_LARGEST_SHARE = 3.0  # of a centre among all, over an even one's

_Free = Float[Tensor, "layer 7"]
_Chances = Float[Tensor, "layer"]


class Samples(NamedTuple):
    """Layers drawn from the posterior."""

    free: _Free
    weights: _Chances  # they add up to 1


class _Valley(NamedTuple):
    """Layers, each the best of its L2 and Rp2."""

    free: _Free
    deviance: _Chances
    root: Float[Tensor, "layer 5 5"]  # lower triangle: the precision of the five that follow
    slope: Float[Tensor, "layer 5 2"]  # of these by L2 and Rp2
    precision: Float[Tensor, "layer 2 2"]  # of L2 and Rp2

    @property
    def ln_posterior(self) -> _Chances:
        """ln of the posterior of L2 and Rp2, the five integrated by Laplace's method, but for a constant."""
        return -self.deviance / 2 - _ln_determinant(self.root)

    def taken(self, chosen: Int[Tensor, "chosen"]) -> "_Valley":
        """Take some of the layers."""
        return _Valley(*(part[chosen] for part in self))


class _Mixture(NamedTuple):
    """Student's distributions of L2 and Rp2 about layers of the valley."""

    valley: _Valley
    chances: _Chances
    spread: Float[Tensor, "layer 2 2"]  # lower triangle

    def drawn(self, generator: torch.Generator) -> _Free:
        """Draw L2 and Rp2; the five follow to first order."""
        chosen = torch.multinomial(self.chances, _PAIRS, replacement=True, generator=generator)
        off = (self.spread[chosen] @ _student(_PAIRS, 2, generator)[..., None])[..., 0]
        five = (self.valley.slope[chosen] @ off[..., None])[..., 0].clamp(-1, 1)
        return (self.valley.free[chosen] + torch.cat([five, off], 1)).clamp(-_FARTHEST, _FARTHEST)

    def ln_density(self, free: _Free) -> _Chances:
        """ln of the density of L2 and Rp2, but for a constant."""
        off = free[:, _FIVE:] - self.valley.free[:, None, _FIVE:]
        unit = torch.linalg.solve_triangular(self.spread, off.transpose(1, 2), upper=False)
        logs = _ln_student((unit**2).sum(1), 2) + (torch.log(self.chances) - _ln_determinant(self.spread))[:, None]
        return torch.logsumexp(logs, 0)


def sampled(linear: Linear, starts: _Free, count: int, generator: torch.Generator) -> Samples:
    """Draw layers from the posterior.

    Parameters
    ----------
    linear:
        The curve.
    starts:
        Layers in its valleys.
    count:
        Layers to draw.
    generator:
        Draws.
    """
    centres = _valley(linear, starts)
    chances = torch.softmax(_HEATS[0] * centres.ln_posterior, 0)
    parts: list[_Valley] = []
    mixtures: list[_Mixture] = []
    for heat, following in progress(list(zip(_HEATS, (*_HEATS[1:], 1.0), strict=True)), "draws from the posterior"):
        mixtures.append(_Mixture(centres, chances, _spread(centres, heat)))
        parts.append(_valley(linear, mixtures[-1].drawn(generator)))
        found = _Valley(*(torch.cat(part) for part in zip(*parts, strict=True)))
        ln_mixed = torch.logsumexp(torch.stack([one.ln_density(found.free) for one in mixtures]), 0)
        tempered = torch.softmax(following * found.ln_posterior - ln_mixed, 0)
        shares = tempered.clamp(max=_LARGEST_SHARE / _CENTRES)
        centres = found.taken(torch.multinomial(shares, _CENTRES, replacement=True, generator=generator))
        chances = torch.full((_CENTRES,), 1 / _CENTRES, dtype=shares.dtype)
    weights = torch.softmax(found.ln_posterior - ln_mixed, 0)
    return _with_five(
        linear, found.taken(torch.multinomial(weights, count, replacement=True, generator=generator)), generator
    )


def _valley(linear: Linear, free: _Free) -> _Valley:
    """Go down to the minimum that each layer's L2 and Rp2 leave, and see how the five follow them there."""
    free, deviance = linear.minima(free, _FIVE, _SEARCHED)
    _, slopes = linear.roots(free)
    normal = slopes.transpose(1, 2) @ slopes
    root = torch.linalg.cholesky(normal[:, :_FIVE, :_FIVE])
    slope = -torch.cholesky_solve(normal[:, :_FIVE, _FIVE:], root)
    precision = normal[:, _FIVE:, _FIVE:] + normal[:, _FIVE:, :_FIVE] @ slope
    return _Valley(free, deviance, root, slope, precision)


def _spread(centres: _Valley, heat: float) -> Float[Tensor, "layer 2 2"]:
    """How far L2 and Rp2 may be from each centre: as the curve leaves it, at most by one of their free numbers."""
    unit = torch.eye(2, dtype=centres.free.dtype)
    return torch.linalg.cholesky(torch.linalg.inv(heat * centres.precision + unit))


def _with_five(linear: Linear, pairs: _Valley, generator: torch.Generator) -> Samples:
    """Draw the five about their minimum, and weigh by the posterior over what they were drawn from."""
    unit = _student(len(pairs.free), _FIVE, generator)
    off = torch.linalg.solve_triangular(pairs.root.transpose(1, 2), unit[..., None], upper=True)[..., 0]
    free = pairs.free + torch.nn.functional.pad(off, (0, 2))
    logs = (pairs.deviance - linear.deviance(free)) / 2 - _ln_student((unit**2).sum(1), _FIVE)
    weights = torch.softmax(logs, 0)
    # a few stray ones must not outweigh all others (Ionides, J. Comput. Graph. Stat. 17, 295 (2008))
    weights = weights.clamp(max=1 / math.sqrt(len(weights)))
    return Samples(free, weights / weights.sum())


def _student(count: int, dimensions: int, generator: torch.Generator) -> Float[Tensor, "drawn dimension"]:
    """Draw from Student's distribution."""
    normal = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
    squares = torch.randn(count, _TAILS, generator=generator, dtype=torch.float64).square()
    return normal / squares.mean(1, keepdim=True).sqrt()


def _ln_student(squares: Tensor, dimensions: int) -> Tensor:
    """ln of the density of Student's distribution, but for a constant."""
    return -0.5 * (_TAILS + dimensions) * torch.log1p(squares / _TAILS)


def _ln_determinant(root: Float[Tensor, "layer number number"]) -> _Chances:
    """ln of the determinant of triangular matrices."""
    return torch.log(torch.diagonal(root, dim1=1, dim2=2)).sum(1)
