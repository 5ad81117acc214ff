r"""Guinier's law as a weighted line: ln I = ln I(0) - q^2 Rg^2 / 3, over the range in which q Rg stays below a limit.

References
----------
Guinier and Fournet, Small-Angle Scattering of X-rays (1955), section 2.1.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

LIMIT = 1.3  # q Rg of globular particles
_FEWEST = 5
_ROUNDS = 50


@dataclass(frozen=True)
class GuinierLine:
    """Radius of gyration and forward scattering, not a number where the curve has no Guinier range."""

    rg: float  # [angstrom]
    rg_error: float
    i0: float  # unit of the intensity
    i0_error: float
    q_max: float  # end of the range [1/angstrom]
    chi2: float  # per degree of freedom


@dataclass(frozen=True)
class Lines:
    """Weighted lines through the first n points, for every n."""

    slope: Float[np.ndarray, "n"]
    slope_variance: Float[np.ndarray, "n"]
    intercept: Float[np.ndarray, "n"]
    intercept_variance: Float[np.ndarray, "n"]
    chi2: Float[np.ndarray, "n"]


def lines_from_first(x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], error: Float[np.ndarray, "q"]) -> Lines:
    """Fit y = intercept + slope x to the first n points, for every n, by running sums about the first point."""
    w = 1.0 / error**2
    u, v = x - x[0], y - y[0]
    s, su, sv = np.cumsum(w), np.cumsum(w * u), np.cumsum(w * v)
    mean_u, mean_v = su / s, sv / s
    suu = np.cumsum(w * u * u) - s * mean_u**2
    suv = np.cumsum(w * u * v) - s * mean_u * mean_v
    svv = np.cumsum(w * v * v) - s * mean_v**2
    spread = np.where(suu > 0, suu, np.inf)
    slope = suv / spread
    at_zero = mean_u + x[0]
    return Lines(
        slope,
        1.0 / spread,
        mean_v + y[0] - slope * at_zero,
        1.0 / s + at_zero**2 / spread,
        np.maximum(svv - slope * suv, 0.0),
    )


def guinier_line(
    q: Float[np.ndarray, " q"],
    intensity: Float[np.ndarray, " q"],
    sigma: Float[np.ndarray, " q"],
    limit: float = LIMIT,
) -> GuinierLine:
    """Fit the line again and again to the points below ``limit`` over the last Rg, until they stay the same.

    Where two ranges take turns, the shorter one is kept. Points not above zero are left out.

    Parameters
    ----------
    q:
        Rising [1/angstrom].
    """
    usable = (intensity > 0) & np.isfinite(sigma) & (sigma > 0) & (q > 0)
    inside = usable & (np.cumsum(usable) <= max(_FEWEST, int(usable.sum()) // 10))
    seen, best = set[int](), _none()
    for _ in range(_ROUNDS):
        best = _line(q, intensity, sigma, inside)
        if not np.isfinite(best.rg):
            return best
        following = usable & (q * best.rg <= limit)
        if following.sum() < _FEWEST:
            following = usable & (np.cumsum(usable) <= _FEWEST)
        count = int(following.sum())
        if count == int(inside.sum()):
            return best
        if count in seen:
            return _line(q, intensity, sigma, following if count < inside.sum() else inside)
        seen.add(int(inside.sum()))
        inside = following
    return best


def _none() -> GuinierLine:
    """No answer."""
    return GuinierLine(*(float("nan"),) * 6)


def _line(
    q: Float[np.ndarray, " q"],
    intensity: Float[np.ndarray, " q"],
    sigma: Float[np.ndarray, " q"],
    inside: Bool[np.ndarray, " q"],
) -> GuinierLine:
    """Weighted line of ln I against q^2; the error of ln I is sigma / I."""
    if inside.sum() < 3:
        return _none()
    x, y = q[inside] ** 2, np.log(intensity[inside])
    lines = lines_from_first(x, y, sigma[inside] / intensity[inside])
    slope = float(lines.slope[-1])
    if not slope < 0:
        return _none()
    rg, i0 = float(np.sqrt(-3 * slope)), float(np.exp(lines.intercept[-1]))
    return GuinierLine(
        rg=rg,
        rg_error=float(1.5 * np.sqrt(lines.slope_variance[-1]) / rg),
        i0=i0,
        i0_error=float(i0 * np.sqrt(lines.intercept_variance[-1])),
        q_max=float(q[inside].max()),
        chi2=float(lines.chi2[-1] / max(len(x) - 2, 1)),
    )
