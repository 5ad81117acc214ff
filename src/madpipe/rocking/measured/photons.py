"""Are a file's intensities counts of photons? What one unit stands for, what their noise says, where they saturate."""

import numpy as np
from jaxtyping import Float

from madpipe.base.warned import warn
from madpipe.rocking.limits import LEAST_NOISE, SATURATED_COUNTS, SATURATED_POINTS

_Points = Float[np.ndarray, "point"]
_WINDOW = 30  # points that a variance is taken of
_WINDOWS = 4  # of the faintest: the standard error of their median is 0.2
_SECOND_DIFFERENCE = 6.0  # its variance over that of a point: 1 + 4 + 1
_MULTIPLES = 60  # of a photon, up to which multiples are looked at
_OFF = 0.05  # of a photon, at most, from a multiple


def counts_per_unit(intensity: _Points) -> float:
    """Photons that one unit of a file's intensity stands for: where all are multiples of one number, that is a photon.

    Where they are not, one unit is taken for one photon.
    """
    photons = _by_multiples(intensity) or 1.0
    if abs(photons - 1) > _OFF:
        warn(
            f"intensities are multiples of {1 / photons:.4g}: that is taken for one photon (--counts-per-unit "
            f"{photons:.6g}), on which errors and chi-square depend"
        )
    return photons


def _by_multiples(intensity: _Points) -> float | None:
    """Photons for one unit, where the faint intensities are multiples of one number."""
    values = np.unique(intensity[intensity > 0])
    if len(values) < 2:
        return None
    for divisor in range(1, 21):
        quantum = values[0] / divisor
        multiples = values[values < _MULTIPLES * quantum] / quantum
        if len(multiples) >= 5 and np.all(np.abs(multiples - np.round(multiples)) < _OFF):
            return float(1.0 / quantum)
    return None


def noise_over_counting(counts: _Points) -> float | None:
    """Variance from point to point over that of counting, in a curve's faintest windows: 1 for counts of photons.

    Of second differences, which the curve's own shape only makes larger: the median of the windows is an upper limit.

    Parameters
    ----------
    counts:
        At even angles.

    Returns
    -------
    :
        None where too few points have counts.
    """
    second = (counts[:-2] - 2 * counts[1:-1] + counts[2:]) ** 2
    level = (counts[:-2] + counts[1:-1] + counts[2:]) / 3
    starts = range(0, len(second) - _WINDOW + 1, _WINDOW)
    sums = np.array([[part[start : start + _WINDOW].sum() for part in (second, level)] for start in starts])
    seen = sums[sums[:, 1] > 0] if len(sums) else sums
    if len(seen) < _WINDOWS:
        return None
    faint = seen[np.argsort(seen[:, 1])[:_WINDOWS]]
    return float(np.median(faint[:, 0] / faint[:, 1]) / _SECOND_DIFFERENCE)


def photons_of(intensity: _Points, told: float | None) -> float:
    """Photons for one unit of intensity: as told, else by multiples, else, where it is too smooth for counts, by noise.

    Parameters
    ----------
    intensity:
        As recorded, without absorbers' factors.
    told:
        By the person or the file.
    """
    found = told or _by_multiples(intensity)
    noise = noise_over_counting(intensity * (found or 1.0))
    if noise is None or noise > LEAST_NOISE:
        return found or 1.0
    # a constant hides that intensities are multiples, but not that their differences are
    found = found or _by_multiples(intensity - intensity.min())
    if found is None and noise > 0:
        return _by_noise(intensity, noise)
    warn(
        f"counts vary {noise:.2g} times as much from point to point as photons do: they seem smoothed, or scaled, or "
        f"to have a constant added (all are at least {intensity.min():.4g}); errors are then too large and chi-square "
        "too small; give counts as recorded, or --counts-per-unit."
    )
    return found or 1.0


def _by_noise(intensity: _Points, noise: float) -> float:
    """Photons for one unit so that the noise is that of counting; said."""
    photons = 1.0 / noise
    warn(
        f"intensities from {intensity.min():.3g} to {intensity.max():.3g} are no counts; by their noise one unit is "
        f"taken for {photons:.3g} photons, on which errors and chi-square depend; give counts, or --counts-per-unit."
    )
    return photons


def saturated(counts: _Points) -> np.ndarray:
    """Points of a plateau of equal largest counts, which photons do not make: the detector or its counter is full."""
    top = counts == counts.max()
    ends = np.flatnonzero(np.diff(np.concatenate([[0], top.astype(int), [0]])))
    longest = int(np.max(ends[1::2] - ends[::2], initial=0))
    return (
        top if longest >= SATURATED_POINTS and counts.max() >= SATURATED_COUNTS else np.zeros(len(counts), dtype=bool)
    )
