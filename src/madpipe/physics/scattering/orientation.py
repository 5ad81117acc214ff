"""Average over a particle's orientation: enough directions for every q and size, found point by point."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import roots_legendre
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 2**16  # numbers in one array of a chunk: it and its temporaries stay in the processor's cache
_RUNGS = torch.tensor(sorted({2 * ceil(4 * 2 ** (step / 4)) for step in range(80)}))  # counts of nodes in use
_KEY = 2**24  # beyond any count of nodes
_LONGEST_IN_COSINE = 192  # nodes of the rule in the cosine
_LONGEST_RULE = 512  # nodes of one Gauss-Legendre rule; longer ones are panels of it


@dataclass(frozen=True)
class Directions:
    """Directions of q in the frame of the particle, on the eighth of the sphere that its symmetry leaves.

    Attributes
    ----------
    polar:
        Cosine of the angle to the particle's axis [1].
    sine:
        Sine of that angle [1].
    azimuth:
        Angle about the axis [rad].
    weight:
        Share of the average; the weights sum to 1.
    """

    polar: Float[Tensor, "node"]
    sine: Float[Tensor, "node"]
    azimuth: Float[Tensor, "node"]
    weight: Float[Tensor, "node"]


def nodes_for(phase: Float[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    r"""Nodes of `polar_rule` that average a squared amplitude to 1e-10.

    Parameters
    ----------
    phase:
        :math:`\kappa` such that the amplitude oscillates as :math:`\exp(i \kappa \mu)` at most [rad].

    Returns
    -------
    :
        16 + 0.56 phase + 6 phase^(1/3), rounded up to one of few counts. The rule is worthless below phase / 2, and
        exact beyond it and a margin that grows as the turning zone of the Bessel functions.
    """
    phase = phase.detach()
    return rounded_up(16 + 0.56 * phase + 6 * phase.abs() ** (1 / 3))


def rounded_up(wanted: Float[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """Next of few counts of nodes (they grow by 2^(1/4)), so that many points share a rule."""
    rungs = _RUNGS.to(wanted.device)
    return rungs[torch.searchsorted(rungs.to(wanted.dtype), wanted.contiguous())]


@lru_cache(maxsize=256)
def legendre_rule(count: int) -> tuple[Float[np.ndarray, "node"], Float[np.ndarray, "node"]]:
    """Nodes and weights on 0..1: one Gauss-Legendre rule, or, beyond 512 nodes, equal panels of more nodes together."""
    panels = ceil(count / _LONGEST_RULE)
    each = count if panels == 1 else ceil(1.08 * count / panels)  # each panel has a margin of its own
    node, weight = roots_legendre(each)
    node, weight = (node + 1) / 2, weight / 2
    place = (np.arange(panels)[:, None] + node) / panels
    return place.ravel(), np.tile(weight / panels, panels)


@lru_cache(maxsize=256)
def polar_rule(count: int) -> tuple[Float[np.ndarray, "node"], Float[np.ndarray, "node"], Float[np.ndarray, "node"]]:
    """Cosines, sines and weights of a half sphere for functions that are even in the cosine.

    Parameters
    ----------
    count:
        Nodes: the positive half of a Gauss-Legendre rule in the cosine; the rule of 0..1 would need 1.4 times as many
        for disks, whose amplitude is steep at the axis. Beyond 192, panels in the angle with 1.6 times as many nodes:
        rounding of cosines near 1 would cost disks 1e-9.
    """
    if count <= _LONGEST_IN_COSINE:
        node, weight = roots_legendre(2 * count)
        node, weight = node[count:], weight[count:]
        return node, np.sqrt((1 - node) * (1 + node)), weight
    place, share = legendre_rule(ceil(count * pi / 2))
    angle = place * pi / 2
    return np.cos(angle), np.sin(angle), share * pi / 2 * np.sin(angle)


def directions(polar: int, azimuthal: int, like: Tensor, most: int = CHUNK) -> Iterator[Directions]:
    """Directions with so many nodes in the polar cosine and in the azimuth, in pieces of limited size.

    Parameters
    ----------
    polar, azimuthal:
        Counts of nodes. One azimuth serves a body of revolution, one of each a ball.
    like:
        A tensor whose dtype and device are taken.
    most:
        Directions in a piece, at most (but at least one polar node's).

    Yields
    ------
    :
        Pieces whose weights sum to 1 together. The azimuths are midpoints of a quarter turn: for a periodic function
        that rule converges exponentially.
    """
    rule = (torch.as_tensor(part, dtype=like.dtype, device=like.device) for part in polar_rule(polar))
    cosine, sine, weight = rule
    angle = (torch.arange(azimuthal, dtype=like.dtype, device=like.device) + 0.5) * (pi / 2 / azimuthal)
    step = max(1, most // azimuthal)
    for start in range(0, len(cosine), step):
        part = slice(start, start + step)
        yield Directions(
            polar=cosine[part].repeat_interleave(azimuthal),
            sine=sine[part].repeat_interleave(azimuthal),
            azimuth=angle.repeat(len(cosine[part])),
            weight=weight[part].repeat_interleave(azimuthal) / azimuthal,
        )


def by_count(
    polar: Int[Tensor, "point"],
    azimuthal: Int[Tensor, "point"],
    evaluate: Callable[[Int[Tensor, "some"], int, int], Float[Tensor, "some column"]],
    size: int = CHUNK,
    recompute: bool = False,
) -> Float[Tensor, "point column"]:
    """Evaluate points in groups of equal counts of nodes, in chunks that hold a limited number of nodes.

    Parameters
    ----------
    polar, azimuthal:
        Nodes of each point, along two axes.
    evaluate:
        Gives the values of some points, by their numbers, with so many nodes each.
    size:
        Points times nodes in a chunk.
    recompute:
        Keep nothing of a chunk for the backward pass but what it began with, and evaluate it again there: the memory
        of one chunk serves all, however many nodes long rods take.

    Returns
    -------
    :
        The values in the points' own order; differentiable where `evaluate` is.
    """
    order, values = [], []
    key = polar * _KEY + azimuthal
    for group in _distinct(key):
        counts = divmod(group, _KEY)
        members, step = torch.nonzero(key == group)[:, 0], max(1, size // (counts[0] * counts[1]))
        for start in range(0, len(members), step):
            order.append(members[start : start + step])
            if recompute:
                values.append(checkpoint(evaluate, order[-1], *counts, use_reentrant=False))
            else:
                values.append(evaluate(order[-1], *counts))
    joined = torch.cat(values)
    return torch.zeros_like(joined).index_copy(0, torch.cat(order), joined)


def _distinct(key: Int[Tensor, "point"]) -> list[int]:
    """Values that occur; one is found without sorting."""
    least = int(key.min())
    if least == int(key.max()):
        return [least]
    found: list[int] = torch.unique(key).tolist()
    return found
