"""Isolated bright points: the intensity of a finite particle cannot rise so steeply from one point to the next."""

import itertools

import numpy as np
from jaxtyping import Bool, Num

_COUNTS = 10.0  # expectation that three standard deviations of a neighbour's few counts may hide
_CLUSTER = 3  # points of a hot group at most; a peak at an oversampling of 2 has seven above a tenth of its height
_NEAR = 3  # points; at an oversampling of 2 the first lobe of a fringe lies 3 points from the peak
_PEAK = 200.0  # a peak over the next point at most; at an oversampling of 1.1 it is 100
_MOST = 5000  # candidates; more are no defects
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
    :math:`J_0^2(\pi / s)`, 0.22. Seven points or more then lie above a tenth of a peak's height. Lobes between the
    fringes' zeros may be of single points, but have brighter or like ones three points away.
    """
    places = _few_rivals(counts, good, above)
    if len(places) > _MOST:
        return []
    found: set[_Place] = set()
    for place in places:
        group = _group(counts, good, place, above)
        if group and not _has_company(counts, good, place, group, above):
            found |= group
    found -= _bragg_peak(counts, good, found)
    return sorted(found, key=lambda place: -float(counts[place])) if len(found) <= _most(counts.size) else []


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
        if len(group) > (_CLUSTER if _is_inside(counts, group) else 1):
            return set()
    return group


def _is_inside(counts: _Array, group: set[_Place]) -> bool:
    """Tell whether no point of a group lies at the rim, which cuts a fringe's lobe."""
    return all(0 < index < size - 1 for place in group for index, size in zip(place, counts.shape, strict=True))


def _has_company(counts: _Array, good: _Array, place: _Place, group: set[_Place], above: float) -> bool:
    """Tell whether a point less than a tenth as bright is near, as the lobes of a particle's fringes are."""
    window = tuple(slice(max(0, index - _NEAR), index + _NEAR + 1) for index in place)
    around = np.where(good[window], counts[window], 0).astype(float)
    for other in group:
        at = tuple(index - piece.start for index, piece in zip(other, window, strict=True))
        if all(0 <= index < size for index, size in zip(at, around.shape, strict=True)):
            around[at] = 0.0
    return bool((_expected(around) * above >= counts[place]).any())


def _bragg_peak(counts: _Array, good: _Array, found: set[_Place]) -> set[_Place]:
    """What of the points is the peak itself, of data sampled too coarsely: the brightest of all, amid the rest."""
    if not found:
        return set()
    top = max(found, key=lambda place: float(counts[place]))
    rest = np.where(good, counts, 0)
    for place in found:
        rest[place] = 0
    second = np.unravel_index(int(rest.argmax()), rest.shape)
    is_near = all(abs(int(one) - other) <= _NEAR for one, other in zip(second, top, strict=True))
    return {top} if is_near and counts[top] < _PEAK * float(rest.max()) else set()


def _most(points: int) -> int:
    """Defects that a detector may have: one in a thousand points, twenty at least."""
    return max(20, points // 1000)


def _expected(counts: _Array | float) -> _Array | float:
    """Expectation that so many counts may have at most."""
    least = np.maximum(counts, 0.0)
    return least + 3 * least**0.5 + _COUNTS


def _steps(dimensions: int) -> list[_Place]:
    """Steps to all neighbours, diagonal ones too."""
    return [step for step in itertools.product((-1, 0, 1), repeat=dimensions) if any(step)]
