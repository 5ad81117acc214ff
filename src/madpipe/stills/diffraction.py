r"""Mean of F^2 F_latt^2 over domains and spindle steps at a point q of reciprocal space, and its derivatives.

.. math:: L(q) = \sum_m w_m\, F(h_0)^2\, F_{latt}^2(h - h_0), \qquad h = A W_m^T q

A has the rows a, b, c; W_m = exp(s [v_m]) R_phi. Derivatives with respect to the axes are taken along given directions
dA, the *tangents*, one for each parameter; those with respect to q and to the spread s come with them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation
from madpipe.stills.lattice import SHAPES, Cells
from madpipe.stills.mosaic import SpotKernel
from madpipe.stills.scene import Scene
from madpipe.stills.spot_kernel import kernel_slopes, kernel_values

_BLOCK = 20_000  # domains times points that are summed at once: their arrays stay in the processor's cache

_Points = Float[Tensor, "3 point"]
_Values = Float[Tensor, "point"]
_Tangents = Float[np.ndarray, "tangent 3 3"]


@dataclass(frozen=True)
class Derivatives:
    """L and its derivatives at each point."""

    value: _Values
    by_q: _Points
    by_tangent: Float[Tensor, "tangent point"]  # the axes' tangents in their order
    by_spread: _Values
    by_cells: _Points


def mean_values(scene: Scene, q: _Points) -> _Values:
    """L at each point q [1/angstrom], [electron^2]."""
    if isinstance(scene.mosaicity, SpotKernel):
        return kernel_values(scene, scene.mosaicity, q)
    axes, weights = _turned_axes(scene)
    cells = cells_of(scene)
    if len(weights) == 1 or not scene.negligible:
        return _in_blocks(scene, axes, weights, cells, q)
    return _spots_only(scene, axes, weights, cells, q)


def mean_derivatives(scene: Scene, q: _Points, tangents: _Tangents) -> Derivatives:
    """L at each point and its derivatives.

    Raises
    ------
    InputError
        A shape of nanoBragg's that has no derivative.
    """
    if isinstance(scene.mosaicity, SpotKernel):
        return Derivatives(*kernel_slopes(scene, scene.mosaicity, q, tangents))
    axes, weights = _turned_axes(scene)
    directions = _directions(scene, axes, weights, tangents)
    size = max(1, _BLOCK // len(weights))
    parts = [_block_slopes(scene, axes, weights, directions, block) for block in q.split(size, dim=1)]
    return Derivatives(*(torch.cat(part, dim=-1) for part in zip(*parts, strict=True)))


def cells_of(scene: Scene) -> Cells:
    """What a shape needs to know."""
    return Cells(torch.from_numpy(scene.cells), torch.from_numpy(scene.crystal.reciprocal), scene.fudge)


def _turned_axes(scene: Scene) -> tuple[Float[np.ndarray, "domain 3 3"], Float[Tensor, "domain"]]:
    """Axes of each domain at each spindle step, and their weights."""
    steps = rotation(scene.phi.axis * scene.phi.angles[:, None])
    turns = np.einsum("mij,kjl->mkil", scene.domains.rotations(scene.spread), steps).reshape(-1, 3, 3)
    weights = np.repeat(scene.domains.weights, len(steps)) / len(steps)
    return np.einsum("ai,mji->maj", scene.crystal.axes, turns), torch.from_numpy(weights)


def _directions(
    scene: Scene, axes: Float[np.ndarray, "domain 3 3"], weights: Float[Tensor, "domain"], tangents: _Tangents
) -> Float[Tensor, "direction xyz axis"]:
    """Weighted axes themselves (for q), then their changes with the spread, then with each tangent."""
    turns = np.einsum("ia,maj->mji", scene.crystal.reciprocal, axes)  # W_m, as axes = A W^T
    vectors = np.repeat(scene.domains.vectors, len(scene.phi.angles), axis=0)
    changed = [axes, np.cross(vectors[:, None], axes)]
    changed += [np.einsum("ai,mji->maj", tangent, turns) for tangent in tangents]
    weighted = np.stack(changed) * weights.numpy()[:, None, None]
    return torch.from_numpy(np.ascontiguousarray(weighted.transpose(0, 3, 1, 2).reshape(len(changed), 3, -1)))


def _indices(axes: Float[np.ndarray, "domain 3 3"], q: _Points) -> tuple[Tensor, Tensor]:
    """Nearest reflections and offsets from them, (domain, 3, point)."""
    real = (torch.from_numpy(axes.reshape(-1, 3)) @ q).reshape(len(axes), 3, -1)
    nearest = (real - 0.5).ceil_()
    return nearest, real.sub_(nearest)


def _in_blocks(
    scene: Scene, axes: Float[np.ndarray, "domain 3 3"], weights: Float[Tensor, "domain"], cells: Cells, q: _Points
) -> _Values:
    """Sum over all domains, a few points at once."""
    shape, constant, found = SHAPES[scene.shape], scene.factors.constant, torch.empty_like(q[0])
    size = max(1, _BLOCK // len(weights))
    for into, block in zip(found.split(size), q.split(size, dim=1), strict=True):
        nearest, offsets = _indices(axes, block)
        value = shape.value(offsets, cells)
        into.copy_(weights @ (value if constant else value.mul_(scene.factors.at(nearest))))
    return found.mul_(scene.factors.outside) if constant else found


def _spots_only(
    scene: Scene, axes: Float[np.ndarray, "domain 3 3"], weights: Float[Tensor, "domain"], cells: Cells, q: _Points
) -> _Values:
    """All domains where any of them may reach the least share of the peak; the mean orientation elsewhere."""
    mean = scene.crystal.axes[None]
    found = _in_blocks(scene, mean, torch.ones(1, dtype=q.dtype), cells, q)
    envelope = SHAPES[scene.shape].envelope
    if envelope is None or len(scene.phi.angles) > 1:
        return _in_blocks(scene, axes, weights, cells, q)
    reach = torch.from_numpy(np.linalg.norm(mean[0], axis=1) * scene.domains.reach(scene.spread))
    near = torch.empty(q.shape[1], dtype=torch.bool)
    for into, block in zip(near.split(_BLOCK), q.split(_BLOCK, dim=1), strict=True):
        _, offsets = _indices(mean, block)
        least = (offsets.abs_() - reach[:, None] * block.norm(dim=0)).clamp_(min=1e-300)
        into.copy_(envelope(least, cells)[0] > scene.negligible * cells.peak)
    found[near] = _in_blocks(scene, axes, weights, cells, q[:, near])
    return found


def _block_slopes(
    scene: Scene,
    axes: Float[np.ndarray, "domain 3 3"],
    weights: Float[Tensor, "domain"],
    directions: Float[Tensor, "direction xyz axis"],
    q: _Points,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Sums of a block, in the order of :class:`Derivatives`."""
    shape = SHAPES[scene.shape]
    if shape.slopes is None:
        raise InputError(
            f"derivatives: a shape that has them is required; got '{scene.shape}'; use 'gauss' or 'square'"
        )
    nearest, offsets = _indices(axes, q)
    found = shape.slopes(offsets, cells_of(scene))
    squared = scene.factors.outside if scene.factors.constant else scene.factors.at(nearest)
    value, by_index, by_cells = found.value, found.by_index, found.by_cells
    if isinstance(squared, Tensor):
        value, by_index, by_cells = value * squared, by_index * squared[:, None], by_cells * squared[:, None]
    along = (directions.reshape(-1, directions.shape[-1]) @ by_index.reshape(-1, q.shape[1])).reshape(-1, *q.shape)
    by_axes = (along[1:] * q).sum(1)
    sums = weights @ value, along[0], by_axes[1:], by_axes[0], torch.einsum("m,mip->ip", weights, by_cells)
    if isinstance(squared, Tensor):
        return sums
    return sums[0] * squared, sums[1] * squared, sums[2] * squared, sums[3] * squared, sums[4] * squared
