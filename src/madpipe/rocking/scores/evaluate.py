"""Network, refinement and errors on curves that no training saw, beside what any estimate could reach."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from madpipe.base import metrics
from madpipe.base.runtime import generator_for, progress
from madpipe.rocking.config import (
    RockingEvaluateConfig,
    RockingFitConfig,
    RockingInferConfig,
    Scan,
    SimulatedCurve,
)
from madpipe.rocking.fit.fit import centred, drawn, report
from madpipe.rocking.fit.information import Information
from madpipe.rocking.model import reflection_of
from madpipe.rocking.network.infer import Predictor, alone, refined
from madpipe.rocking.prior import NAMES, RANGES
from madpipe.rocking.profiles import from_free
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.simulate.sample import simulate

_ABSOLUTE = 0.7979  # mean absolute error of a Gaussian over its standard error
_GOOD = 1.3  # chi-square per point
Scores = dict[str, Any]


def held_out(scan: Scan, config: RockingEvaluateConfig, seed: int) -> list[Curve]:
    """Simulate curves of layers of the prior, the same for every network."""
    sample = SimulatedCurve(
        **scan.model_dump(),
        peak_counts=config.peak_counts,
        background=config.background,
        systematic=config.systematic,
    )
    return [
        simulate(sample, f"held out {number}", generator_for(seed, "rocking_evaluate", str(number)))
        for number in progress(range(config.curves), "held-out curves")
    ]


def evaluate(
    predictor: Predictor,
    config: RockingEvaluateConfig,
    infer: RockingInferConfig,
    fit: RockingFitConfig,
    seed: int,
) -> Scores:
    """Score a network, and the fit from its prediction on.

    Parameters
    ----------
    predictor:
        The network.
    config:
        Curves, counts, noise.
    infer, fit:
        How to refine.
    seed:
        Of curves and searches.

    Returns
    -------
    :
        Plain values: ``network``, ``refined`` and ``limit`` with errors in percent of each parameter's range;
        chi-square, seconds, coverage of the 68 and 95 % intervals; ``curves`` with each curve's.
    """
    curves = held_out(predictor.setup.scan, config, seed)
    information = Information(predictor.setup)
    rows = []
    for number, curve in enumerate(progress(curves, "evaluation")):
        generator = generator_for(seed, "rocking_evaluate", "fit", str(number))
        rows.append(_row(curve, predictor, infer, fit, generator))
        floor = config.background / config.peak_counts
        limit = information.standard_errors(_truth(curve), config.peak_counts, floor, config.systematic)
        rows[-1]["limit"] = (100 * _ABSOLUTE * limit).tolist()
    if not config.timed:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return {
        "conditions": config.model_dump(mode="json"),
        **summary(rows),
        "sensitivities": _sensitivities(information, curves, config.background / config.peak_counts),
        "curves": rows,
    }


def _row(
    curve: Curve,
    predictor: Predictor,
    infer: RockingInferConfig,
    fit: RockingFitConfig,
    generator: torch.Generator,
) -> Scores:
    """Score one curve."""
    start = time.perf_counter()
    right = centred(curve, reflection_of(curve))
    prediction = predictor(right)
    predicted = time.perf_counter()
    answer = refined(right, prediction, infer, fit, generator)
    fitted = time.perf_counter()
    found = report(right, answer, "network, refined", drawn(right, answer, fit, generator))
    done = time.perf_counter()
    return {
        "network": _off(from_free(prediction.mean).numpy(), curve),
        "network_log_rms": _log_rms(right, alone(right, prediction).expected),
        "refined": _off(found.parameters, curve),
        "stated": (100 * found.parameter_errors / np.array(RANGES)).tolist(),
        "undetermined": found.undetermined.tolist(),
        "within": _within(found, curve),
        "chi2": found.chi2,
        "starts": int(found.starts),
        "seconds": [predicted - start, fitted - predicted, done - fitted],
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> Scores:
    """Means over curves, with standard errors."""
    scores: Scores = {"count": len(rows)}
    for name in ("network", "refined", "limit"):
        off = np.abs(np.array([row[name] for row in rows]))
        scores[name] = {
            **{one: _mean(off[:, place]) for place, one in enumerate(NAMES)},
            "mean": _mean(off.mean(axis=1)),
            "median": dict(zip(NAMES, np.median(off, axis=0).tolist(), strict=True)),
        }
    for place, share in enumerate(("coverage_68", "coverage_95")):
        within = np.array([row["within"] for row in rows])[:, place]
        scores[share] = {**dict(zip(NAMES, within.mean(axis=0).tolist(), strict=True)), "all": float(within.mean())}
    chi2 = np.array([row["chi2"] for row in rows])
    if "seconds" in rows[0]:
        seconds = np.array([row["seconds"] for row in rows])
        scores["seconds"] = dict(zip(("network", "refinement", "errors"), seconds.mean(axis=0).tolist(), strict=True))
        scores["seconds_95"] = float(np.quantile(seconds.sum(axis=1), 0.95))
    return scores | {
        "good_share": float(np.mean(chi2 < _GOOD)),
        "network_log_rms": float(np.mean([row["network_log_rms"] for row in rows])),
        "undetermined": dict(zip(NAMES, np.mean([row["undetermined"] for row in rows], axis=0).tolist(), strict=True)),
    }


def _sensitivities(information: Information, curves: Sequence[Curve], floor: float) -> dict[str, float]:
    """Mean rms change of log10 of the curve for a change of each parameter by one percent of its value."""
    found = np.mean([information.sensitivities(_truth(curve), floor) for curve in curves], axis=0)
    return dict(zip(NAMES, found.tolist(), strict=True))


def _log_rms(curve: Curve, expected: np.ndarray) -> float:
    """Rms of log10 of the true curve over that of an answer."""
    right = curve.truth.expected if curve.truth is not None else curve.data
    return metrics.root_mean_square(np.log10((expected + 1) / (right + 1)))[0]


def _off(values: np.ndarray, curve: Curve) -> list[float]:
    """Errors in percent of the ranges."""
    return (100 * (values - _truth(curve)) / np.array(RANGES)).tolist()


def _truth(curve: Curve) -> np.ndarray:
    """Parameters that a curve was simulated with."""
    return curve.truth.parameters if curve.truth is not None else np.full(len(NAMES), np.nan)


def _within(found: LayerProfile, curve: Curve) -> list[list[bool]]:
    """Whether the truth is within the 68 and the 95 % intervals."""
    truth = _truth(curve)
    low, below, above, high = found.parameter_quantiles
    return [((below <= truth) & (truth <= above)).tolist(), ((low <= truth) & (truth <= high)).tolist()]


def _mean(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error."""
    return dict(zip(("value", "error"), metrics.mean_with_error(values), strict=True))
