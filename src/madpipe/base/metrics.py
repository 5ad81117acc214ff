"""Numbers that compare a prediction with a truth; arrays in, one number out, standard errors beside them."""

import numpy as np

_Array = np.ndarray


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


def coverage(error: _Array, sigma: _Array, deviations: float) -> float:
    """Share of points whose error is below this many stated standard deviations [1]."""
    return float((np.abs(error) < deviations * sigma).mean()) if len(error) else float("nan")


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
