"""The search for a curve's numbers: what is made least, from one start or from far away."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from madpipe.rocking.model import LEAST_COUNTS, Model, variance
from madpipe.rocking.records import Curve

_Numbers = Float[np.ndarray, "number"]
_Points = Float[np.ndarray, "point"]
_SOFTER = (1.0, 0.2)  # relative errors of the first searches


@dataclass(frozen=True)
class Solution:
    """Where one search ended."""

    model: Model
    numbers: _Numbers
    expected: _Points
    jacobian: Float[np.ndarray, "point number"]
    variance: _Points  # expected
    chi2: float  # Pearson's, per point
    starts: int
    deviance: float  # what the search makes least, the prior's part included

    def covariance(self) -> Float[np.ndarray, "number number"]:
        """Inverse Fisher information of counts and prior, wider by chi-square where that exceeds 1."""
        information = self.jacobian.T @ (self.jacobian / self.variance[:, None]) / max(1.0, self.chi2)
        return np.linalg.inv(information + np.diag(prior_roots(self.numbers, self.model)[1] ** 2))


def searched(model: Model, curve: Curve, start: _Numbers, evaluations: int) -> Solution:
    """Search from far away: first as if the curve were known to a factor of e, then to a fifth, then as it is.

    A large relative error makes all orders of magnitude count alike, so that the faint fringes lead.
    """
    for softer in _SOFTER:
        eased = replace(curve, systematic=max(softer, curve.systematic))
        start = minimise(model, eased, start, evaluations // 2).numbers
    return minimise(model, curve, start, evaluations)


def minimise(model: Model, curve: Curve, start: _Numbers, evaluations: int) -> Solution:
    """Least Poisson deviance from one start: Levenberg and Marquardt's method on its signed roots.

    Parameters
    ----------
    model, curve:
        Expected counts and counts.
    start:
        Free numbers.
    evaluations:
        At most so many of the curve with its derivatives.
    """
    data, systematic = curve.data, curve.relative_error
    known: dict[bytes, tuple[_Points, np.ndarray]] = {}

    def at(numbers: _Numbers) -> tuple[_Points, np.ndarray]:
        key = numbers.tobytes()
        if key not in known:
            known.clear()
            known[key] = model.expected_with_derivatives(numbers)
        return known[key]

    def roots(numbers: _Numbers) -> _Points:
        return np.concatenate(
            [signed_roots(data, np.maximum(at(numbers)[0], LEAST_COUNTS), systematic), prior_roots(numbers, model)[0]]
        )

    def slopes(numbers: _Numbers) -> np.ndarray:
        expected, jacobian = at(numbers)
        of_data = root_slopes(data, np.maximum(expected, LEAST_COUNTS), systematic)[:, None] * jacobian
        return np.concatenate([of_data, np.diag(prior_roots(numbers, model)[1])])

    found = least_squares(roots, start, slopes, method="lm", max_nfev=evaluations, ftol=1e-5, xtol=1e-5)
    expected, jacobian = at(found.x)
    return Solution(
        model,
        found.x,
        expected,
        jacobian,
        variance(expected, systematic),
        pearson(curve, expected),
        1,
        2 * float(found.cost),
    )


def prior_roots(numbers: _Numbers, model: Model) -> tuple[_Numbers, _Numbers]:
    """Signed roots of the prior's deviance, and their derivatives.

    Even chances over a range are a logistic distribution of the free number that the range is the sigmoid of: deviance
    4 ln cosh(x / 2). It holds what the counts do not determine, and hardly weighs on the rest. Scale, background and
    offset have none; the resolution's width and share have it too.
    """
    roots, slopes = logistic_roots(numbers)
    held = [name in ("width", "lorentzian") for name in model.levels]
    free = len(numbers) - len(held)
    roots[free:] *= held
    slopes[free:] *= held
    return roots, slopes


def logistic_roots(free: Float[np.ndarray, "*number"]) -> tuple[Float[np.ndarray, "*number"], ...]:
    """Signed roots of -2 ln of a logistic distribution's density, and their derivatives."""
    x = np.abs(free)
    roots = np.sqrt(4 * (x / 2 + np.log1p(np.exp(-x)) - math.log(2.0)))
    slopes = np.where(x > 1e-4, np.tanh(x / 2) / np.maximum(roots, 1e-12), math.sqrt(0.5))
    return np.sign(free) * roots, slopes


def signed_roots(data: _Points, expected: _Points, systematic: float | _Points) -> _Points:
    """Signed roots of the deviance of each point.

    Poisson's, sign(n - mu) sqrt(2 (mu - n + n ln(n / mu))), or, with a systematic error s, differences of
    (2 / s) arsinh(s sqrt(n)), whose variance is 1 where that of n is n + (s n)^2.
    """
    share = np.where(np.asarray(systematic) > 0, systematic, 1.0)
    stable = (np.arcsinh(share * np.sqrt(data)) - np.arcsinh(share * np.sqrt(expected))) * 2 / share
    ratio = np.where(data > 0, data, 1.0) / expected
    deviance = 2 * (expected - data + data * np.log(ratio))
    poisson = np.sign(data - expected) * np.sqrt(np.maximum(deviance, 0.0))
    return np.where(np.asarray(systematic) > 0, stable, poisson)


def root_slopes(data: _Points, expected: _Points, systematic: float | _Points) -> _Points:
    """Derivative of :func:`signed_roots` by the expected counts."""
    root = signed_roots(data, expected, 0.0)
    near = np.abs(data - expected) < 1e-4 * expected
    poisson = np.where(near, -1 / np.sqrt(expected), (1 - data / expected) / np.where(near, 1.0, root))
    return np.where(np.asarray(systematic) > 0, -1 / np.sqrt(variance(expected, systematic)), poisson)


def pearson(curve: Curve, expected: _Points) -> float:
    """Chi-square per point, by expected variance."""
    return float(np.mean((curve.data - expected) ** 2 / variance(expected, curve.relative_error)))


def first_levels(model: Model, curve: Curve, free: _Numbers) -> Float[np.ndarray, "level"]:
    """Starting ln scale, ln background and offset of a profile."""
    extra = [0.0, math.log(model.lorentzian + 0.01)][: len(model.levels) - 3]
    shape = model.expected(np.concatenate([free, [0.0, -60.0, 0.0], extra]))
    background = max(float(np.quantile(curve.data, 0.02)) * 0.7, 0.1)
    scale = float(np.sum(np.maximum(curve.data - background, 0.0)) / np.sum(shape))
    return np.array([math.log(max(scale, 1e-3)), math.log(background), 0.0, *extra])
