"""Network, refinement and errors on curves that no training saw, beside what any estimate could reach."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from madpipe.rocking.fit.fit import drawn, report
from madpipe.rocking.fit.information import Information
from madpipe.rocking.limits import GOOD_CHI2
from madpipe.rocking.model import reflection_of
from madpipe.rocking.network.infer import Predictor, alone, refined
from madpipe.rocking.prior import NAMES, RANGES, Parameter
from madpipe.rocking.profiles import from_free
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.scores.records import Coverage, CurveErrors, HeldOutScores, Mean, ParameterErrors
from madpipe.rocking.simulate.sample import simulate
from madpipe.rocking.substrate import centred

_ABSOLUTE = 0.7979  # mean absolute error of a Gaussian over its standard error
_PARTS = ("network", "refinement", "errors")  # of an answer, as they are timed


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
) -> HeldOutScores:
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
    """
    curves = held_out(predictor.setup.scan, config, seed)
    information = Information(predictor.setup)
    floor = config.background / config.peak_counts
    rows = []
    for number, curve in enumerate(progress(curves, "evaluation")):
        generator = generator_for(seed, "rocking_evaluate", "fit", str(number))
        limit = information.standard_errors(_truth(curve), config.peak_counts, floor, config.systematic)
        row = _row(curve, predictor, infer, fit, generator, 100 * _ABSOLUTE * limit)
        rows.append(row if config.timed else replace(row, seconds=None))
    return summary(rows, config, _sensitivities(information, curves, floor))


def _row(
    curve: Curve,
    predictor: Predictor,
    infer: RockingInferConfig,
    fit: RockingFitConfig,
    generator: torch.Generator,
    limit: np.ndarray,
) -> CurveErrors:
    """Score one curve."""
    start = time.perf_counter()
    right = centred(curve, reflection_of(curve))
    prediction = predictor(right)
    predicted = time.perf_counter()
    answer = refined(right, prediction, infer, fit, generator)
    fitted = time.perf_counter()
    found = report(right, answer, "network, refined", drawn(right, answer, fit, generator))
    done = time.perf_counter()
    return CurveErrors(
        network=_off(from_free(prediction.mean).numpy(), curve),
        network_log_rms=_log_rms(right, alone(right, prediction).expected),
        refined=_off(found.parameters, curve),
        stated=tuple((100 * found.parameter_errors / np.array(RANGES)).tolist()),
        undetermined=tuple(found.undetermined.tolist()),
        within=_within(found, curve),
        chi2=float(found.chi2),
        starts=int(found.starts),
        seconds=(predicted - start, fitted - predicted, done - fitted),
        limit=tuple(limit.tolist()),
    )


def summary(
    rows: Sequence[CurveErrors], conditions: RockingEvaluateConfig, sensitivities: Mapping[Parameter, float]
) -> HeldOutScores:
    """Means over curves, with standard errors."""
    seconds = np.array([row.seconds for row in rows]) if rows[0].seconds is not None else None
    return HeldOutScores(
        conditions=conditions,
        count=len(rows),
        network=_errors([row.network for row in rows]),
        refined=_errors([row.refined for row in rows]),
        limit=_errors([row.limit for row in rows]),
        coverage_68=_coverage([row.within[0] for row in rows]),
        coverage_95=_coverage([row.within[1] for row in rows]),
        seconds=None if seconds is None else dict(zip(_PARTS, seconds.mean(axis=0).tolist(), strict=True)),
        seconds_95=None if seconds is None else float(np.quantile(seconds.sum(axis=1), 0.95)),
        good_share=float(np.mean(np.array([row.chi2 for row in rows]) < GOOD_CHI2)),
        network_log_rms=float(np.mean([row.network_log_rms for row in rows])),
        undetermined=dict(zip(NAMES, np.mean([row.undetermined for row in rows], axis=0).tolist(), strict=True)),
        sensitivities=sensitivities,
        curves=tuple(rows),
    )


def _errors(offs: Sequence[Sequence[float]]) -> ParameterErrors:
    """Mean and median absolute errors of each parameter over curves."""
    off = np.abs(np.array(offs))
    return ParameterErrors(
        each={one: _mean(off[:, place]) for place, one in enumerate(NAMES)},
        mean=_mean(off.mean(axis=1)),
        median=dict(zip(NAMES, np.median(off, axis=0).tolist(), strict=True)),
    )


def _coverage(flags: Sequence[Sequence[bool]]) -> Coverage:
    """Share of the curves whose truth is within an interval."""
    within = np.array(flags)
    return Coverage(dict(zip(NAMES, within.mean(axis=0).tolist(), strict=True)), float(within.mean()))


def _sensitivities(information: Information, curves: Sequence[Curve], floor: float) -> dict[Parameter, float]:
    """Mean rms change of log10 of the curve for a change of each parameter by one percent of its value."""
    found = np.mean([information.sensitivities(_truth(curve), floor) for curve in curves], axis=0)
    return dict(zip(NAMES, found.tolist(), strict=True))


def _log_rms(curve: Curve, expected: np.ndarray) -> float:
    """Rms of log10 of the true curve over that of an answer."""
    right = curve.truth.expected if curve.truth is not None else curve.data
    return metrics.root_mean_square(np.log10((expected + 1) / (right + 1)))[0]


def _off(values: np.ndarray, curve: Curve) -> tuple[float, ...]:
    """Errors in percent of the ranges."""
    return tuple((100 * (values - _truth(curve)) / np.array(RANGES)).tolist())


def _truth(curve: Curve) -> np.ndarray:
    """Parameters that a curve was simulated with."""
    return curve.truth.parameters if curve.truth is not None else np.full(len(NAMES), np.nan)


def _within(found: LayerProfile, curve: Curve) -> tuple[tuple[bool, ...], ...]:
    """Whether the truth is within the 68 and the 95 % intervals."""
    truth = _truth(curve)
    low, below, above, high = found.parameter_quantiles
    narrow, wide = (below <= truth) & (truth <= above), (low <= truth) & (truth <= high)
    return tuple(narrow.tolist()), tuple(wide.tolist())


def _mean(values: np.ndarray) -> Mean:
    """Mean and its standard error."""
    return Mean(*metrics.mean_with_error(values))
