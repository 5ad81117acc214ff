"""Scores of what was made of a sample's curves, beside their truth where there is one."""

import math
from collections.abc import Mapping

from madpipe.base.curves.records import Curves
from madpipe.base.metrics import finite
from madpipe.base.verdict import Verdict, verdict
from madpipe.base.warned import kept, lines_of
from madpipe.saxs.analysis.guinier import guinier
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.fit.residuals import NOISE
from madpipe.saxs.records import AT_BOUND, FREE, HELD, OPEN, ParticleFit
from madpipe.saxs.records_size import SizeDistribution
from madpipe.saxs.scores.records import FitScores, GuinierScores, SaxsScores, SizeScores, ValueScore
from madpipe.saxs.simulate.records import SaxsTruth

_STATES = {FREE: "free", HELD: "held", OPEN: "open", AT_BOUND: "at an end of its range"}
_FARTHEST = 4.0  # stated errors from a truth


def score(
    curves: Curves,
    fit: ParticleFit | None = None,
    sizes: SizeDistribution | None = None,
    anomalous: AnomalousFit | None = None,
    with_guinier: bool = False,
    truth: SaxsTruth | None = None,
) -> SaxsScores:
    """Score what was made of curves.

    Parameters
    ----------
    curves:
        The data.
    fit, sizes, anomalous:
        Answers, as far as there are some.
    with_guinier:
        Fit Guinier's law to every curve.
    truth:
        What a simulation took.
    """
    known = {} if truth is None else dict(zip(truth.names.split("\n"), truth.values.tolist(), strict=True))
    fits = () if fit is None else tuple(_fits(fit, known))
    of_energies = None if anomalous is None else _anomalous(anomalous, known)
    lines = () if not with_guinier else tuple(_guinier(curves))
    verdicts: dict[str, Verdict] = {}
    if fit is not None:
        verdicts |= _of_values("fit", fits)
    if of_energies is not None:
        verdicts |= _of_values("anomalous", (of_energies,))
    if sizes is not None:
        verdicts |= _of_size(sizes)
    if lines:
        words = "curves whose radius of gyration no single number describes"
        verdicts["guinier_single"] = verdict(sum(bool(one.verdict) for one in lines), 0, True, words)
    said = kept(curves.warnings, *(one.warnings for one in (fit, sizes, anomalous) if one is not None))
    return SaxsScores(
        title=curves.title,
        curves=len(curves.intensity),
        fits=fits,
        anomalous=of_energies,
        size=None if sizes is None else _size(sizes),
        guinier=lines,
        warnings=lines_of(said),
        verdicts=verdicts,
    )


def _fits(fit: ParticleFit, truth: Mapping[str, float]) -> list[FitScores]:
    """Every curve's fit, or the one of all."""
    names, units = fit.names.split("\n"), fit.units.split("\n")
    curves, verdicts = fit.curve_names.split("\n"), fit.verdicts.split("\n")
    found = []
    for row, (values, errors, states) in enumerate(zip(fit.values, fit.errors, fit.states, strict=True)):
        told = {
            name: ValueScore(finite(value), finite(error), unit, _STATES[int(state)], truth.get(name))
            for name, unit, value, error, state in zip(names, units, values, errors, states, strict=True)
        }
        found.append(
            FitScores(
                curves[row] if len(fit.values) > 1 or len(curves) == 1 else "all",
                fit.model,
                finite(float(fit.chi2[row])),
                int(fit.degrees_of_freedom[row]),
                finite(float(fit.longest_run[row])),
                finite(float(fit.error_scale[row])),
                verdicts[row],
                told,
            )
        )
    return found


def _anomalous(fit: AnomalousFit, truth: Mapping[str, float]) -> FitScores:
    """The fit of an energy series."""
    rows = zip(fit.names.split("\n"), fit.units.split("\n"), fit.values, fit.errors, fit.states, strict=True)
    told = {
        name: ValueScore(finite(float(value)), finite(float(error)), unit, _STATES[int(state)], truth.get(name))
        for name, unit, value, error, state in rows
    }
    return FitScores(
        "all energies",
        fit.model,
        finite(fit.chi2),
        fit.degrees_of_freedom,
        finite(float(fit.longest_run.min())),
        finite(fit.error_scale),
        fit.verdict,
        told,
    )


def _of_values(step: str, fits: tuple[FitScores, ...]) -> dict[str, Verdict]:
    """Whether a model explains the curves, and whether a truth lies within the errors."""
    worst = max(fits, key=lambda one: math.inf if one.chi2 is None else one.chi2)
    limit = 1 + NOISE * math.sqrt(2 / max(worst.degrees_of_freedom, 1))
    words = f"chi-square per degree of freedom, {worst.curve}; at most what noise makes it"
    made = {f"{step}_chi2": verdict(math.nan if worst.chi2 is None else worst.chi2, limit, True, words)}
    off = [
        abs(one.value - one.truth) / one.error
        for found in fits
        for one in found.values.values()
        if one.truth is not None and one.value is not None and one.error
    ]
    if off:
        words = "farthest quantity from the truth, in stated errors"
        made[f"{step}_truth"] = verdict(max(off), _FARTHEST, True, words)
    return made


def _size(size: SizeDistribution) -> SizeScores:
    """Numbers that sum a distribution up."""
    percentiles = zip(size.percentiles, size.percentile_errors, strict=True)
    return SizeScores(
        size.method,
        finite(size.chi2),
        ValueScore(finite(size.total), finite(size.total_error), "1"),
        tuple(ValueScore(finite(float(one)), finite(float(error)), "angstrom") for one, error in percentiles),
    )


def _of_size(size: SizeDistribution) -> dict[str, Verdict]:
    """Whether a distribution explains its curve."""
    limit = 1 + NOISE * math.sqrt(2 / len(size.q))
    outside = float(size.volume[size.is_trusted == 0].sum() / max(size.volume.sum(), 1e-300))
    return {
        "size_chi2": verdict(size.chi2, limit, True, "chi-square per point; at most what noise makes it"),
        "size_outside": verdict(outside, 0.05, True, "share of the volume at sizes that the range of q does not reach"),
    }


def _guinier(curves: Curves) -> list[GuinierScores]:
    """Guinier's law on every curve."""
    found = []
    for name, intensity, sigma in zip(curves.names.split("\n"), curves.intensity, curves.sigma, strict=True):
        one = guinier(curves.q, intensity, sigma)
        rg = ValueScore(finite(one.rg), finite(one.rg_error), "angstrom")
        i0 = ValueScore(finite(one.i0), finite(one.i0_error), "1/cm")
        found.append(GuinierScores(name, rg, i0, one.points, finite(one.chi2), one.verdict))
    return found
