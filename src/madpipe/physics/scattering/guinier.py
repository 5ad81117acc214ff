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
    weight = (intensity[inside] / sigma[inside]) ** 2
    total = weight.sum()
    middle = np.sum(weight * x) / total
    spread = np.sum(weight * (x - middle) ** 2)
    slope = float(np.sum(weight * (x - middle) * y) / spread)
    level = float(np.sum(weight * y) / total - slope * middle)
    if slope >= 0:
        return _none()
    rg, i0 = np.sqrt(-3 * slope), np.exp(level)
    return GuinierLine(
        rg=float(rg),
        rg_error=float(1.5 / (rg * np.sqrt(spread))),
        i0=float(i0),
        i0_error=float(i0 * np.sqrt(1 / total + middle**2 / spread)),
        q_max=float(q[inside].max()),
        chi2=float(np.sum(weight * (y - level - slope * x) ** 2) / max(len(x) - 2, 1)),
    )
