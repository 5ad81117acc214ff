r"""Guinier's law: radius of gyration and I(0) from the lowest q, and whether one number can be had at all.

.. math:: \ln I = \ln I(0) - q^2 R_g^2 / 3

The range ends where q Rg passes a limit (1.3), which depends on the answer. All ranges from the first point are fitted
at once by running sums; those that end where q Rg passes the limit are the candidates, so no start decides.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.errors import InputError
from madpipe.physics.scattering.guinier import LIMIT, lines_from_first

_FEWEST = 8  # points of a fit
_GOOD_FIT = 4.0  # standard deviations of chi-square
_RUNS = 3.0  # standard errors from which Rg runs with q_min
_PHYSICAL = 0.03  # change of Rg with q_min that a compact particle's own curvature makes: 2.4 % for a sphere
# Term in (q Rg)^4 of ln I: -0.008 for a sphere, 0.024 for a thin rod, 0.028 for a coil; up to 7 % of Rg.
_CURVATURE = 0.02
_LEAST_SHARE = 0.5  # of the points that are kept when the lowest are left out


@dataclass(frozen=True)
class GuinierFit:
    """Answer of Guinier's law, as BioXTAS RAW and the field quote it, and what speaks against one number."""

    rg: float  # [angstrom]
    rg_error: float  # of the weighted line alone
    rg_total_error: float  # with chi-square above 1 and the curvature that ln I of particles has
    i0: float  # unit of the intensity
    i0_error: float
    first: int  # place of the first point, among those measured
    points: int
    q_min: float  # [1/angstrom]
    q_max: float
    chi2: float  # per degree of freedom
    trend_q_min: Float[np.ndarray, "start"]  # [1/angstrom]
    trend_rg: Float[np.ndarray, "start"]  # [angstrom], with the points below left out
    trend_rg_error: Float[np.ndarray, "start"]
    verdict: str  # "" where one number can be quoted; else why not

    @property
    def is_single(self) -> bool:
        """Whether one radius of gyration describes the range."""
        return not self.verdict


def guinier(
    q: Float[np.ndarray, "q"],
    intensity: Float[np.ndarray, "q"],
    sigma: Float[np.ndarray, "q"],
    q_min: float = 0.0,
    limit: float = LIMIT,
) -> GuinierFit:
    """Fit Guinier's law from the first point on.

    Parameters
    ----------
    q:
        [1/angstrom], rising.
    intensity, sigma:
        In one unit; an infinite sigma marks a point that was not measured.
    q_min:
        Lowest q that is used [1/angstrom].
    limit:
        Largest q Rg, 1.3 for compact particles; 0.8 to 1 for unfolded and long ones.

    Returns
    -------
    :
        Rg, I(0), their errors, and their trend when the lowest points are left out, up to half of the range.

    Raises
    ------
    InputError
        Too few points, intensities that are not above 0, no decrease with q, or no range that ends at the limit.

    References
    ----------
    Guinier, Ann. Phys. 12, 161 (1939). Putnam, J. Appl. Cryst. 49, 1412 (2016), on its limits.
    """
    keep = np.isfinite(sigma) & (sigma > 0) & (q >= q_min)
    x, values, errors = q[keep], intensity[keep], sigma[keep]
    negative = np.flatnonzero(values <= 0)
    if len(negative):
        x, values, errors = (one[: negative[0]] for one in (x, values, errors))
    if len(x) < _FEWEST:
        raise InputError(
            f"Guinier's law needs {_FEWEST} points with intensities above 0 at the lowest q; {len(x)} came; measure "
            "lower, or choose q_min."
        )
    y, error = np.log(values), errors / values
    last = _end(x, y, error, limit)
    return _answer(x[:last], y[:last], error[:last])


def _end(x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], error: Float[np.ndarray, "q"], limit: float) -> int:
    """Points of the range: the longest that ends at the limit and fits, else the one that fits best."""
    lines = lines_from_first(x**2, y, error)
    count = np.arange(1, len(x) + 1)
    rg = np.sqrt(np.maximum(-3.0 * lines.slope, 0.0))
    fits = rg > 0
    within = fits & (x * rg <= limit)
    beyond = np.append(~within[1:], False)
    ends: Bool[np.ndarray, q] = within & beyond & (count >= _FEWEST)
    places = np.flatnonzero(ends)
    if not len(places):
        reached = float(x[-1] * rg[-1])
        raise InputError(
            f"Guinier's law needs a range that ends at q Rg = {limit:g} with {_FEWEST} points in it; q Rg reaches "
            f"{reached:.3g} over {len(x)} points; "
            + ("measure lower q." if rg[_FEWEST - 1] * x[_FEWEST - 1] > limit else "check that the curve falls with q.")
        )
    freedom = count - 2
    excess = (lines.chi2 / freedom.clip(1) - 1.0) / np.sqrt(2.0 / freedom.clip(1))
    good = places[excess[places] < _GOOD_FIT]
    return int(good[-1] if len(good) else places[np.argmin(excess[places])]) + 1


def _answer(x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], error: Float[np.ndarray, "q"]) -> GuinierFit:
    """Numbers of the range, and their trend."""
    lines = lines_from_first(x**2, y, error)
    rg, rg_error = _rg(lines.slope[-1], lines.slope_variance[-1])
    i0 = float(np.exp(lines.intercept[-1]))
    chi2 = float(lines.chi2[-1] / (len(x) - 2))
    total, curved_chi2 = _curved(x, y, error, rg)
    starts, radii, errors = _trend(x, y, error)
    return GuinierFit(
        rg=rg,
        rg_error=rg_error,
        rg_total_error=total,
        i0=i0,
        i0_error=i0 * float(np.sqrt(lines.intercept_variance[-1])),
        first=0,
        points=len(x),
        q_min=float(x[0]),
        q_max=float(x[-1]),
        chi2=chi2,
        trend_q_min=starts,
        trend_rg=radii,
        trend_rg_error=errors,
        verdict=_verdict(radii, errors, curved_chi2, len(x)),
    )


def _rg(slope: float, variance: float) -> tuple[float, float]:
    """Radius of gyration and its error, from the slope of ln I against q^2; 0 and infinite where it rises."""
    if slope >= 0:
        return 0.0, np.inf
    rg = float(np.sqrt(-3.0 * slope))
    return rg, float(1.5 * np.sqrt(variance) / rg)


def _trend(
    x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], error: Float[np.ndarray, "q"]
) -> tuple[Float[np.ndarray, "start"], Float[np.ndarray, "start"], Float[np.ndarray, "start"]]:
    """Rg with the lowest points left out, up to half of the range in q^2."""
    lines = lines_from_first(x[::-1] ** 2, y[::-1], error[::-1])
    count = len(x)
    middle = int(np.searchsorted(x**2, _LEAST_SHARE * (x[0] ** 2 + x[-1] ** 2)))
    most = max(min(middle, count - _FEWEST), 0)
    skips = np.unique(np.linspace(0, most, min(most + 1, 12)).astype(int))
    found = [_rg(float(lines.slope[count - 1 - skip]), float(lines.slope_variance[count - 1 - skip])) for skip in skips]
    return x[skips], np.array([one for one, _ in found]), np.array([one for _, one in found])


def _curved(
    x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], error: Float[np.ndarray, "q"], rg: float
) -> tuple[float, float]:
    """Total error of Rg when ln I has a term in q^4 as particles have it [angstrom], and chi-square with a free one."""
    u = x**2 * max(rg, 1e-12) ** 2
    design = np.stack([np.ones_like(u), u, u**2], axis=1) / error[:, None]
    normal, right = design.T @ design, design.T @ (y / error)
    scale = 1.0 / np.sqrt(np.diag(normal))
    free = scale * np.linalg.lstsq(normal * np.outer(scale, scale), right * scale, rcond=None)[0]
    chi2 = float((((y / error) - design @ free) ** 2).sum() / (len(x) - 3))
    normal[2, 2] += max(chi2, 1.0) / _CURVATURE**2
    covariance = np.outer(scale, scale) * np.linalg.inv(normal * np.outer(scale, scale)) * max(chi2, 1.0)
    slope = float((covariance @ right)[1] / max(chi2, 1.0))
    other, its_error = _rg(slope * rg**2, float(covariance[1, 1]) * rg**4)
    return float(np.hypot(its_error, other - rg)), chi2


def _verdict(radii: Float[np.ndarray, "start"], errors: Float[np.ndarray, "start"], chi2: float, count: int) -> str:
    """Why no single number is quoted, in words; "" where one is."""
    inflated = errors * np.sqrt(max(chi2, 1.0))
    if inflated[0] * _RUNS > radii[0]:
        return (
            f"Rg needs to be seen above its error; it is {radii[0]:.2g} +- {inflated[0]:.2g} angstrom: the curve "
            "hardly falls, since its range is below the particles' or they are not there"
        )
    change = radii - radii[0]
    # errors of slopes, which never fall as points are left out; those of Rg do where Rg rises
    slope = np.where(np.isfinite(inflated), radii * inflated, np.inf)
    gained = np.sqrt(np.maximum(slope**2 - slope[0] ** 2, 0.0)) / np.maximum((radii + radii[0]) / 2, 1e-300)
    sure = np.isfinite(gained) & (gained > 0)
    score = np.where(sure, np.abs(change) / np.where(sure, gained, 1.0), 0.0)
    worst = int(np.argmax(np.where(score > _RUNS, np.abs(change), 0.0)))
    if abs(change[worst]) > _PHYSICAL * radii[0] and score[worst] > _RUNS:
        how = (
            "falls: aggregates, or a long or unfolded particle, for which the range must end at a smaller q Rg"
            if change[worst] < 0
            else "rises: repulsion between particles, or too much background subtracted"
        )
        return (
            f"Rg needs to be one number wherever the range begins; it runs from {radii[0]:.2f} to {radii[worst]:.2f} "
            f"angstrom ({score[worst]:.1f} standard errors) as the lowest points are left out and {how}"
        )
    if chi2 > 1.0 + _GOOD_FIT * np.sqrt(2.0 / (count - 2)):
        return (
            f"the fit needs a chi-square near 1; it is {chi2:.2f} per point, with a curvature too: errors are too small"
        )
    return ""
