"""Scores of one method on the test suite, pooled over particles by photon shell, and methods beside the exact fit.

Points of one particle share its brightness and its strain, hence are not independent; particles are. Whatever is
pooled is a ratio of sums over particles, with the jackknife's standard error over them.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from madpipe.base import metrics, store
from madpipe.base.errors import InputError
from madpipe.base.runtime import generator_for, log, progress, without_progress
from madpipe.mad.config import ValidateConfig
from madpipe.mad.measurement import calculated_photons
from madpipe.mad.records import NORMAL_95, PHASES, QUANTITIES, Fit, Stack
from madpipe.mad.scores.coverage import coverage_scores, half_width
from madpipe.mad.scores.records import (
    ComparedScore,
    PooledScore,
    Refusal,
    Reliability,
    SetScores,
    StackScores,
    SuiteScores,
    Sums,
)
from madpipe.mad.scores.validate import (
    NOTHING,
    Deviations,
    deviations,
    measured_points,
    noise_floor,
    truth_columns,
)

SHELL_EDGES = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e7)  # expected photons per point and energy
LEVELS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, NORMAL_95)  # stated standard errors, for calibration
_SHELLS = range(len(SHELL_EDGES) - 1)
_UNDEFINED = {"f_resonant": ("delta_phi", "delta_phi_na"), "f_normal": ("delta_phi_na",)}  # phases without a modulus
_KEPT_SUMS = ("points", "squared_error", "squared_truth")  # of each stack, for comparisons
_Key = tuple[str, int, bool]  # quantity, shell, whether the truth vanishes


@dataclass(frozen=True)
class _Tally:
    """One particle's share of a row: sums over its points, and the points for medians and correlations."""

    points: int
    squared_error: float
    squared_truth: float  # of a phase the points, so that its relative error is in radian; 0 where the truth vanishes
    squared_bound: float
    deviation: float  # sum of error over stated standard error
    within: list[int]  # points whose error is below half the width of the interval at each of the LEVELS
    errors: np.ndarray
    values: np.ndarray
    truths: np.ndarray


@dataclass(frozen=True)
class _Scored:
    """What is known of one set."""

    stacks: list[StackScores] = field(default_factory=list)
    tallies: dict[_Key, list[_Tally]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


def score_suite(
    stacks: Iterable[tuple[str, str, Path]], answer: Callable[[Stack], Fit], method: str, config: ValidateConfig
) -> SuiteScores:
    """Let a method answer every stack of the suite and score it against the truth.

    Parameters
    ----------
    stacks:
        Set, case and file of each stack.
    answer:
        The method. Stacks that it refuses with an InputError are listed under ``refused``.
    method:
        Its name.
    config:
        Redraws for the noise floor of R; the suite's shells are its own, :data:`SHELL_EDGES`.

    Returns
    -------
    :
        The same in every run; the time that the answers alone took is logged.

    Raises
    ------
    InputError
        A file that is no stack; the method refuses every stack.
    """
    sets: dict[str, _Scored] = {}
    seconds, points = 0.0, 0
    for name, case, path in progress(stacks, method):
        stack = store.read(path, Stack)
        scored = sets.setdefault(name, _Scored())
        start = time.perf_counter()
        try:
            with without_progress():
                fit = answer(stack)
        except InputError as error:
            scored.refused.append(Refusal(case, str(error)))
            log.warning("%s refuses %s/%s: %s", method, name, case, error)
            continue
        seconds, points = seconds + time.perf_counter() - start, points + fit.f_total.size
        tallies = _tallies(stack, fit)
        for key, tally in tallies.items():
            scored.tallies.setdefault(key, []).append(tally)
        draws = generator_for(0, "mad_compare", name, case)  # the same for every method
        scored.stacks.append(_stack_scores(case, stack, fit, config, draws, _kept_sums(tallies)))
    if not points:
        reasons = [refusal.reason for scored in sets.values() for refusal in scored.refused]
        raise InputError(f"{method} answers no stack of the test suite; {reasons[0] if reasons else 'none came.'}")
    log.info("%s: %d points answered in %.2f s", method, points, seconds)
    return SuiteScores(method, points, {name: _summary(scored) for name, scored in sets.items()})


def compare(results: Mapping[str, SuiteScores], reference: str = "exact") -> list[ComparedScore]:
    """Put methods beside a reference: ratios of pooled rms errors, over the stacks that both answered.

    Parameters
    ----------
    results:
        What :func:`score_suite` returns, by method.
    reference:
        The method that all others are divided by.

    Returns
    -------
    :
        A row per method, set, quantity and shell. Both answers are to the same counts, so the ratio's standard error,
        by jackknife over particles, is smaller than those of the two rms errors would make it.

    Raises
    ------
    InputError
        The reference is not among the results.
    """
    if reference not in results:
        raise InputError(
            f"the results of {reference!r} are required; those of {', '.join(results)} came; score it too."
        )
    usual = {name: scored.stacks for name, scored in results[reference].sets.items()}
    return [
        row
        for method, result in results.items()
        if method != reference
        for name, scored in result.sets.items()
        for row in _ratios(method, name, scored.stacks, usual.get(name, ()))
    ]


def _ratios(
    method: str, name: str, stacks: Sequence[StackScores], references: Sequence[StackScores]
) -> Iterator[ComparedScore]:
    """One method beside the reference on one set."""
    reference_of = {stack.case: stack.sums for stack in references}
    pairs = [(stack.sums, reference_of[stack.case]) for stack in stacks if stack.case in reference_of]
    for shell in _SHELLS:
        for quantity in QUANTITIES:
            # (pair, [points, error, truth, reference's error]); a control lacks what vanishes in it
            sums = np.array(
                [
                    [
                        *(getattr(own[quantity], kind)[shell] for kind in _KEPT_SUMS),
                        other[quantity].squared_error[shell],
                    ]
                    for own, other in pairs
                    if quantity in own and own[quantity].points[shell]
                ],
                dtype=float,
            )
            if len(sums):
                points, error, truth, standard = sums.T
                yield ComparedScore(
                    method=method,
                    set=name,
                    **_shell(quantity, shell),
                    points=int(points.sum()),
                    stacks=len(sums),
                    relative_rms=metrics.finite(metrics.pooled_ratio(error, truth, root=True)[0]),
                    reference_relative_rms=metrics.finite(metrics.pooled_ratio(standard, truth, root=True)[0]),
                    **_with_error("rms_ratio", metrics.pooled_ratio(error, standard, root=True)),
                )


def _tallies(stack: Stack, fit: Fit) -> dict[_Key, _Tally]:
    """Sums over the measured points of every shell, for each quantity that the truth defines."""
    truth = truth_columns(stack)
    shells = np.digitize(stack.truth.expected.mean(axis=0), SHELL_EDGES) - 1
    shells[~measured_points(stack)] = -1
    vanished = [name for name in _UNDEFINED if truth[name].max() < NOTHING * truth["f_total"].max()]
    undefined = {phase for name in vanished for phase in _UNDEFINED[name]}
    found = {}
    for shell in _SHELLS:
        points = shells == shell
        if points.any():
            for quantity, name in QUANTITIES.items():
                if name not in undefined:
                    tally = _tally(deviations(name, truth, fit, points), name in PHASES, name in vanished)
                    found[quantity, shell, name in vanished] = tally
    return found


def _tally(found: Deviations, is_phase: bool, is_zero: bool) -> _Tally:
    """Sum over the points of one quantity and shell."""
    points = len(found.error)
    squared_truth = points if is_phase else np.square(found.true).sum()
    return _Tally(
        points=points,
        squared_error=float(np.square(found.error).sum()),
        squared_truth=0.0 if is_zero else float(squared_truth),
        squared_bound=float(np.square(found.bound).sum()),
        deviation=float((found.error / found.sigma).sum()),
        within=[int((np.abs(found.error) < half_width(level, found.sigma, found.half_95)).sum()) for level in LEVELS],
        # all points of a set are kept: 10^6 and more of volumes; for a median float32 is ample
        errors=np.abs(found.error, dtype=np.float32),
        values=found.value.astype(np.float32),
        truths=found.true.astype(np.float32),
    )


def _stack_scores(
    case: str, stack: Stack, fit: Fit, config: ValidateConfig, generator: torch.Generator, sums: Mapping[str, Sums]
) -> StackScores:
    """R of an answer beside its noise floor, and what the case is."""
    sample = json.loads(stack.truth.drawn)["sample"]
    calculated = calculated_photons(stack, fit)
    r_factor = metrics.r_factor(np.asarray(stack.data, dtype=float)[stack.good], calculated[stack.good])
    r_noise = float(noise_floor(stack, fit, calculated, config.noise_draws, generator)["all"].mean())
    return StackScores(
        case=case,
        composition=sample["composition"],
        element=stack.element,
        energies=len(stack.energy),
        photons=float(sample["photons"]),
        r_factor=metrics.finite(r_factor),
        r_noise=metrics.finite(r_noise),
        r_over_noise=metrics.finite(r_factor / r_noise if r_noise else math.nan),
        sums=sums,
    )


def _kept_sums(tallies: Mapping[_Key, _Tally]) -> dict[str, Sums]:
    """A stack's sums by quantity and kind, a value per shell; without the quantities whose truth vanishes."""

    def of_shells(quantity: str, kind: str) -> tuple[float | None, ...]:
        found = (tallies.get((quantity, shell, False)) for shell in _SHELLS)
        return tuple(0.0 if tally is None else metrics.finite(float(getattr(tally, kind))) for tally in found)

    quantities = dict.fromkeys(quantity for quantity, _, is_zero in tallies if not is_zero)
    return {quantity: Sums(*(of_shells(quantity, kind) for kind in _KEPT_SUMS)) for quantity in quantities}


def _summary(scored: _Scored) -> SetScores:
    """Pool the stacks of a set."""
    order = list(QUANTITIES)
    keys = sorted(scored.tallies, key=lambda key: (key[2], key[1], order.index(key[0])))
    rows = tuple(_pooled(key, scored.tallies[key]) for key in keys)
    return SetScores(
        rows=rows,
        reliability=tuple(_reliability(key, scored.tallies[key]) for key in keys if not key[2]),
        stacks=tuple(scored.stacks),
        refused=tuple(scored.refused),
        coverage=coverage_scores(rows),
    )


def _pooled(key: _Key, tallies: Sequence[_Tally]) -> PooledScore:
    """One quantity in one shell over all particles; what a row cannot have is None."""
    quantity, shell, is_zero = key
    points, squared_error, squared_truth, squared_bound = (
        _column(tallies, kind) for kind in (*_KEPT_SUMS, "squared_bound")
    )
    errors, values, truths = (
        np.concatenate([getattr(tally, name) for tally in tallies]) for name in ("errors", "values", "truths")
    )
    has_correlation = not is_zero and QUANTITIES[quantity] not in PHASES
    return PooledScore(
        **_shell(quantity, shell),
        control=is_zero,
        points=int(points.sum()),
        stacks=len(tallies),
        **_with_error("rms_error", metrics.pooled_ratio(squared_error, points, root=True)),
        median_error=metrics.finite(float(np.median(errors))),
        **_with_error("relative_rms", metrics.pooled_ratio(squared_error, squared_truth, root=True)),
        relative_bound=metrics.finite(metrics.pooled_ratio(squared_bound, squared_truth, root=True)[0]),
        log_correlation=metrics.finite(metrics.log_correlation(values, truths)) if has_correlation else None,
        **_calibration(tallies, is_zero),
    )


def _calibration(tallies: Sequence[_Tally], is_zero: bool) -> dict[str, Any]:
    """Errors in units of the stated ones; those of a vanishing truth, a modulus on one side of it, by other names."""
    within = dict(zip(LEVELS, _column(tallies, "within").T, strict=True))
    deviation = _column(tallies, "deviation")
    about_truth = {"coverage_68": within[1.0], "coverage_95": within[NORMAL_95], "bias_sigma": deviation}
    about_zero = {"zero_consistency": within[NORMAL_95], "mean_over_sigma": deviation}
    row: dict[str, float | None] = {}
    for sums, applies in ((about_truth, not is_zero), (about_zero, is_zero)):
        for name, numerator in sums.items():
            found = metrics.pooled_ratio(numerator, _column(tallies, "points")) if applies else (None, None)
            row |= _with_error(name, found)
    return row


def _reliability(key: _Key, tallies: Sequence[_Tally]) -> Reliability:
    """Shares of points within each of the LEVELS, which a Gaussian error has at erf(level / sqrt 2)."""
    points = _column(tallies, "points")
    shares = [metrics.pooled_ratio(within, points) for within in _column(tallies, "within").T]
    return Reliability(
        **_shell(*key[:2]),
        levels=LEVELS,
        shares=tuple(share for share, _ in shares),
        shares_standard_error=tuple(metrics.finite(error) for _, error in shares),
    )


def _column(tallies: Sequence[_Tally], kind: str) -> np.ndarray:
    """One sum of every particle."""
    return np.array([getattr(tally, kind) for tally in tallies], dtype=float)


def _shell(quantity: str, shell: int) -> dict[str, Any]:
    """First fields of a row."""
    return {"quantity": quantity, "shell_low": SHELL_EDGES[shell], "shell_high": SHELL_EDGES[shell + 1]}


def _with_error(name: str, found: tuple[float | None, float | None]) -> dict[str, Any]:
    """A number and its standard error as two fields."""
    return {name: metrics.finite(found[0]), f"{name}_standard_error": metrics.finite(found[1])}
