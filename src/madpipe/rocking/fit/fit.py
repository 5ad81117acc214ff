"""Classical fit of a rocking curve: from counts to a profile with its errors."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.draws import Samples
from madpipe.rocking.fit.freeform import fit_splines
from madpipe.rocking.fit.implanted import fit_implanted
from madpipe.rocking.fit.modes import posterior
from madpipe.rocking.fit.search import Solution
from madpipe.rocking.forward import Reflection
from madpipe.rocking.limits import UNDETERMINED
from madpipe.rocking.model import OFFSET_UNIT, peak_two_theta, reflection_of
from madpipe.rocking.prior import RANGES
from madpipe.rocking.profiles import Implanted, from_free, profile_names
from madpipe.rocking.records import Curve, LayerProfile

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
        return report(curve, fit_splines(curve, reflection, config, depth), "spline")
    answer = fit_implanted(curve, reflection, config, generator)
    return report(curve, answer, "implanted", drawn(curve, answer, config, generator))


def drawn(curve: Curve, answer: Solution, config: RockingFitConfig, generator: torch.Generator) -> Samples | None:
    """Draw layers from the posterior, if the configuration says so."""
    return posterior(curve, answer, config.samples, generator) if config.samples else None


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
        log_rms=float(np.sqrt(np.mean(np.log10(curve.data[positive] / solution.expected[positive]) ** 2))),
        starts=solution.starts,
        method=method,
        calculated=solution.expected,
        two_theta=curve.two_theta,
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
