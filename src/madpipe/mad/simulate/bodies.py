"""Bodies of particles: how deep every point lies below the surface."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import SimulatedSample

_CORNERS = {2: (3, 6), 3: (5, 10)}  # fewest and most facets of a polyhedron
_NEAREST_FACET = 0.45  # distance of a polyhedron's nearest facet over that of its farthest
_TRIES = 200  # of a polyhedron that closes
_FARTHEST_CORNER = 3.0  # over the farthest facet's distance: beyond, it is a needle
_INSIDE = 0.35  # of its size: how far from its middle a point inside a particle may lie
_NECK = 0.35  # how far apart the middles of the halves of a concave body lie, over its size
_OVERLAP = 0.05  # least depth of the point between them in either half, over its size
_Points = Float[Tensor, "axis *points"]
_Values = Float[Tensor, "*points"]


@dataclass(frozen=True)
class _Body:
    """A star-shaped body of unit scale."""

    reach: Callable[[_Points], _Values]  # unit vectors -> distance of the surface
    depth: Callable[[_Points, float], _Values]  # points, scale -> depth below the surface


def depth_below_surface(
    position: Float[Tensor, "axis *grid"], sample: SimulatedSample, generator: torch.Generator
) -> Float[Tensor, "*grid"]:
    """Draw a body of the sample's shape and size, and say how deep every point lies below its surface [angstrom]."""
    if sample.shape == "concave":
        return _grown_together(position, sample, generator)
    body = _SHAPES[sample.shape](sample.dimensions, generator)
    return body.depth(position, _scale_for(body, sample, generator))


def soft_step(distance: Tensor, width: float) -> Tensor:
    """Rise from 0 to 1 over one voxel about distance 0: the share of a voxel cut by a plane."""
    return (distance / width + 0.5).clamp(0, 1)


def directions(ndim: int, count: int, generator: torch.Generator) -> Float[Tensor, "axis count"]:
    """Draw unit vectors uniformly."""
    vector = torch.randn(ndim, count, generator=generator, dtype=torch.float64)
    return vector / vector.norm(dim=0)


def somewhere(ndim: int, generator: torch.Generator) -> Float[Tensor, "axis"]:
    """Draw a point well inside a particle, over its size, from the middle."""
    return _INSIDE * torch.rand((), generator=generator, dtype=torch.float64) * directions(ndim, 1, generator)[:, 0]


def _scale_for(body: _Body, sample: SimulatedSample, generator: torch.Generator) -> float:
    """Scale that makes the body's largest extent the sample's size [angstrom]."""
    probe = directions(sample.dimensions, 4096, generator)
    return sample.particle_size_angstrom / float((body.reach(probe) + body.reach(-probe)).max())


def _facetted(ndim: int, generator: torch.Generator) -> _Body:
    """Convex body with flat facets: a truncated octahedron or an octagon, facet distances varied, turned at random."""
    normals, distances = _octagon() if ndim == 2 else _truncated_octahedron()
    normals = _random_rotation(ndim, generator) @ normals
    distances = distances * (1 + 0.2 * (torch.rand(len(distances), generator=generator, dtype=torch.float64) - 0.5))
    return _convex(normals, distances)


def _convex(normals: Float[Tensor, "axis facet"], distances: Float[Tensor, "facet"]) -> _Body:
    """Body of flat facets."""

    def reach(direction: Tensor) -> Tensor:
        cosine = torch.tensordot(normals.T, direction, dims=1)
        return torch.where(cosine > 1e-9, distances[:, None] / cosine.clamp(min=1e-9), torch.inf).amin(0)

    def depth(point: Tensor, scale: float) -> Tensor:
        # one facet at a time: the table of all facets would hold 14 grids
        planes = (scale * d - torch.tensordot(n, point, dims=1) for n, d in zip(normals.T, distances, strict=True))
        nearest = next(planes)
        for plane in planes:
            nearest = torch.minimum(nearest, plane)
        return nearest

    return _Body(reach, depth)


def _octagon() -> tuple[Tensor, Tensor]:
    """Normals and distances of an irregular octagon."""
    angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    distances = torch.tensor([1.0, 1.12] * 4, dtype=torch.float64)
    return torch.stack([angles.cos(), angles.sin()]), distances


def _truncated_octahedron() -> tuple[Tensor, Tensor]:
    """Normals and distances of {111} and {100} facets in the proportion of a Wulff shape of an fcc metal."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    octahedral = torch.cartesian_prod(signs, signs, signs).T / math.sqrt(3)
    cubic = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)], dim=1)
    distances = torch.cat([torch.ones(8, dtype=torch.float64), torch.full((6,), 1.15, dtype=torch.float64)])
    return torch.cat([octahedral, cubic], dim=1), distances


def _random_rotation(ndim: int, generator: torch.Generator) -> Float[Tensor, "axis axis"]:
    """Draw a rotation uniformly (QR of a Gaussian matrix, signs fixed; Mezzadri, Notices AMS 54, 592 (2007))."""
    q, r = torch.linalg.qr(torch.randn(ndim, ndim, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()
    return q * torch.linalg.det(q)  # a mirror would be as good a particle; in 2-D this may be one


def _smooth(ndim: int, generator: torch.Generator) -> _Body:
    """Star-shaped body: a sphere or disc with waves of second to fourth degree along random axes."""
    axes = directions(ndim, 3, generator)
    heights = 0.3 * (torch.rand(3, generator=generator, dtype=torch.float64) - 0.5)

    def reach(direction: Tensor) -> Tensor:
        cosine = torch.tensordot(axes.T, direction, dims=1)
        waves = torch.stack([(degree * cosine[i].clamp(-1, 1).acos()).cos() for i, degree in enumerate((2, 3, 4))])
        return 1 + torch.tensordot(heights, waves, dims=1)

    def depth(point: Tensor, scale: float) -> Tensor:
        distance = point.norm(dim=0)
        return scale * reach(point / distance.clamp(min=1e-9)) - distance

    return _Body(reach, depth)


def _polyhedron(ndim: int, generator: torch.Generator) -> _Body:
    """Convex body of few flat facets at random, with acute corners: drawn again until it is closed and no needle."""
    low, high = _CORNERS[ndim]
    probe = directions(ndim, 2048, generator)
    for _ in range(_TRIES):
        facets = low + int(torch.randint(high - low + 1, (), generator=generator))
        normals = directions(ndim, facets, generator)
        share = torch.rand(facets, generator=generator, dtype=torch.float64)
        body = _convex(normals, _NEAREST_FACET + (1 - _NEAREST_FACET) * share)
        if bool((body.reach(probe) < _FARTHEST_CORNER).all()):
            return body
    return _facetted(ndim, generator)


def _grown_together(
    position: Float[Tensor, "axis *grid"], sample: SimulatedSample, generator: torch.Generator
) -> Float[Tensor, "*grid"]:
    """Two polyhedra side by side that overlap, each of about two thirds of the sample's size."""
    axis = directions(sample.dimensions, 1, generator)
    size = sample.particle_size_angstrom
    halves = []
    for sign in (-1.0, 1.0):
        middle = sign * _NECK / 2 * size * axis
        for _ in range(_TRIES):
            body = _polyhedron(sample.dimensions, generator)
            scale = (1 - _NECK) * _scale_for(body, sample, generator)
            if float(body.depth(-middle, scale)) > _OVERLAP * size:  # else there may be a gap between the two
                break
        halves.append(body.depth(position - middle.reshape(-1, *[1] * sample.dimensions), scale))
    return torch.maximum(*halves)


_SHAPES = {"facetted": _facetted, "smooth": _smooth, "polyhedron": _polyhedron}
