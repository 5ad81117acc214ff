"""Isolated bright points: the intensity of a finite particle cannot rise so steeply from one point to the next."""

import itertools

import numpy as np
from jaxtyping import Bool, Num

_COUNTS = 10.0  # expectation that three standard deviations of a neighbour's few counts may hide
_CLUSTER = 3  # points of a hot group at most; a peak at an oversampling of 2 has seven above a tenth of its height
_MOST = 1000  # candidates; more are no defects
_Array = np.ndarray
_Place = tuple[int, ...]


def isolated_points(counts: Num[_Array, "*point"], good: Bool[_Array, "*point"], above: float) -> list[tuple[int, ...]]:
    r"""Points, alone or up to three together, that are far above all that surround them.

    Parameters
    ----------
    counts:
        Photons, of one energy or summed over all.
    good:
        Points that are not masked.
    above:
        Ratio to the largest expectation of the points around, :math:`n / (m + 3 \sqrt m + 10)` for m counts.

    Notes
    -----
    The intensity of a particle of width L is the transform of its autocorrelation, 2 L wide. At an oversampling s a
    uniform particle's peak falls to :math:`\mathrm{sinc}^2(1/s)` at the next point, 0.41 at s = 2, a thin ring's to
    :math:`J_0^2(\pi / s)`, 0.22. Seven points or more then lie above a tenth of a peak's height.
    """
    places = _few_rivals(counts, good, above)
    if len(places) > _MOST:
        return []
    found: set[_Place] = set()
    for place in places:
        found |= _group(counts, good, place, above)
    return sorted(found, key=lambda place: -counts[place])


def _few_rivals(counts: _Array, good: _Array, above: float) -> list[_Place]:
    """Points with counts to be sure of, among whose neighbours at most two come near a tenth of them."""
    places = np.nonzero(good & (counts > above * _COUNTS))
    value = counts[places].astype(float)
    rivals, neighbours = np.zeros(len(value), dtype=int), np.zeros(len(value), dtype=int)
    for step in _steps(counts.ndim):
        moved = tuple(index + one for index, one in zip(places, step, strict=True))
        inside = np.all(
            [(index >= 0) & (index < size) for index, size in zip(moved, counts.shape, strict=True)], axis=0
        )
        moved = tuple(np.where(inside, index, 0) for index in moved)
        here = inside & good[moved]
        neighbours += here
        rivals += here & (_expected(counts[moved].astype(float)) * above >= value)
    chosen = (rivals < _CLUSTER) & (neighbours >= 3)
    return [tuple(place) for place in np.stack(places, axis=-1)[chosen].tolist()]


def _group(counts: _Array, good: _Array, place: _Place, above: float) -> set[_Place]:
    """The point and what hangs together with it above a tenth of it; nothing, where that is more than a few points."""
    group, edge = {place}, [place]
    while edge:
        here = edge.pop()
        for step in _steps(counts.ndim):
            there = tuple(index + one for index, one in zip(here, step, strict=True))
            if there in group or not all(0 <= index < size for index, size in zip(there, counts.shape, strict=True)):
                continue
            if good[there] and _expected(float(counts[there])) * above >= counts[place]:
                group.add(there)
                edge.append(there)
        if len(group) > _CLUSTER:
            return set()
    return group


def _expected(counts: _Array | float) -> _Array | float:
    """Expectation that so many counts may have at most."""
    least = np.maximum(counts, 0.0)
    return least + 3 * least**0.5 + _COUNTS


def _steps(dimensions: int) -> list[_Place]:
    """Steps to all neighbours, diagonal ones too."""
    return [step for step in itertools.product((-1, 0, 1), repeat=dimensions) if any(step)]
