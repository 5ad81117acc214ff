"""The search for a curve's numbers: what is made least, from one start or from far away."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.base.runtime import count
from madpipe.physics import marquardt
from madpipe.rocking.model import LEAST_COUNTS, Model, variance
from madpipe.rocking.records import Curve

_Numbers = Float[np.ndarray, "number"]
_Points = Float[np.ndarray, "point"]
_SOFTER = (1.0, 0.2)  # relative errors of the first searches
_TOLERANCE = 1e-5
_GRAIN = 2.0**-20
_FARTHEST = 2.0  # change of a free number in a step


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
        smooth = self.model.profile.smoothness
        information[: smooth.shape[1], : smooth.shape[1]] += smooth.T @ smooth
        return np.linalg.inv(information + np.diag(prior_roots(self.numbers, self.model)[1] ** 2))


def searched(model: Model, curve: Curve, start: _Numbers, evaluations: int) -> Solution:
    """Search from far away: first as if the curve were known to a factor of e, then to a fifth, then as it is.

    A large relative error makes all orders of magnitude count alike, so that the faint fringes lead.
    """
    for softer in _SOFTER:
        eased = replace(curve, systematic=max(softer, curve.systematic))
        start = minimise(model, eased, start, evaluations // 2).numbers
    return minimise(model, curve, start, evaluations)


def minimise(
    model: Model,
    curve: Curve,
    start: _Numbers,
    evaluations: int,
    tolerance: float = _TOLERANCE,
    grain: float = _GRAIN,
) -> Solution:
    """Least deviance from one start: Levenberg and Marquardt's method on its signed roots.

    No step changes a number by more than :data:`_FARTHEST`: what a curve hardly tells, a background below its noise,
    would else run away, and the search would end there.

    Parameters
    ----------
    model, curve:
        Expected counts and counts.
    start:
        Free numbers.
    evaluations:
        At most so many of the curve with its derivatives.
    tolerance:
        Gain relative to the deviance at which the search ends.
    grain:
        Numbers that are tried are multiples of it, see :func:`madpipe.physics.marquardt.minimise`.
    """
    here = marquardt.minimise(
        lambda numbers: _evaluated(model, curve, numbers), start, evaluations, tolerance, _FARTHEST, grain
    )
    spread = variance(here.expected, curve.relative_error)
    chi2 = pearson(curve, here.expected)
    return Solution(model, here.numbers, here.expected, here.jacobian, spread, chi2, 1, here.deviance)


@dataclass(frozen=True)
class _Evaluated:
    """A trial's curve, and the roots of its deviance."""

    numbers: _Numbers
    expected: _Points
    jacobian: Float[np.ndarray, "point number"]
    roots: Float[np.ndarray, "residual"]
    slopes: Float[np.ndarray, "residual number"]

    @property
    def deviance(self) -> float:
        """What is made least."""
        return float(self.roots @ self.roots)

    @property
    def slope(self) -> _Numbers:
        """Half its gradient."""
        return self.slopes.T @ self.roots

    @property
    def normal(self) -> Float[np.ndarray, "number number"]:
        """Gauss and Newton's matrix."""
        return self.slopes.T @ self.slopes


def _evaluated(model: Model, curve: Curve, numbers: _Numbers) -> _Evaluated:
    """Evaluate a trial."""
    expected, jacobian = model.expected_with_derivatives(numbers)
    count()
    least, prior = np.maximum(expected, LEAST_COUNTS), prior_roots(numbers, model)
    smooth = model.profile.smoothness
    free = numbers[: smooth.shape[1]]
    roots = np.concatenate([signed_roots(curve.data, least, curve.relative_error), prior[0], smooth @ free])
    of_data = root_slopes(curve.data, least, curve.relative_error)[:, None] * jacobian
    of_smooth = np.pad(smooth, ((0, 0), (0, len(numbers) - len(free))))
    return _Evaluated(numbers, expected, jacobian, roots, np.concatenate([of_data, np.diag(prior[1]), of_smooth]))


def prior_roots(numbers: _Numbers, model: Model) -> tuple[_Numbers, _Numbers]:
    """Signed roots of the prior's deviance, and their derivatives.

    Even chances over a range are a logistic distribution of the free number that the range is the sigmoid of: deviance
    4 ln cosh(x / 2). It holds what the counts do not determine, and hardly weighs on the rest. Scale, background and
    offset have none; the resolution's width and share have it too. That of splines is for the layer, however many they
    are: its part of each is the spline's share of the depth, so that knots put in never add to it.
    """
    roots, slopes = logistic_roots(numbers)
    held = [name in ("width", "lorentzian") for name in model.levels]
    weight = np.concatenate([np.sqrt(model.profile.shares), held])
    return weight * roots, weight * slopes


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
