"""Are they photons? The unit of intensities, from the step between them and from how they scatter."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.limits import FANO, FANO_SIGMAS
from madpipe.mad.measured.readers.arrays import PER_POINT, Fields

_WHOLE = 2.0**53  # largest number of steps that is still told from the next
_SAMPLE = 1_000_000  # points of an energy that are looked at
_POINTS = 300_000  # of them, those with counts; more tell nothing new of the noise
_BRIGHTEST = 3  # points left out
_FEWEST = 100  # intensities that are not zero; fewer show neither a step nor their scatter
_NO_NOISE = 1e-9  # frames proportional to each other are calculated, or one and the same
_LEAST_IN_BIN = 50  # points of like brightness that their scatter is taken over
_FEWEST_STEPS = 8  # different multiples of one number that make it a unit
_OFF = 0.03  # of a step; a multiple lies closer to its number
_SMALLEST = 2000  # different intensities that are looked at
_DIGITS = 1e-6  # relative; closer intensities are equal but for rounding
_LARGEST = 2.0**52  # beyond it every number of double precision is an integer
_SAME_UNIT = 1e-3  # relative difference of the units of two energies
_Array = np.ndarray


@dataclass(frozen=True)
class Fano:
    """Variance of intensities over their mean: 1 for photon counts, g for g times photon counts."""

    value: float
    error: float
    resonant_apart: bool  # what the resonant atoms change is left out, or small; else the value is an upper limit

    @property
    def is_far(self) -> bool:
        """Tell whether it is significantly away from 1 by more than the limit."""
        low, high = self.value - FANO_SIGMAS * self.error, self.value + FANO_SIGMAS * self.error
        return (low > FANO and self.resonant_apart) or high < 1 / FANO

    @property
    def distance(self) -> float:
        """Distance from photon counts, as a logarithm."""
        return abs(float(np.log(max(self.value, 1e-12))))


def in_photons(values: Fields, counts_per_unit: float | None = None) -> Fields:
    """Bring intensities to photons, where it is known or can be seen how many a unit stands for.

    Parameters
    ----------
    values:
        Fields with ``data``, and ``data_errors`` where they are not counts.
    counts_per_unit:
        Photons per unit of the data; without it, the step that all intensities are multiples of is one photon.

    Returns
    -------
    :
        Data, background and errors in photons. Where every energy has a unit of its own, the data were divided by an
        exposure: it becomes the monitor, unless there is one, or all energies have the same largest value.

    Warns
    -----
    DataWarning
        A unit that was found; intensities that scatter otherwise than counts.

    Raises
    ------
    InputError
        Intensities of at most 1 without errors or unit.
    """
    if counts_per_unit is not None:
        return _scaled(values, np.full(len(values["energy"]), float(counts_per_unit)))
    data, good = np.asarray(values["data"]), good_points(values)
    is_expectation = "truth" in values and not np.issubdtype(data.dtype, np.integer)  # simulated without noise
    if "data_errors" in values or is_expectation or _positive(data, good) < _FEWEST:
        return values
    units = units_of(data, good)
    if units is not None and np.abs(units - 1).max() > _SAME_UNIT:
        taken = _in_units(values, units, good)
        if taken is not None:
            return taken
    scatter = fano(data, good)
    largest = max(float(frame.max(where=here, initial=0)) for frame, here in zip(data, good, strict=True))
    if largest <= 1 and not np.issubdtype(data.dtype, np.integer) and _positive(data % 1, good):
        about = "" if scatter is None or scatter.value <= 0 else f", about {1 / scatter.value:.2g} by their scatter"
        raise InputError(
            f"photon counts, or intensities with data_errors, are required; the largest intensity is {largest:.4g}, so "
            f"these are neither; give data_errors, or the photons per unit, --counts-per-unit X{about}."
        )
    _warn_of_scatter(scatter)
    return values


def good_points(values: Fields) -> _Array:
    """Points that are not masked, (energy, *point)."""
    data = np.asarray(values["data"])
    mask = np.asarray(values.get("mask", np.uint32(0)))
    if mask.shape not in ((), data.shape, data.shape[1:]):
        return np.ones(data.shape, dtype=bool)  # refused later, with its shape
    return np.broadcast_to(mask == 0, data.shape)


def _positive(data: _Array, good: _Array) -> int:
    """Number of points above zero, among a sample."""
    pairs = ((_sampled(frame), _sampled(here)) for frame, here in zip(data, good, strict=True))
    return sum(int(np.count_nonzero(here & (frame > 0))) for frame, here in pairs)


def units_of(data: Num[_Array, "energy *point"], good: _Array) -> Float[_Array, "energy"] | None:
    """Number that all intensities of an energy are multiples of, for each; None where one has none."""
    some = [_sampled(frame)[_sampled(here)] for frame, here in zip(data, good, strict=True)]
    found = [unit_of(frame) for frame in some]
    if any(unit is None for unit in found):
        whole = unit_of(np.concatenate(some))
        return None if whole is None else np.full(len(data), whole)
    units = np.array(found, dtype=float)
    return np.full(len(units), np.median(units)) if np.ptp(units) < _SAME_UNIT * np.median(units) else units


def _sampled(frame: _Array) -> _Array:
    """Some of the points, evenly spread."""
    flat = frame.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLE)]


def unit_of(intensity: Num[_Array, "point"]) -> float | None:
    """Number that intensities are multiples of, such as 1 for counts; None where there is none, or too few tell it."""
    positive = intensity[intensity > 0]
    if len(positive) > _POINTS:
        positive = positive[:: len(positive) // _POINTS]
    distinct = np.unique(positive[positive < _LARGEST])
    if np.issubdtype(distinct.dtype, np.integer) or not (distinct % 1).any():
        unit = np.gcd.reduce(distinct[:_SMALLEST].astype(np.int64)) if len(distinct) else 1
        return float(unit) if len(distinct) >= _FEWEST_STEPS else 1.0
    distinct = distinct.astype(float)
    distinct = distinct[np.append(True, np.diff(distinct) > _DIGITS * distinct[1:])][:_SMALLEST]
    if len(distinct) <= _FEWEST_STEPS:
        return None
    unit = float(np.diff(distinct).min())  # not the smallest: it may be less, where a constant was taken off
    for most in (20.0, 200.0, np.inf):  # the first multiples tell it roughly, the further ones exactly
        here = distinct[distinct < most * unit]
        if not len(here):
            continue
        number = np.round(here / unit)
        if not (number < _WHOLE).all() or (np.abs(here / unit - number) > _OFF + _DIGITS * number).any():
            return None
        unit = float(here @ number / (number @ number))
    return unit


def fano(data: Num[_Array, "energy *point"], good: _Array) -> Fano | None:
    r"""Variance over mean, from how the energies of one point differ otherwise than the MAD equation lets them.

    With expectation m of a point over all energies and exposure s of an energy,

    .. math:: x_E = (n_E - s_E m) / \sqrt{s_E m},\quad m = \frac{\sum_E n_E}{\sum_E s_E}

    has for counts of one expectation the variance 1 in each of E - 1 directions, however few they are. The MAD equation
    is linear in four unknowns, so what the resonant atoms change lies in three directions, those in which x varies
    most. The mean of :math:`x^2` over the others is g where a unit is 1/g photon, in bins of points of like brightness.

    Returns
    -------
    :
        g with its standard error, from the dimmer bins; None where too few points tell it. Points not measured at
        every energy are left out, and the brightest ones, defects perhaps. Of three or four energies one direction is
        kept, with what the resonant atoms change in it: an upper limit.
    """
    energies = len(data)
    counts = np.stack([_sampled(frame) for frame in data]).astype(float)
    counts = counts[:, np.all([_sampled(here) for here in good], axis=0)]
    counts = counts[:, counts.any(0)]
    counts = counts[:, :: max(1, counts.shape[1] // _POINTS)]
    total = counts.sum(0)
    kept = np.argsort(total)[: len(total) - _BRIGHTEST - len(total) // 10_000]
    counts, total = counts[:, kept[total[kept] > 0]], total[kept[total[kept] > 0]]
    share = counts.sum(1) / max(counts.sum(), 1e-300)
    if energies < 3 or len(total) < 2 * _LEAST_IN_BIN or not (share > 0).all():
        return None
    expected = share[:, None] * total
    scatter = (counts - expected) / np.sqrt(np.maximum(expected, 1e-300))  # products of tiny numbers may be 0
    across = np.linalg.svd(np.sqrt(share)[None])[2][1:]  # directions in which energies may differ
    varying = np.linalg.svd(across @ (scatter / np.sqrt(len(total))), full_matrices=False)[0]  # most first
    least = varying[:, min(3, energies - 2) :].T @ across
    return _of_dim_points(((least @ scatter) ** 2).mean(0), total / energies, energies > 4)


def _of_dim_points(
    index: Float[_Array, "point"], brightness: Float[_Array, "point"], resonant_apart: bool
) -> Fano | None:
    """Median over the dimmer half of the bins: bright points show drifts, the dimmest ones a detector's own noise."""
    place = np.floor(np.log2(brightness)).astype(int)
    place -= place.min()
    number = np.bincount(place)
    used = number >= _LEAST_IN_BIN
    if np.count_nonzero(used) < 2:
        return None
    mean, square = (np.bincount(place, values)[used] / number[used] for values in (index, index**2))
    error = np.sqrt(np.maximum(square - mean**2, 0) / number[used])
    half = slice(0, (len(mean) + 1) // 2)
    value = float(np.median(mean[half]) if resonant_apart else mean[half].min())
    if value < _NO_NOISE:
        return None
    spread = np.hypot(np.median(np.abs(mean[half] - value)), np.median(error[half]))
    return Fano(value, float(2 * spread / len(mean[half]) ** 0.5), resonant_apart)  # of a median: 1.25 of a mean's


def _warn_of_scatter(found: Fano | None) -> None:
    """Say that intensities scatter otherwise than photon counts."""
    if found is None or not found.is_far:
        return
    per_unit = 1 / max(found.value, 1e-6)
    cause = "that were scaled, averaged or interpolated" if found.value < 1 else "in a detector's own unit"
    warn(
        f"intensities scatter with {found.value:.2g} times the variance of photon counts, as do those {cause}: stated "
        f"errors will be {per_unit**0.5:.2g} times the true ones; give data_errors, or the photons per unit, about "
        f"--counts-per-unit {per_unit:.2g}"
    )


def _in_units(values: Fields, units: Float[_Array, "energy"], good: _Array) -> Fields | None:
    """Counts, from the unit of each energy; None where they would not scatter as counts."""
    data = np.asarray(values["data"])
    turned = _scaled(values, 1 / units)
    counts = np.where(good, np.rint(turned["data"]), 0)
    before, after = fano(data, good), fano(counts, good)
    if before is not None and after is not None and (after.is_far or before.distance < after.distance):
        return None
    measured = [frame[here] if here.any() else np.zeros(1) for frame, here in zip(data, good, strict=True)]
    own = [np.array([float(part(frame)) for frame in measured]) for part in (np.max, np.sum)]
    turned["data"] = np.where(good, counts, turned["data"])
    if np.ptp(units) == 0:
        warn(
            f"intensities are multiples of {units[0]:.4g}: that is taken for one photon (--counts-per-unit "
            f"{1 / units[0]:.6g})"
        )
        return turned
    told = f"intensities of each energy are multiples of a number of its own, {units.min():.4g} to {units.max():.4g}"
    # divided by their own largest or total, their ratios are those of the counts: no monitor stands in between
    if "monitor" in values or any(np.ptp(each) < _SAME_UNIT * each.max() for each in own):
        warn(f"{told}: that is taken for one photon")
        return turned
    warn(f"{told}: that is taken for one photon, and its inverse, which they were divided by, for the monitor")
    return {**turned, "monitor": units.mean() / units}


def _scaled(values: Fields, factor: Float[_Array, "energy"]) -> Fields:
    """Multiply what is in the data's unit."""
    result = dict(values)
    for name in PER_POINT:
        if name in values:
            array = np.asarray(values[name], dtype=float)
            result[name] = array * factor.reshape(-1, *[1] * (np.ndim(values["data"]) - 1))
    return result
