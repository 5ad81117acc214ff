"""Numbers that compare a prediction with a truth; arrays in, one number out, standard errors beside them."""

import math
from collections.abc import Sequence

import numpy as np

_Array = np.ndarray
_SMALL, _LARGE = 1e-4, 1e7  # numbers beyond are written with a power of ten
UNKNOWN_PHASE = math.pi / math.sqrt(3)  # rms of a phase of which nothing is known [radian]


def r_factor(observed: _Array, calculated: _Array) -> float:
    """Sum of absolute differences over the sum of the observed [1]; nan where nothing was observed."""
    total = observed.sum()
    return float(np.abs(observed - calculated).sum() / total) if total > 0 else float("nan")


def relative_l1(error: _Array, truth: _Array) -> tuple[float, float]:
    """Sum of absolute errors over the sum of absolute truths, and its standard error [1]."""
    scale = np.abs(truth).sum()
    if scale == 0 or not len(error):
        return float("nan"), float("nan")
    absolute = np.abs(error)
    return float(absolute.sum() / scale), float(absolute.std() * np.sqrt(len(error)) / scale)


def root_mean_square(error: _Array) -> tuple[float, float]:
    """Root mean square and its standard error, from the spread of the squares [unit of error]."""
    if not len(error):
        return float("nan"), float("nan")
    squares = error**2
    rms = np.sqrt(squares.mean())
    return float(rms), float(squares.std() / np.sqrt(len(error)) / (2 * rms)) if rms > 0 else 0.0


def mean_with_error(values: Sequence[float] | _Array) -> tuple[float, float]:
    """Mean and its standard error [unit of the values]; that of a single value is not known, and given as zero."""
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread


def pooled_ratio(numerator: _Array, denominator: _Array, *, root: bool = False) -> tuple[float, float]:
    r"""Ratio of two sums over independent samples, or its root, with the jackknife's standard error [1].

    .. math::
        \hat\theta = \frac{\sum_i a_i}{\sum_i b_i},\qquad
        s^2 = \frac{n - 1}{n} \sum_i (\hat\theta_{-i} - \bar\theta)^2

    Parameters
    ----------
    numerator, denominator:
        :math:`a_i`, which must be >= 0 for a root, and :math:`b_i \ge 0`: each sample's own sum over its points,
        which need not be independent of one another.
    root:
        Take the square root of every ratio: with squared errors and numbers of points, their rms.

    Returns
    -------
    :
        nan where the denominators vanish; the error is nan unless they stay above 0 without any one sample.

    References
    ----------
    Efron and Stein, Ann. Statist. 9, 586 (1981).
    """
    total, count = denominator.sum(), len(numerator)
    if not total > 0:
        return math.nan, math.nan
    value, rest = numerator.sum() / total, total - denominator
    if count < 2 or not (rest > 0).all():
        return float(np.sqrt(value) if root else value), math.nan
    without = (numerator.sum() - numerator) / rest
    if root:  # a sum less its greatest part may be a rounding error below 0
        value, without = np.sqrt(value), np.sqrt(without.clip(min=0))
    return float(value), float(np.sqrt((count - 1) * without.var()))


def coverage(error: _Array, sigma: _Array, deviations: float) -> float:
    """Share of points whose error is below this many stated standard deviations [1]."""
    return float((np.abs(error) < deviations * sigma).mean()) if len(error) else float("nan")


def coverages(error: _Array, sigma: _Array, half_95: _Array | None = None) -> dict[str, float | None]:
    """Shares of points within the stated 68.3 and 95 % intervals [1]; None where there is no point.

    Parameters
    ----------
    error:
        Of each point.
    sigma:
        Half the width of its 68.3 % interval, in the unit of the error.
    half_95:
        That of its 95 % interval; without it 1.96 sigma, as of a Gaussian error.
    """
    within_95 = coverage(error, sigma, 1.96) if half_95 is None else coverage(error, half_95, 1.0)
    return {"coverage_68": finite(coverage(error, sigma, 1.0)), "coverage_95": finite(within_95)}


def log_correlation(prediction: _Array, truth: _Array) -> float:
    """Pearson correlation of ln(x + 0.1 median of the truth) [1]; nan where either does not vary."""
    offset = 0.1 * np.median(truth) if len(truth) else 0.0
    if offset <= 0 or len(truth) < 3:
        return float("nan")
    pair = np.log(np.stack([prediction + offset, truth + offset]))
    return float(np.corrcoef(pair)[0, 1]) if (np.ptp(pair, axis=1) > 0).all() else float("nan")


def correlation(first: _Array, second: _Array) -> float:
    """Pearson correlation [1]; nan where either does not vary."""
    varies = len(first) > 2 and np.ptp(first) > 0 and np.ptp(second) > 0
    return float(np.corrcoef(first, second)[0, 1]) if varies else float("nan")


def wrapped(angle: _Array) -> _Array:
    """Angle in [-pi, pi) [radian]."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def finite(value: float | None) -> float | None:
    """Give the number, or None in place of one that JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None


def with_error(value: float, error: float) -> str:
    """Write a value and its standard error to two digits of the error, as 1.193 +- 0.018, or (3.9815 +- 0.0049)e-12."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.4g} +- {error:g}"
    larger = max(abs(value), error)
    if np.isfinite(value) and not _SMALL <= larger < _LARGE:
        power = int(np.floor(np.log10(larger)))
        return f"({with_error(value / 10.0**power, error / 10.0**power)})e{power:+03d}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f} +- {error:.{digits}f}"
