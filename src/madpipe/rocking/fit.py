"""Classical fit of a rocking curve: from counts to a profile with its errors."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from madpipe.base.errors import InputError
from madpipe.base.runtime import log
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.forward import Layers, Reflection
from madpipe.rocking.model import OFFSET_UNIT, Model, model_of, peak_two_theta, reflection_of
from madpipe.rocking.profiles import RANGES, Implanted, Spline, draw_implanted, from_free, profile_names, to_free
from madpipe.rocking.records import Curve, LayerProfile

_Numbers = Float[np.ndarray, "number"]
_Points = Float[np.ndarray, "point"]
LARGEST_STRAIN = 0.031
_SOFTER = (1.0, 0.2)  # relative errors of the first searches
_HOP = 10.0  # standard errors, at most 1.5 of a free number
_LEAST = 0.05  # counts, below which the expected ones are not let
_DEPTHS = 200  # of the profile that is written
_UNDETERMINED = 0.15  # standard error over the prior's range, above which a parameter counts as undetermined


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


def fit_curve(curve: Curve, config: RockingFitConfig, depth: float, generator: torch.Generator) -> LayerProfile:
    """Fit a profile to a curve.

    Expected variance weights the counts: what is least is the Poisson deviance. Several starts, until chi-square per
    point is good.

    Parameters
    ----------
    curve:
        Counts.
    config:
        Kind of profile, starts, when a fit is good. Splines: more and more are tried, until the Bayesian
        information criterion rises.
    depth:
        Where a free-form layer ends [angstrom]; the implanted one finds its own end.
    generator:
        Draws the library of curves that starts come from.

    Raises
    ------
    InputError
        No substrate's peak in the curve; unknown crystal.
    """
    reflection = reflection_of(curve)
    curve = centred(curve, reflection)
    if (config.profile or ("spline" if curve.truth is None else "implanted")) == "spline":
        return report(curve, _fit_splines(curve, reflection, config, depth), "spline")
    return report(curve, fit_implanted(curve, reflection, config, generator), "implanted")


def centred(curve: Curve, reflection: Reflection) -> Curve:
    """Shift the angles so that the substrate's peak lies where theory has it.

    Raises
    ------
    InputError
        The curve has no peak of the substrate.
    """
    smooth = gaussian_filter1d(np.sqrt(curve.data), 1.0)
    place = int(np.argmax(smooth))
    level = np.median(curve.data)
    if not 0 < place < len(curve.data) - 1 or curve.data[place] < 5 * level + 10:
        raise InputError(
            f"{curve.title}: a rocking curve needs the substrate's peak within the scan; the largest count "
            f"{curve.data[place]:g} at {curve.two_theta[place]:.4f} degrees is none (median {level:g}); scan over it."
        )
    near = slice(max(0, place - 3), place + 4)
    middle = np.average(curve.two_theta[near], weights=curve.data[near])
    expected = peak_two_theta(reflection)
    if abs(middle - expected) > 2.0:
        raise InputError(
            f"{curve.title}: the highest peak lies at 2 theta = {middle:.3f} degrees, that of {curve.crystal} "
            f"{tuple(int(index) for index in curve.indices)} at {expected:.3f}; check unit, wavelength, indices."
        )
    return replace(curve, two_theta=curve.two_theta + (expected - middle))


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
    data, systematic = curve.data, curve.systematic
    known: dict[bytes, tuple[_Points, np.ndarray]] = {}

    def at(numbers: _Numbers) -> tuple[_Points, np.ndarray]:
        key = numbers.tobytes()
        if key not in known:
            known.clear()
            known[key] = model.expected_with_derivatives(numbers)
        return known[key]

    def roots(numbers: _Numbers) -> _Points:
        return np.concatenate(
            [signed_roots(data, np.maximum(at(numbers)[0], _LEAST), systematic), prior_roots(numbers, model)[0]]
        )

    def slopes(numbers: _Numbers) -> np.ndarray:
        expected, jacobian = at(numbers)
        of_data = root_slopes(data, np.maximum(expected, _LEAST), systematic)[:, None] * jacobian
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
    x = np.abs(numbers)
    deviance = 4 * (x / 2 + np.log1p(np.exp(-x)) - math.log(2.0))
    roots = np.sqrt(deviance)
    slopes = np.where(x > 1e-4, np.tanh(x / 2) / np.maximum(roots, 1e-12), math.sqrt(0.5))
    held = [name in ("width", "lorentzian") for name in model.levels]
    free = len(numbers) - len(held)
    roots[free:] *= held
    slopes[free:] *= held
    return np.sign(numbers) * roots, slopes


def signed_roots(data: _Points, expected: _Points, systematic: float) -> _Points:
    """Signed roots of the deviance of each point.

    Poisson's, sign(n - mu) sqrt(2 (mu - n + n ln(n / mu))), or, with a systematic error s, differences of
    (2 / s) arsinh(s sqrt(n)), whose variance is 1 where that of n is n + (s n)^2.
    """
    if systematic > 0:
        return (np.arcsinh(systematic * np.sqrt(data)) - np.arcsinh(systematic * np.sqrt(expected))) * 2 / systematic
    ratio = np.where(data > 0, data, 1.0) / expected
    deviance = 2 * (expected - data + data * np.log(ratio))
    return np.sign(data - expected) * np.sqrt(np.maximum(deviance, 0.0))


def root_slopes(data: _Points, expected: _Points, systematic: float) -> _Points:
    """Derivative of :func:`signed_roots` by the expected counts."""
    if systematic > 0:
        return -1 / np.sqrt(variance(expected, systematic))
    root = signed_roots(data, expected, 0.0)
    near = np.abs(data - expected) < 1e-4 * expected
    return np.where(near, -1 / np.sqrt(expected), (1 - data / expected) / np.where(near, 1.0, root))


def variance(expected: _Points, systematic: float) -> _Points:
    """Expected variance of the counts."""
    least = np.maximum(expected, _LEAST)
    return least + (systematic * least) ** 2


def pearson(curve: Curve, expected: _Points) -> float:
    """Chi-square per point, by expected variance."""
    return float(np.mean((curve.data - expected) ** 2 / variance(expected, curve.systematic)))


# -- implanted layer ------------------------------------------------------------------------------------------


def fit_implanted(
    curve: Curve,
    reflection: Reflection,
    config: RockingFitConfig,
    generator: torch.Generator,
    first: Sequence[_Numbers] = (),
) -> Solution:
    """Fit the seven parameters, from the curves of a library that look alike, or from given starts before them.

    Parameters
    ----------
    curve, reflection:
        With its angles right, see :func:`centred`.
    config:
        Starts at most, and what is good.
    generator:
        Draws the library.
    first:
        Profile's free numbers to start from first, a network's answer.
    """
    angles = forward.as_radian(curve.two_theta)
    step = forward.largest_step(angles, reflection, LARGEST_STRAIN)
    model = model_of(curve, reflection, Implanted(step))
    best: Solution | None = None
    for number, free in enumerate(_starts(curve, reflection, config, generator, first), 1):
        found = searched(model, curve, np.concatenate([free, _levels(model, curve, free)]), config.evaluations)
        if best is None or found.deviance < best.deviance:
            best = replace(found, starts=number)
        if best.chi2 < config.good_chi2 or number >= config.starts:
            break
    assert best is not None
    return _hopped(best, curve, config, generator)


def _hopped(best: Solution, curve: Curve, config: RockingFitConfig, generator: torch.Generator) -> Solution:
    """Look for a better answer near by, along what the curve hardly determines: bells can share strain in many ways."""
    for _ in range(config.hops):
        values, vectors = np.linalg.eigh(best.covariance())
        steps = torch.randn(len(values), generator=generator, dtype=torch.float64).numpy()
        away = vectors @ (steps * np.minimum(_HOP * np.sqrt(np.maximum(values, 0.0)), 1.5))
        found = minimise(best.model, curve, best.numbers + away, config.evaluations)
        if found.deviance < best.deviance - 0.1:
            best = replace(found, starts=best.starts)
    return best


def _levels(model: Model, curve: Curve, free: _Numbers) -> Float[np.ndarray, "level"]:
    """Starting ln scale, ln background and offset of a profile."""
    extra = [0.0, math.log(model.lorentzian + 0.01)][: len(model.levels) - 3]
    shape = model.expected(np.concatenate([free, [0.0, -60.0, 0.0], extra]))
    background = max(float(np.quantile(curve.data, 0.02)) * 0.7, 0.1)
    scale = float(np.sum(np.maximum(curve.data - background, 0.0)) / np.sum(shape))
    return np.array([math.log(max(scale, 1e-3)), math.log(background), 0.0, *extra])


def _starts(
    curve: Curve,
    reflection: Reflection,
    config: RockingFitConfig,
    generator: torch.Generator,
    first: Sequence[_Numbers],
) -> Iterator[_Numbers]:
    """Given starts, then the library's curves by how much they look like this one, none close to an earlier one."""
    yield from first
    drawn, shapes = _library(
        curve.two_theta.tobytes(), reflection, config.library, int(torch.randint(1 << 40, (), generator=generator))
    )
    looks = _look(curve.data, np.quantile(curve.data, 0.02) + 1.0)
    scale = curve.data.max() / shapes.max(axis=1, keepdims=True)
    distance = np.mean((_look(shapes * scale, np.quantile(curve.data, 0.02) + 1.0) - looks) ** 2, axis=1)
    used: list[np.ndarray] = []
    for number in np.argsort(distance):
        values = drawn[number]
        if all(np.max(np.abs(values - other) / np.array(RANGES)) > 0.05 for other in used):
            used.append(values)
            yield to_free(torch.from_numpy(values)).numpy()


def _look(counts: np.ndarray, floor: float) -> np.ndarray:
    """What two curves are compared by: log counts, smoothed over fringes."""
    return gaussian_filter1d(np.log10(counts + floor), 6.0, axis=-1)


@lru_cache(maxsize=2)
def _library(angles: bytes, reflection: Reflection, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters drawn from the prior and their reflectivities."""
    theta = forward.as_radian(np.frombuffer(angles))
    drawn = draw_implanted(count, torch.Generator().manual_seed(seed))
    profile = Implanted(2 * forward.largest_step(theta, reflection, LARGEST_STRAIN))
    log.info("library: %d curves", count)
    shapes = [
        forward.reflectivity(theta, Layers(*(part.numpy() for part in profile.layers(to_free(one)))), reflection)
        for one in drawn
    ]
    return drawn.numpy(), np.array(shapes)


# -- free form ------------------------------------------------------------------------------------------------


def _fit_splines(curve: Curve, reflection: Reflection, config: RockingFitConfig, depth: float) -> Solution:
    """Fit more and more splines, each time from the last answer; keep that of the least information criterion."""
    step = forward.largest_step(forward.as_radian(curve.two_theta), reflection, _strain_at(curve, reflection, 0.02))
    best, least, last = None, math.inf, None
    for count in config.knots:
        model = model_of(curve, reflection, Spline(depth, count, count, step), config.refine_resolution)
        starts = _even_starts(curve, model, reflection) if last is None else [_refined(last, model)]
        found = [searched(model, curve, start, config.evaluations) for start in starts[: config.starts]]
        last = min(found, key=lambda one: one.deviance)
        deviance = float(np.sum(signed_roots(curve.data, np.maximum(last.expected, _LEAST), curve.systematic) ** 2))
        # the deviance that the model cannot explain scales the criterion: else every spline would pay
        criterion = len(curve.data) * math.log(deviance / len(curve.data)) + len(last.numbers) * math.log(
            len(curve.data)
        )
        log.info("%d splines: chi-square per point %.3f, criterion %.1f", count, last.chi2, criterion)
        if criterion < least:
            best, least = replace(last, starts=len(found)), criterion
        else:
            break  # more splines explain nothing more
    assert best is not None
    return best


def _strain_at(curve: Curve, reflection: Reflection, share: float) -> float:
    """Largest strain that the curve shows: where below the peak a share of all counts lies."""
    counts = np.maximum(curve.data - 3 * np.quantile(curve.data, 0.05), 0.0)
    below = np.cumsum(counts * (curve.two_theta < peak_two_theta(reflection) - 0.05))
    if below[-1] <= 0:
        return 0.002
    angle = float(np.interp(share * below[-1], below, curve.two_theta))
    return max(0.002, reflection.bragg / math.sin(math.radians(angle / 2) - reflection.refraction_shift) - 1)


def _even_starts(curve: Curve, model: Model, reflection: Reflection) -> list[_Numbers]:
    """Bells of several heights and depths, as far as the curve shows strain."""
    assert isinstance(model.profile, Spline)
    largest = _strain_at(curve, reflection, 0.02)
    starts = []
    places = np.linspace(0.0, 1.0, model.profile.counts[0])
    for middle in (0.3, 0.6):
        for share in (1.0, 0.85, 0.7):
            free = model.profile.start(0.0).numpy()
            free[: len(places)] = 100 * share * largest * np.exp(-(((places - middle) / 0.35) ** 2))
            starts.append(np.concatenate([free, _levels(model, curve, free)]))
    return starts


def _refined(last: Solution, model: Model) -> _Numbers:
    """The last answer, in more splines: least squares of strain and of disorder in depth."""
    old, new = last.model.profile, model.profile
    assert isinstance(old, Spline)
    assert isinstance(new, Spline)
    depth = torch.linspace(0.0, new.depth * 0.999, 400, dtype=torch.float64)
    numbers, levels = last.model.split(last.numbers)
    free = old.split(numbers)
    parts = [
        np.linalg.lstsq(
            new.basis(depth.numpy(), now).numpy(), (old.basis(depth.numpy(), then) @ part).numpy(), rcond=None
        )[0]
        for now, then, part in zip(new.counts, old.counts, free, strict=True)
    ]
    return np.concatenate([*parts, levels])


# -- what is told of a solution -------------------------------------------------------------------------------


def report(curve: Curve, solution: Solution, method: str) -> LayerProfile:
    """Profile with errors, parameters with errors, and how well the curve is explained."""
    profile, numbers = solution.model.profile, solution.numbers
    free, levels = solution.model.split(numbers)
    covariance = solution.covariance()[: len(free), : len(free)]
    parameters = from_free if isinstance(profile, Implanted) else _unchanged
    end = float(profile.layers(free)[0].sum())
    depth = torch.linspace(0.0, 1.1 * end, _DEPTHS, dtype=torch.float64)
    (strain, strain_errors), (disorder, disorder_errors) = (
        _with_errors(lambda f, place=place: profile.at(depth, f)[place], free, covariance) for place in (0, 1)
    )
    values, errors = _with_errors(parameters, free, covariance)
    ranges = np.array(RANGES) if isinstance(profile, Implanted) else np.full(len(values), 1.0)
    positive = (curve.data > 0) & (solution.expected > 0)
    return LayerProfile(
        strain=strain,
        depth=depth.numpy(),
        strain_errors=strain_errors,
        debye_waller=disorder,
        debye_waller_errors=disorder_errors,
        names=",".join(profile_names(profile)),
        parameters=values,
        parameter_errors=errors,
        undetermined=(errors / ranges > _UNDETERMINED).astype(np.uint8),
        scale=math.exp(levels[0]),
        background=math.exp(levels[1]),
        offset=float(levels[2]) * OFFSET_UNIT,
        chi2=solution.chi2,
        log_rms=float(np.sqrt(np.mean(np.log10(curve.data[positive] / solution.expected[positive]) ** 2))),
        starts=solution.starts,
        method=method,
        calculated=solution.expected,
        two_theta=curve.two_theta,
    )


def _unchanged(free: torch.Tensor) -> torch.Tensor:
    """Splines' coefficients as they are."""
    return free


def _with_errors(
    function: Callable[[torch.Tensor], torch.Tensor], free: torch.Tensor, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value of a function of the free numbers and its standard error, to first order."""
    slopes = torch.autograd.functional.jacobian(function, free).numpy()
    variance = np.einsum("if,fg,ig->i", slopes, covariance, slopes)
    return function(free).numpy(), np.sqrt(np.maximum(variance, 0.0))
