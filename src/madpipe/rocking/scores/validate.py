"""Scores of a fitted curve: how well it is explained and, where there is a truth, how far off the profile is."""

from dataclasses import replace
from typing import Any

import numpy as np

from madpipe.base import metrics
from madpipe.base.metrics import finite
from madpipe.base.verdict import Verdict, verdict
from madpipe.rocking.model import peak_two_theta, reflection_of, variance
from madpipe.rocking.prior import NAMES, RANGES
from madpipe.rocking.records import Curve, LayerProfile

_GOOD = 1.3
_GOOD_MEASURED = 2.0


def score(curve: Curve, found: LayerProfile) -> dict[str, Any]:
    """Score one fit.

    Parameters
    ----------
    curve:
        Data, with truth where simulated.
    found:
        The fit's answer.

    Returns
    -------
    :
        Plain values: chi-square per point, in all and outside the substrate's peak, rms of log10 of data over fit,
        parameters with errors and ranges; where there is a truth, errors; ``verdicts``.
    """
    outside = ~near_peak(curve, found)
    deviations = (curve.data - found.calculated) ** 2 / variance(found.calculated, curve.relative_error)
    chi2_outside = float(np.mean(deviations[outside]))
    names = found.names.split(",")
    scores: dict[str, Any] = {
        "title": curve.title,
        "method": found.method,
        "points": len(curve.data),
        "starts": int(found.starts),
        "chi2": finite(found.chi2),
        "chi2_outside_peak": finite(chi2_outside),
        "log_rms": finite(found.log_rms),
        "parameters": {
            name: {"value": float(value), "error": float(error), "undetermined": bool(flag)}
            for name, value, error, flag in zip(
                names, found.parameters, found.parameter_errors, found.undetermined, strict=True
            )
        },
    }
    limit = _GOOD if curve.truth is not None else _GOOD_MEASURED
    words = "chi-square per point outside the substrate's peak: 1 where counting is all"
    verdicts: dict[str, Verdict] = {"chi2": verdict(chi2_outside, limit, True, words)}
    if curve.truth is not None:
        truth = curve.truth
        strain = np.interp(found.depth, truth.depth, truth.strain, right=0.0)
        off = found.strain - strain
        stated = np.maximum(found.strain_errors, 1e-12)
        known = stated > 1e-9
        scores["strain_rms_error"] = metrics.root_mean_square(off)[0]
        scores["strain_coverage_95"] = metrics.coverage(off[known], stated[known], 1.96)
        if found.method == "implanted":
            for name, value, width in zip(NAMES, truth.parameters, RANGES, strict=True):
                one = scores["parameters"][name]
                one["truth"] = float(value)
                one["error_percent_of_range"] = 100 * (one["value"] - float(value)) / width
        words = "rms error of the strain over its largest value"
        verdicts["strain"] = verdict(scores["strain_rms_error"] / float(truth.strain.max()), 0.1, True, words)
    scores["verdicts"] = verdicts
    return scores


def near_peak(curve: Curve, found: LayerProfile) -> np.ndarray:
    """Points of the substrate's peak, where the resolution's shape and dead time count more than the layer."""
    peak = peak_two_theta(reflection_of(curve)) - found.offset
    return replace(curve, two_theta=found.two_theta).near(peak)
