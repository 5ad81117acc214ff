"""Classical fit of a rocking curve: from counts to a profile with its errors."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.draws import Samples
from madpipe.rocking.fit.freeform import fit_splines
from madpipe.rocking.fit.implanted import fit_implanted
from madpipe.rocking.fit.modes import posterior
from madpipe.rocking.fit.search import Solution
from madpipe.rocking.fit.told import warn_of
from madpipe.rocking.forward import Reflection
from madpipe.rocking.limits import GOOD_CHI2, IGNORED, MOST_WORK, UNDETERMINED
from madpipe.rocking.model import OFFSET_UNIT, reflection_of
from madpipe.rocking.prior import LARGEST_STRAIN, RANGES
from madpipe.rocking.profiles import Implanted, from_free, profile_names
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.substrate import centred

_Function = Callable[[torch.Tensor], torch.Tensor]
_Known = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, errors, quantiles

_DEPTHS = 200  # of the profile that is written
_DRAWN = 800  # samples that quantiles are of


@keeping
def fit_curve(curve: Curve, config: RockingFitConfig, depth: float, generator: torch.Generator) -> LayerProfile:
    """Fit a profile to a curve.

    The fit minimises the Poisson deviance, with expected variances for weights, from several starts, until chi-square
    per point is good. A truth that comes with the curve is not looked at.

    Parameters
    ----------
    curve:
        Counts.
    config:
        Kind of profile, splines unless it says ``implanted`` (:func:`madpipe.rocking.config.profile_of` settles what
        it leaves open); starts, when a fit is good. Splines: more and more are tried, until the Bayesian information
        criterion rises.
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
    if config.profile != "implanted":
        _check_work(curve, reflection, depth)
        return report(curve, fit_splines(curve, reflection, config, depth, generator), "spline")
    answer = fit_implanted(curve, reflection, config, generator)
    return report(curve, answer, "implanted", drawn(curve, answer, config, generator))


def drawn(curve: Curve, answer: Solution, config: RockingFitConfig, generator: torch.Generator) -> Samples | None:
    """Draw layers from the posterior, if the configuration says so.

    Where the answer does not explain the curve, variances are larger by chi-square: errors by its root.
    """
    if answer.chi2 > GOOD_CHI2:
        answer = replace(answer, variance=answer.variance * answer.chi2)
    return posterior(curve, answer, config.samples, generator) if config.samples else None


def report(curve: Curve, solution: Solution, method: str, samples: Samples | None = None) -> LayerProfile:
    """Profile with errors, parameters with errors, and how well the curve is explained.

    Parameters
    ----------
    curve, solution, method:
        Counts, where the search ended, and what to call it.
    samples:
        Of the posterior: values are then medians, errors half of what holds 68 %. Else errors are to first order.
    """
    profile, numbers = solution.model.profile, solution.numbers
    free, levels = solution.model.split(numbers)
    covariance = solution.covariance()[: len(free), : len(free)]
    implanted = isinstance(profile, Implanted)
    end = float(profile.layers(free)[0].sum())
    depth = torch.linspace(0.0, 1.1 * end, _DEPTHS, dtype=torch.float64)

    def known(function: _Function) -> _Known:
        return _to_first_order(function, free, covariance) if samples is None else _of_samples(function, samples)

    strain, strain_errors, _ = known(lambda f: profile.at(depth, f)[0])
    disorder, disorder_errors, _ = known(lambda f: profile.at(depth, f)[1])
    values, errors, quantiles = known(from_free if implanted else torch.clone)
    ranges = np.array(RANGES) if implanted else np.full(len(values), 1.0)
    positive = (curve.data > 0) & (solution.expected > 0)
    log_rms = float(np.sqrt(np.mean(np.log10(curve.data[positive] / solution.expected[positive]) ** 2)))
    warn_of(curve, solution, strain, log_rms)
    used = int(np.sum(curve.relative_error < IGNORED))
    return LayerProfile(
        strain=strain,
        depth=depth.numpy(),
        strain_errors=strain_errors,
        debye_waller=disorder,
        debye_waller_errors=disorder_errors,
        names=",".join(profile_names(profile)),
        parameters=values,
        parameter_errors=errors,
        parameter_quantiles=quantiles,
        undetermined=(errors / ranges > UNDETERMINED).astype(np.uint8),
        scale=math.exp(levels[0]),
        background=math.exp(levels[1]),
        offset=float(levels[2]) * OFFSET_UNIT,
        chi2=solution.chi2,
        log_rms=log_rms,
        starts=solution.starts,
        method=method,
        calculated=solution.expected,
        two_theta=curve.two_theta,
        points_used=used,
        degrees_of_freedom=used - len(numbers),
        warnings=curve.warnings,
    )


def _check_work(curve: Curve, reflection: Reflection, depth: float) -> None:
    """Refuse a free form that would take hours: its depth is the mistake of a unit."""
    theta = forward.as_radian(curve.two_theta)
    angles = len(forward.angles_for(theta, math.radians(curve.half_width) / 2, reflection))
    sublayers = depth / forward.largest_step(theta, reflection, LARGEST_STRAIN)
    if angles * sublayers > MOST_WORK:
        raise InputError(
            f"{curve.title}: a free form needs at most {MOST_WORK:g} angles times sublayers; {angles} times "
            f"{sublayers:.0f} came, of --depth {depth:g} angstrom; give the depth of the strained layer."
        )


def _to_first_order(function: _Function, free: torch.Tensor, covariance: np.ndarray) -> _Known:
    """Value of a function of the free numbers, its standard error to first order, and quantiles."""
    slopes = torch.autograd.functional.jacobian(function, free).numpy()
    variance = np.einsum("if,fg,ig->i", slopes, covariance, slopes)
    value, error = function(free).numpy(), np.sqrt(np.maximum(variance, 0.0))
    return value, error, np.stack([value + place * error for place in (-1.96, -1.0, 1.0, 1.96)])


def _of_samples(function: _Function, samples: Samples) -> _Known:
    """Median of a function of the free numbers, half of what holds 68 %, and quantiles."""
    chosen = torch.multinomial(samples.weights, _DRAWN, replacement=True, generator=torch.Generator().manual_seed(0))
    found = function(samples.free[chosen].T).numpy()
    low, below, value, above, high = np.quantile(found, [0.025, 0.16, 0.5, 0.84, 0.975], axis=1)
    return value, (above - below) / 2, np.stack([low, below, above, high])
