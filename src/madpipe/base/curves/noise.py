"""Noise of a curve by what its neighbours do not explain: to estimate a missing sigma, and to test a given one.

A polynomial of degree m - 1 through any m + 1 neighbouring points vanishes in their divided difference of order m,
whatever their spacing; what remains is noise. With weights c normalised so that sum c^2 sigma^2 = 1 it has variance 1
where sigma is right. Structure that the points do not resolve remains too, and less of it at a higher order: the
smallest of several orders is taken, so that a factor above 1 is no artefact of a steep or oscillating curve.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

_ORDERS = (2, 4, 6)
_NORMAL = 0.6744897501960817  # median of |x| of a normal variable
_LEAST_FACTOR = 1.4  # from which a wrong sigma is said
_SIGNIFICANT = 4.0  # standard errors
_AVERAGED = 15  # points on each side in the estimate of a sigma
_STRUCTURE = 1.5  # times that differences of a higher order are smaller where a curve's structure is in the lower ones
_FEW_COUNTS = 5  # below which a root of counts is no standard deviation
_AS_COUNTED = 2.0  # factor by which the scatter of counts may seem to differ from their root
_FLOOR = 1e-4  # smallest estimate, of the intensity's own size


@dataclass(frozen=True)
class NoiseFactor:
    """How many times larger the scatter of neighbouring points is than sigma says, and its relative error."""

    factor: float
    error: float

    @property
    def is_wrong(self) -> bool:
        """Whether sigma is wrong by more than the estimate's own error and by more than is worth a word."""
        off = abs(np.log(self.factor)) if self.factor > 0 else np.inf
        return bool(off > max(np.log(_LEAST_FACTOR), _SIGNIFICANT * self.error))


def difference_weights(x: Float[np.ndarray, "q"], order: int) -> Float[np.ndarray, "window point"]:
    """Weights of the divided differences of an order.

    Parameters
    ----------
    x:
        Points, rising, no two the same.
    order:
        One less than the points of each window.

    Returns
    -------
    :
        One row of order + 1 weights for each run of neighbours; each sums to 0 with any polynomial of a lower degree
        than order. Rows are scaled to a sum of squares of 1.

    References
    ----------
    Gasser, Sroka, Jennen-Steinmetz, Biometrika 73, 625 (1986), who use order 2.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x, order + 1)
    gaps = windows[:, :, None] - windows[:, None, :]
    gaps = gaps / np.ptp(windows, axis=1)[:, None, None]
    gaps[:, np.arange(order + 1), np.arange(order + 1)] = 1.0
    weights = 1.0 / gaps.prod(axis=2)
    return np.asarray(weights / np.sqrt((weights**2).sum(axis=1, keepdims=True)))


def _distinct(
    q: Float[np.ndarray, "q"], good: Float[np.ndarray, "q"] | np.ndarray
) -> Float[np.ndarray, "kept"] | np.ndarray:
    """Places of good points with a q of their own."""
    places = np.flatnonzero(good)
    return places[np.concatenate([[True], np.diff(q[places]) > 1e-9 * q[places][1:]])] if len(places) else places


def noise_factor(
    q: Float[np.ndarray, "q"], intensity: Float[np.ndarray, "q"], sigma: Float[np.ndarray, "q"]
) -> NoiseFactor | None:
    """Compare the scatter of neighbouring points with their sigma; None where there are too few points.

    Parameters
    ----------
    q:
        [1/angstrom], rising.
    intensity, sigma:
        Points with an infinite sigma are left out.
    """
    places = _distinct(q, np.isfinite(sigma) & (sigma > 0))
    if len(places) < 3 * (_ORDERS[-1] + 1):
        return None
    x, y, s = np.log(q[places]), intensity[places], sigma[places]
    found = []
    for order in _ORDERS:
        weights = difference_weights(x, order)
        ys = np.lib.stride_tricks.sliding_window_view(y, order + 1)
        ss = np.lib.stride_tricks.sliding_window_view(s, order + 1)
        scaled = (weights * ys).sum(axis=1) / np.sqrt((weights**2 * ss**2).sum(axis=1))
        independent = len(scaled) / (1.0 + order / 2.0)
        found.append(NoiseFactor(float(np.median(np.abs(scaled)) / _NORMAL), 1.17 / np.sqrt(independent)))
    return min(found, key=lambda one: one.factor)


def _level(x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], order: int) -> Float[np.ndarray, "q"]:
    """Standard deviation by the differences of an order: their running median, smoothed."""
    weights = difference_weights(x, order)
    noise = np.abs((weights * np.lib.stride_tricks.sliding_window_view(y, order + 1)).sum(axis=1)) / _NORMAL
    size = min(2 * _AVERAGED + 1, len(noise))
    middle = np.lib.stride_tricks.sliding_window_view(noise, size)
    medians = np.median(middle, axis=1)
    places = np.clip(np.arange(len(x)) - order // 2 - size // 2, 0, len(medians) - 1)  # near the ends: the last window
    smooth = gaussian_filter1d(np.log(np.maximum(medians, np.finfo(float).tiny)), _AVERAGED / 3.0, mode="nearest")
    return np.asarray(np.exp(smooth[places]))


def estimated_sigma(q: Float[np.ndarray, "q"], intensity: Float[np.ndarray, "q"]) -> Float[np.ndarray, "q"] | None:
    """Estimate sigma from the scatter of neighbouring points, as a smooth function of q.

    Parameters
    ----------
    q:
        [1/angstrom], rising.
    intensity:
        NaN where there is none.

    Returns
    -------
    :
        One standard deviation, in the intensity's unit, infinite where there is no intensity; at least 1e-4 of the
        intensity. None where fewer points are than an estimate needs.
    """
    places = _distinct(q, np.isfinite(intensity))
    if len(places) < 3 * (_ORDERS[0] + 1):
        return None
    x, y = np.log(q[places]), intensity[places]
    level = _level(x, y, _ORDERS[0])
    for order in _ORDERS[1:]:
        if len(x) >= 3 * (order + 1):
            finer = _level(x, y, order)
            level = np.where(finer < level / _STRUCTURE, finer, level)
    floor = _FLOOR * np.maximum(np.abs(y), 1e-3 * np.abs(y).max()) + np.finfo(float).tiny
    sigma = np.interp(np.log(q), x, np.maximum(level, floor))
    return np.where(np.isfinite(intensity), sigma, np.inf)


def are_counts(q: Float[np.ndarray, "q"], intensity: Float[np.ndarray, "curve q"]) -> bool:
    """Whether intensities of no unit are counts: whole numbers that scatter as their root.

    Parameters
    ----------
    q:
        In any order and unit.
    intensity:
        NaN where there is none.
    """
    seen = intensity[np.isfinite(intensity)]
    if not len(seen) or seen.min() < 0 or seen.max() < 2 or (seen != np.round(seen)).any():
        return False
    order = np.argsort(q, kind="stable")
    order = order[np.isfinite(q[order]) & (q[order] > 0)]
    fullest = intensity[int(np.argmax(np.nansum(intensity, axis=1))), order]
    sigma = estimated_sigma(q[order], fullest)
    many = np.isfinite(fullest) & (fullest >= _FEW_COUNTS)
    if sigma is None or many.sum() <= _AVERAGED:
        return True
    return bool(abs(np.log(np.median(sigma[many] / np.sqrt(fullest[many])))) < np.log(_AS_COUNTED))
