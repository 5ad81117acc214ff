"""Points that a detector did not measure though no mask says so: markers, saturation, blocked regions, hot pixels.

What is certain is masked and said in one line each; a hot pixel is named, and masked on request. All of it also where
one energy alone is affected.
"""

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
    data, good = np.asarray(values["data"]), good_points(values)
    brightest = np.max(data, axis=0, where=good, initial=0)
    lone = isolated_points(brightest, np.any(good, axis=0), HOT_ABOVE)
    if lone:
        good = good.copy()
        for place in lone:
            _at(good, place)[:] = False  # a hot pixel, not a peak that was cut
    bad = _plateau(data, good, "at every energy")
    for number, energy in enumerate(values["energy"]):
        here = slice(number, number + 1)
        bad[here] |= _plateau(data[here], good[here] & ~bad[here], f"at {energy:g} eV")
    return _masked(values, bad, SATURATED)


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
    bad = np.zeros(data.shape, dtype=bool)
    whole = blocked_points(data.sum(0, dtype=float, where=good), np.any(good, axis=0), BLOCKED_BY)
    bad |= whole
    _say_blocked(whole, "at every energy")
    for frame, here, dark, energy in zip(data, good, bad, values["energy"], strict=True):
        alone = blocked_points(np.where(here, frame, 0), here & ~dark, BLOCKED_BY)
        _say_blocked(alone, f"at {energy:g} eV")
        dark |= alone
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
    bad = np.zeros(data.shape, dtype=bool)
    told = []
    for place in isolated_points(data.sum(0, dtype=float, where=good), np.any(good, axis=0), HOT_ABOVE):
        counts = np.where(_at(good, place), _at(data, place), 0)
        brightest = int(counts.argmax())
        alone = _outshines(data, good, brightest, place)
        when = f" at {values['energy'][brightest]:g} eV" if alone else ""
        told.append((place, float(counts.max()), when))
        _at(bad, place)[brightest if alone else slice(None)] = True
    for number, energy in enumerate(values["energy"]):
        here = good[number] & ~bad[number]
        for place in isolated_points(np.where(here, data[number], 0), here, HOT_ABOVE):
            if _outshines(data, good, number, place):
                _at(bad, place)[number] = True
                told.append((place, float(_at(data, place)[number]), f" at {energy:g} eV"))
    if told:
        names = "; ".join(
            f"{tuple(int(index) for index in place)}, {value:.4g} counts{when}" for place, value, when in told[:_NAMED]
        )
        more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
        done = "masked" if mask_hot else "mask them if they are hot pixels: --mask-hot (mask_hot: true)"
        warn(
            f"isolated points over {HOT_ABOVE:g} times all around them, which no particle sampled finely enough for "
            f"retrieval shows: {names}{more}; {done}"
        )
    return _masked(values, bad & good, HOT) if mask_hot else values


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
    for _ in range(_FEW_VALUES):
        largest, many, below = _top(data, good, found[-1] if found else np.inf)
        if largest != end and (largest not in _TYPES_END or (below > largest / 2 and many < 2)):
            break
        found.append(largest)
    if not counts or data.dtype.kind == "u":
        return found
    negative = np.concatenate([frame[here & (frame < 0)] for frame, here in zip(data, good, strict=True)])
    kinds = np.unique(negative)
    is_mark = is_integer or (negative.size > 1 and not (kinds % 1).any())
    return found + ([float(kind) for kind in kinds] if is_mark and len(kinds) <= _FEW_VALUES else [])


def _top(data: _Array, good: _Array, limit: float) -> tuple[float, int, float]:
    """Largest value below a limit, how many points have it, and the next value."""

    def largest_below(most: float) -> float:
        frames = zip(data, good, strict=True)
        return max(float(np.max(frame, where=here & (frame < most), initial=0)) for frame, here in frames)

    largest = largest_below(limit)
    many = sum(int(np.count_nonzero(here & (frame == largest))) for frame, here in zip(data, good, strict=True))
    return largest, many, largest_below(largest)


def _plateau(data: _Array, good: Bool[_Array, "energy *point"], when: str) -> Bool[_Array, "energy *point"]:
    """Points of the largest value, where it is one that counts were cut at."""
    none = np.zeros(data.shape, dtype=bool)
    largest, many, _ = _top(data, good, np.inf)
    if largest < _LEAST_PLATEAU or many < SATURATED_POINTS or many > data.size / 2:
        return none
    least = largest - 2 * largest**0.5
    below = sum(
        int(np.count_nonzero(here & (frame > least) & (frame < largest)))
        for frame, here in zip(data, good, strict=True)
    )
    if many <= 3 * below + 1:
        return none
    cut = good & (data == largest)
    warn(
        f"{_hold(cut)} the same largest value, {largest:.6g}, {when}, and hardly any lies just below: the detector is "
        "saturated there, or the counts were cut: masked"
    )
    return cut


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
