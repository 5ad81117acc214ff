"""Points that a detector did not measure though no mask says so: markers, saturation, blocked regions, hot pixels.

What is certain is masked and said in one line each; a hot pixel is named, and masked on request. All of it also where
one energy alone is affected.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from madpipe.base.warned import warn
from madpipe.mad.limits import BLOCKED_BY, HOT_ABOVE, MASKED_SHARE, SATURATED_POINTS
from madpipe.mad.measured.counts import good_points
from madpipe.mad.measured.isolated import isolated_points
from madpipe.mad.measured.readers.arrays import Fields
from madpipe.mad.measured.shadows import blocked_points

SATURATED, HOT, SHADOWED, MISSING = np.uint32(0x2), np.uint32(0x4), np.uint32(0x10), np.uint32(0x200)  # CXI's bits
_TYPES_END = tuple(float(2**bits - less) for bits in (16, 20, 31, 32) for less in (0, 1, 2))
_FEW_VALUES = 3  # different negative integers that stand for gaps and defects, as -1, -2
_LEAST_PLATEAU = 10  # counts; dimmer data have many points of equal largest counts anyway
_NAMED = 3  # points that a line names
_FEWEST_FRAMES, _MANY_NEGATIVE = 3, 0.005  # from which on, and share of the values, scattered negative counts are told
_Array = np.ndarray


def with_markers_masked(values: Fields) -> Fields:
    """Mask points that hold a mark in place of a count: the data type's largest number, or negative integers.

    Warns
    -----
    DataWarning
        How many points, and the mark.
    """
    data, good = np.asarray(values["data"]), good_points(values)
    bad = np.zeros(data.shape, dtype=bool)
    for mark in _markers(data, good, counts="data_errors" not in values):
        here = good & (data == mark)
        bad |= here
        warn(f"{_hold(here)} {mark:.10g}, which stands for a gap, a defect or a saturated counter: masked")
    return _masked(values, bad, MISSING)


def with_saturated_masked(values: Fields) -> Fields:
    """Mask points whose counts were cut: many of one largest value, and hardly any just below it.

    Warns
    -----
    DataWarning
        How many points, and the value.
    """
    if "data_errors" in values:
        return values
    data, good, energy = np.asarray(values["data"]), good_points(values), values["energy"]
    if _plateau(data, good) is not None:
        good = _without_isolated(data, good)
    for part, when in [
        (slice(None), "at every energy"),
        *((slice(k, k + 1), f"at {energy[k]:g} eV") for k in range(len(data))),
    ]:
        largest = _plateau(data[part], good[part])
        if largest is None:
            continue
        bad = np.zeros(data.shape, dtype=bool)
        bad[part] = good[part] & (data[part] == largest)
        warn(
            f"{_hold(bad)} the same largest value, {largest:.6g}, {when}, and hardly any lies just below: the detector "
            "is saturated there, or the counts were cut: masked"
        )
        values, good = _masked(values, bad, SATURATED), good & ~bad
    return values


def with_blocked_masked(values: Fields) -> Fields:
    """Mask regions of zeros among bright points, as a beam stop or a gap leaves without a mask.

    Warns
    -----
    DataWarning
        How many points, and where.
    """
    if "data_errors" in values:
        return values
    data, good = np.asarray(values["data"]), good_points(values)
    whole = blocked_points(_summed(data, good), np.any(good, axis=0), BLOCKED_BY)
    _say_blocked(whole, "at every energy")
    found = {}
    for number, energy in enumerate(values["energy"]):
        alone = blocked_points(*_measured(data[number], good[number], without=whole), BLOCKED_BY)
        if alone.any():
            found[number] = alone
            _say_blocked(alone, f"at {energy:g} eV")
    if not found and not whole.any():
        return values
    bad = np.repeat(whole[None], len(data), axis=0)
    for number, alone in found.items():
        bad[number] |= alone
    return _masked(values, bad & good, SHADOWED)


def with_hot_pixels(values: Fields, mask_hot: bool) -> Fields:
    """Name points far above all that surround them, and mask them if asked to.

    Warns
    -----
    DataWarning
        Index and counts of the points.
    """
    if "data_errors" in values:
        return values
    data, good = np.asarray(values["data"]), good_points(values)
    told: dict[tuple[int, tuple[int, ...]], float] = {}  # energy, -1 for every one, and point
    for place in isolated_points(_summed(data, good), np.any(good, axis=0), HOT_ABOVE):
        counts = np.where(_at(good, place), _at(data, place), 0)
        brightest = int(counts.argmax())
        told[brightest if _outshines(data, good, brightest, place) else -1, place] = float(counts.max())
    for number in range(len(data)):
        for place in isolated_points(*_measured(data[number], good[number]), HOT_ABOVE):
            if not {(-1, place), (number, place)} & told.keys() and _outshines(data, good, number, place):
                told[number, place] = float(_at(data, place)[number])
    if not told:
        return values
    names = "; ".join(
        f"{place}, {value:.4g} counts" + ("" if number < 0 else f" at {values['energy'][number]:g} eV")
        for (number, place), value in list(told.items())[:_NAMED]
    )
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    done = "masked" if mask_hot else "mask them if they are hot pixels: --mask-hot (mask_hot: true)"
    warn(
        f"isolated points over {HOT_ABOVE:g} times all around them, which no particle sampled finely enough for "
        f"retrieval shows: {names}{more}; {done}"
    )
    if not mask_hot:
        return values
    bad = np.zeros(data.shape, dtype=bool)
    for number, place in told:
        _at(bad, place)[slice(None) if number < 0 else number] = True
    return _masked(values, bad & good, HOT)


def check_mask(values: Fields) -> None:
    """Say where the mask covers most points, and nearly all photons: it may be inverted.

    Warns
    -----
    DataWarning
        The share that is masked.
    """
    data, good = np.asarray(values["data"]), good_points(values)
    share = 1 - float(good.mean())
    if share <= MASKED_SHARE or share == 1.0:
        return
    covered = np.sort(np.maximum(np.nan_to_num(data[~good].astype(float), posinf=0.0), 0))
    covered = covered[: len(covered) - max(1, len(covered) // 100)]  # defects and marks are bright
    left = float(np.maximum(data[good], 0).sum())
    if covered.sum() > left:
        warn(
            f"{share:.0%} of the points are masked, among them most of the photons (0 is good): check the mask's "
            "polarity; invert it if 1 means good"
        )


def _markers(data: _Array, good: _Array, *, counts: bool) -> list[float]:
    """Values that are no counts: the largest the type holds, or negative integers of a few kinds."""
    is_integer = bool(np.issubdtype(data.dtype, np.integer))
    end = float(np.iinfo(data.dtype).max) if is_integer else np.inf
    found: list[float] = []
    while len(found) < _FEW_VALUES:
        largest = _largest(data, good, found[-1] if found else None)
        if largest not in (end, *_TYPES_END):
            break
        alone = _largest(data, good, largest) <= largest / 2 or _count(data, good, largest) > 1
        if largest != end and not alone:
            break
        found.append(largest)
    if not counts or data.dtype.kind == "u":
        return found
    negative = np.concatenate([frame[here & (frame < 0)] for frame, here in zip(data, good, strict=True)])
    kinds = np.unique(negative)
    is_mark = is_integer or (negative.size > 1 and not (kinds % 1).any())
    if not is_mark or len(kinds) > _FEW_VALUES or _is_scattered(data, good):
        return found
    return found + [float(kind) for kind in kinds]


def _is_scattered(data: _Array, good: Bool[_Array, "energy *point"]) -> bool:
    """Whether many points are negative, at each energy others: counts less a background, not gaps or defects."""
    below = [here & (frame < 0) for frame, here in zip(data, good, strict=True)]
    many = sum(int(one.sum()) for one in below)
    if len(below) < _FEWEST_FRAMES or many < _MANY_NEGATIVE * data.size:
        return False
    shared = sum(int((one & other).sum()) for one, other in pairwise(below))
    return shared < 0.5 * many * (len(below) - 1) / len(below)


def _plateau(data: _Array, good: Bool[_Array, "energy *point"]) -> float | None:
    """Largest value, where it is one that counts were cut at."""
    largest = _largest(data, good)
    if largest < _LEAST_PLATEAU:
        return None
    many = _count(data, good, largest)
    if many < SATURATED_POINTS or many > data.size / 2:
        return None
    least = largest - 2 * largest**0.5
    below = sum(
        int(np.count_nonzero(here & (frame > least) & (frame < largest)))
        for frame, here in zip(data, good, strict=True)
    )
    return largest if many > 3 * below + 1 else None


def _without_isolated(data: _Array, good: Bool[_Array, "energy *point"]) -> Bool[_Array, "energy *point"]:
    """Leave out what is a hot pixel, not a peak that was cut."""
    brightest = np.zeros(data.shape[1:])
    for frame, here in zip(data, good, strict=True):
        np.maximum(brightest, frame, out=brightest, where=here)
    kept = good.copy()
    for place in isolated_points(brightest, np.any(good, axis=0), HOT_ABOVE):
        _at(kept, place)[:] = False
    return kept


def _largest(data: _Array, good: _Array, below: float | None = None) -> float:
    """Largest value, or the largest below another one; 0 at least."""
    frames = zip(data, good, strict=True)
    if below is not None:
        return max(float(np.max(frame, where=here & (frame < below), initial=0)) for frame, here in frames)
    return max(0.0, *(float(frame.max() if here.all() else frame.max(where=here, initial=0)) for frame, here in frames))


def _count(data: _Array, good: _Array, value: float) -> int:
    """Number of points that hold a value."""
    return sum(int(np.count_nonzero((frame == value) & here)) for frame, here in zip(data, good, strict=True))


def _summed(data: _Array, good: _Array) -> _Array:
    """Counts over all energies, without a copy of all."""
    total = np.zeros(data.shape[1:])
    for frame, here in zip(data, good, strict=True):
        np.add(total, frame, out=total, where=True if here.all() else here)
    return total


def _measured(frame: _Array, here: _Array, without: _Array | None = None) -> tuple[_Array, _Array]:
    """Counts of one energy, 0 where masked, and what was measured, less some points."""
    counts = frame if here.all() else np.where(here, frame, 0)
    return counts, here if without is None or not without.any() else here & ~without


def _say_blocked(blocked: Bool[_Array, "*point"], when: str) -> None:
    """One line for a region of zeros."""
    if blocked.any():
        spans = ", ".join(f"{index.min()} to {index.max()}" for index in np.nonzero(blocked))
        warn(
            f"{_hold(blocked)} no count {when} though bright points surround them (indices {spans}): blocked, as "
            "by a beam stop or a gap: masked"
        )


def _outshines(data: _Array, good: _Array, number: int, place: tuple[int, ...]) -> bool:
    """Tell whether a point at one energy is far above the same point at the others."""
    counts = _at(data, place)
    others = np.delete(counts, number)[np.delete(_at(good, place), number)]
    return bool(others.size and counts[number] > HOT_ABOVE * (others.max() + 10))


def _at(array: _Array, place: tuple[int, ...]) -> _Array:
    """One point at every energy; the memory is the array's."""
    point: _Array = array.T[place[::-1]]
    return point


def _hold(points: Bool[_Array, "*point"]) -> str:
    """Number of points in words."""
    count = int(np.count_nonzero(points))
    return f"{count} points hold" if count != 1 else "1 point holds"


def _masked(values: Fields, bad: Bool[_Array, "energy *point"], bit: np.uint32) -> Fields:
    """Values with more points masked, each energy apart only where need be."""
    if not bad.any():
        return values
    data = np.asarray(values["data"])
    mask = np.asarray(values.get("mask", np.uint32(0))).astype(np.uint32)
    if mask.shape not in ((), data.shape[1:], data.shape):
        return values  # refused later, with its shape
    if mask.shape != data.shape and (bad == bad[0]).all():
        return {**values, "mask": np.broadcast_to(mask, data.shape[1:]) | np.where(bad[0], bit, np.uint32(0))}
    return {**values, "mask": np.broadcast_to(mask, data.shape) | np.where(bad, bit, np.uint32(0))}
