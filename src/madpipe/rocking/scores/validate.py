"""Scores of a fitted curve: how well it is explained and, where there is a truth, how far off the profile is."""

from dataclasses import replace

import numpy as np

from madpipe.base import metrics
from madpipe.base.metrics import finite
from madpipe.base.verdict import verdict
from madpipe.base.warned import kept, lines_of
from madpipe.rocking.limits import GOOD_CHI2, GOOD_CHI2_MEASURED, STRAIN
from madpipe.rocking.model import peak_two_theta, reflection_of, variance
from madpipe.rocking.prior import NAMES, RANGES
from madpipe.rocking.records import Curve, CurveTruth, LayerProfile
from madpipe.rocking.scores.records import CurveScores, ParameterScore


def score(curve: Curve, found: LayerProfile) -> CurveScores:
    """Score one fit.

    Parameters
    ----------
    curve:
        Data, with truth where simulated.
    found:
        The fit's answer.
    """
    outside = ~near_peak(curve, found)
    deviations = (curve.data - found.calculated) ** 2 / variance(found.calculated, curve.relative_error)
    chi2_outside = float(np.mean(deviations[outside]))
    limit = GOOD_CHI2 if curve.truth is not None else GOOD_CHI2_MEASURED
    words = "chi-square per point outside the substrate's peak: 1 where counting is all"
    scores = CurveScores(
        title=curve.title,
        method=found.method,
        points=len(curve.data),
        starts=int(found.starts),
        chi2=finite(found.chi2),
        chi2_outside_peak=finite(chi2_outside),
        log_rms=finite(found.log_rms),
        parameters=_parameters(found),
        warnings=lines_of(kept(curve.warnings, found.warnings)),
        verdicts={"chi2": verdict(chi2_outside, limit, True, words)},
    )
    return scores if curve.truth is None else _beside_truth(scores, found, curve.truth)


def _parameters(found: LayerProfile) -> dict[str, ParameterScore]:
    """Values with their stated errors."""
    columns = (found.names.split(","), found.parameters, found.parameter_errors, found.undetermined)
    return {
        name: ParameterScore(float(value), float(error), bool(flag))
        for name, value, error, flag in zip(*columns, strict=True)
    }


def _beside_truth(scores: CurveScores, found: LayerProfile, truth: CurveTruth) -> CurveScores:
    """Add how far the profile and, where they mean the same, the parameters are off."""
    strain = np.interp(found.depth, truth.depth, truth.strain, right=0.0)
    off = found.strain - strain
    stated = np.maximum(found.strain_errors, 1e-12)
    known = stated > 1e-9
    rms = metrics.root_mean_square(off)[0]
    parameters = dict(scores.parameters)
    if found.method == "implanted":
        for name, value, width in zip(NAMES, truth.parameters, RANGES, strict=True):
            percent = 100 * (parameters[name].value - float(value)) / width
            parameters[name] = replace(parameters[name], truth=float(value), error_percent_of_range=percent)
    words = "rms error of the strain over its largest value"
    return replace(
        scores,
        parameters=parameters,
        strain_rms_error=rms,
        strain_coverage_95=metrics.coverage(off[known], stated[known], 1.96),
        verdicts={**scores.verdicts, "strain": verdict(rms / float(truth.strain.max()), STRAIN, True, words)},
    )


def near_peak(curve: Curve, found: LayerProfile) -> np.ndarray:
    """Points of the substrate's peak, where the resolution's shape and dead time count more than the layer."""
    peak = peak_two_theta(reflection_of(curve)) - found.offset
    return replace(curve, two_theta=found.two_theta).near(peak)
