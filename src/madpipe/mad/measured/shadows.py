"""Regions of zeros among bright points: no intensity is dark over two points each way between bright ones."""

import numpy as np
from jaxtyping import Bool, Num

_Array = np.ndarray


def blocked_points(
    counts: Num[_Array, "*point"], good: Bool[_Array, "*point"], bright: float
) -> Bool[_Array, "*point"]:
    r"""Tell which points something blocked.

    Parameters
    ----------
    counts:
        Photons, of one energy or summed over all; 0 where masked.
    good:
        Points that are not masked.
    bright:
        Counts that the nearest points that are not zero have, on both sides along an axis.

    Returns
    -------
    :
        Zeros between bright points, in pieces that hold a block of two points each way; and rows, columns or planes
        that are dark throughout between bright ones, two at least side by side.

    Notes
    -----
    Between its fringes an intensity falls to zero as :math:`I = B d^2` at a distance of d points. Of two points side by
    side one is half a point away or more, and its expectation a ninth at least of the next point's, one point further:
    with 100 counts there, a block of four is dark by chance with probability exp(-44).
    """
    dark = good & (counts == 0)
    shining = counts >= bright
    found = np.zeros(dark.shape, dtype=bool)
    if not dark.any() or not shining.any():
        return found
    box = _box_of(shining)
    inside = np.zeros_like(dark[box])
    for axis in range(dark.ndim):
        inside |= _between(counts[box] > 0, shining[box], axis)
    inside &= dark[box]
    found[box] = _grown(_cores(inside), inside)
    for axis in range(dark.ndim):
        found |= _dark_planes(counts, axis, bright, dark)
    return found


def _box_of(points: Bool[_Array, "*point"]) -> tuple[slice, ...]:
    """Smallest box that holds all chosen points."""
    sides = []
    for axis in range(points.ndim):
        seen = np.flatnonzero(points.any(axis=tuple(other for other in range(points.ndim) if other != axis)))
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return tuple(sides)


def _between(counted: _Array, shining: _Array, axis: int) -> Bool[_Array, "*point"]:
    """Points whose nearest points with counts, on both sides along an axis, are bright."""
    counted, shining = _along(counted, axis), _along(shining, axis)
    before = _last_shines(counted, shining)
    before &= _last_shines(counted[::-1], shining[::-1])[::-1]
    return np.moveaxis(before, 0, axis)


def _last_shines(counted: _Array, shining: _Array) -> Bool[_Array, "*point"]:
    """Whether the last point with counts along the first axis, up to each, is bright."""
    result = np.zeros(counted.shape, dtype=bool)
    state = np.zeros(counted.shape[1:], dtype=bool)
    for number in range(len(counted)):
        np.copyto(state, shining[number], where=counted[number])
        result[number] = state
    return result


def _cores(points: Bool[_Array, "*point"]) -> Bool[_Array, "*point"]:
    """Points in a block of two each way that all are chosen."""
    block = points
    for axis in range(points.ndim):
        ahead = np.zeros_like(block)
        _along(ahead, axis)[:-1] = _along(block, axis)[1:]
        block = block & ahead
    for axis in range(points.ndim):
        behind = np.zeros_like(block)
        _along(behind, axis)[1:] = _along(block, axis)[:-1]
        block = block | behind
    return block


def _grown(seeds: Bool[_Array, "*point"], points: Bool[_Array, "*point"]) -> Bool[_Array, "*point"]:
    """Chosen points that hang together with the seeds."""
    while True:
        wider = seeds.copy()
        for axis in range(points.ndim):
            _along(wider, axis)[1:] |= _along(seeds, axis)[:-1]
            _along(wider, axis)[:-1] |= _along(seeds, axis)[1:]
        wider &= points
        if (wider == seeds).all():
            return seeds
        seeds = wider


def _dark_planes(counts: _Array, axis: int, bright: float, dark: _Array) -> Bool[_Array, "*point"]:
    """Rows, columns or planes without a count, two at least side by side, where both neighbours are bright.

    A single one may be a dark fringe of a particle with parallel faces.
    """
    total = counts.sum(tuple(other for other in range(counts.ndim) if other != axis))
    inside = (total == 0) & _between(total > 0, total >= bright, 0)
    inside &= np.append(inside[1:], False) | np.append(False, inside[:-1])
    shape = [1] * counts.ndim
    shape[axis] = -1
    return inside.reshape(shape) & dark


def _along(array: _Array, axis: int) -> _Array:
    """View with an axis first."""
    return np.moveaxis(array, axis, 0)
