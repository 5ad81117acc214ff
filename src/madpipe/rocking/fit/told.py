"""What is said of an answer: whether it explains its curve, and what stands against it."""

import math

import numpy as np

from madpipe.base.warned import warn
from madpipe.rocking.fit.search import Solution
from madpipe.rocking.limits import CHANCE, ENDS_STRAINED, GOOD_CHI2, GOOD_CHI2_MEASURED, LEAST_CHI2, WIDTH_FACTOR
from madpipe.rocking.profiles import Spline
from madpipe.rocking.records import Curve


def warn_of(curve: Curve, answer: Solution, strain: np.ndarray, log_rms: float) -> None:
    """Say where an answer does not explain its curve, or explains it better than counts allow.

    Parameters
    ----------
    curve, answer:
        Counts, and what was found. A deviance that is not a number is that of a prediction, which was not fitted.
    strain:
        Of the answer, at even depths.
    log_rms:
        Of log10 of counts over the calculated curve.
    """
    if math.isnan(answer.deviance):
        return
    chance = CHANCE * math.sqrt(2 / len(curve.data))  # of a chi-square per point, by counting alone
    if answer.chi2 > min(GOOD_CHI2 + chance, GOOD_CHI2_MEASURED):
        warn(
            f"the model does not explain the curve: chi-square per point is {answer.chi2:.3g}, 1 where counting is all "
            f"(rms of log10 {log_rms:.2f}); stated errors are widened by its root, {math.sqrt(answer.chi2):.3g}, and "
            f"may still be too small; check {_reasons(curve, answer, strain)}."
        )
    if answer.chi2 < LEAST_CHI2:
        systematic = " --systematic," if curve.systematic > 0 else ""
        warn(
            f"chi-square per point is {answer.chi2:.2g}, far below 1: errors are taken too large; check{systematic} a "
            "constant or smoothing in the counts, and --counts-per-unit."
        )
    reached = _strain_at(curve, answer)
    if strain.max() > reached:
        warn(
            f"strain up to {100 * strain.max():.2f} % was found, of which the scan, from {curve.two_theta[0]:.3f} "
            f"degrees on, shows what is below {100 * max(reached, 0.0):.2f} %: the rest is what fringes within the "
            "scan leave open, and may be wrong by more than stated; scan from further below."
        )
    if "width" in answer.model.levels:
        factor = math.exp(np.clip(answer.numbers[-2], -2, 2))
        if max(factor, 1 / factor) > WIDTH_FACTOR:
            warn(
                f"the fit finds a resolution {factor:.2g} times as wide as the half width told, {curve.half_width:g} "
                "degrees; the end of the layer and its disorder hang on it; check --half-width."
            )


def _strain_at(curve: Curve, answer: Solution) -> float:
    """Strain whose diffraction lies at the scan's first angle."""
    reflection = answer.model.reflection
    first = math.radians(curve.two_theta[0] / 2) - reflection.refraction_shift
    return reflection.bragg / math.sin(first) - 1


def _reasons(curve: Curve, answer: Solution, strain: np.ndarray) -> str:
    """Usual reasons of a misfit, the likely ones first."""
    profile = answer.model.profile
    if not isinstance(profile, Spline):
        return "--profile spline, half width, crystal and wavelength, absorbers, --counts-per-unit, --systematic"
    inside = strain[: math.floor(len(strain) / 1.1)]  # the rest lies below the layer
    ends = np.abs(inside[-len(inside) // 20 :]).max() > ENDS_STRAINED * np.abs(inside).max()
    depth = f"--depth, to which the layer is strained ({profile.depth:g} angstrom)" if ends else "--depth"
    return f"{depth}, half width, crystal and wavelength, absorbers, --counts-per-unit, --systematic"
