"""Figures of the network: errors beside the information limit, calibration, sensitivities, convergence, ablation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.rocking.limits import GOOD_CHI2
from madpipe.rocking.prior import NAMES
from madpipe.rocking.scores.records import AblationRow, HeldOutScores, ParameterErrors

_LABELS = ("$D_{max1}$", "$D_{01}$", "$L_1$", "$R_{p1}$", "$D_{02}$", "$L_2$", "$R_{p2}$", "mean")
_ANSWERS = (("network", "network"), ("refined", "network and refinement"), ("limit", "information limit"))
Values = Mapping[str, Any]


@styled
def parameter_errors(scores: HeldOutScores, about: Values) -> Picture:
    """Draw mean absolute errors of each parameter, network and refined, beside the information limit."""
    figure = new_figure(TWO_COLUMNS, 2.8)
    axes = figure.subplots()
    place = np.arange(len(_LABELS))
    for look, shift, (name, label) in zip(LOOKS, (-0.15, 0.0, 0.15), _ANSWERS, strict=False):
        errors: ParameterErrors = getattr(scores, name)
        means = [*(errors.each[one] for one in NAMES), errors.mean]
        value, error = np.array([one.value for one in means]), np.array([one.error for one in means])
        axes.errorbar(place + shift, value, error, **{**look.points(), "linestyle": ""}, label=label, capsize=2)
    axes.set(yscale="log", ylabel="mean absolute error (% of range)", xticks=place, xticklabels=_LABELS)
    axes.legend()
    name_panels([axes], [_conditions(scores)])
    words = "; ".join(
        f"{label} {mean.value:.2f} +- {mean.error:.2f}"
        for name, label in _ANSWERS
        for mean in [getattr(scores, name).mean]
    )
    return Picture(
        figure,
        f"Mean absolute error of each parameter, in percent of its range, on {scores.count} held-out curves "
        f"({_conditions(scores)}), with standard errors. Mean over parameters: {words}. Limit: prior-regularised "
        f"Cramer-Rao bound at each curve's truth. Chi-square per point < {GOOD_CHI2:g}: "
        f"{100 * scores.good_share:.0f} % of the curves.",
    )


@styled
def calibration(scores: HeldOutScores, about: Values) -> Picture:
    """Draw how often the truth lies within the stated intervals."""
    figure = new_figure(ONE_COLUMN, 2.6)
    axes = figure.subplots()
    place, count = np.arange(len(NAMES)), scores.count
    shares = {68: scores.coverage_68, 95: scores.coverage_95}
    for look, (share, coverage) in zip(LOOKS, shares.items(), strict=False):
        value = np.array([coverage.each[name] for name in NAMES])
        error = np.sqrt(np.maximum(value * (1 - value), 0.25 / count) / count)
        axes.axhline(share, **REFERENCE.dash())
        axes.errorbar(place, 100 * value, 100 * error, **{**look.points(), "linestyle": ""}, label=f"{share} %")
    axes.set(ylabel="truth within the interval (%)", ylim=(0, 105), xticks=place, xticklabels=_LABELS[:-1])
    axes.legend(loc="lower left")
    name_panels([axes], ["calibration"])
    return Picture(
        figure,
        f"Share of {count} held-out curves whose true parameter lies within the stated 68 and 95 % interval of the "
        f"refined answer; over all parameters {100 * scores.coverage_68.overall:.1f} and "
        f"{100 * scores.coverage_95.overall:.1f} %.",
    )


@styled
def sensitivities(scores: HeldOutScores, about: Values) -> Picture:
    """Draw how much the curve changes with each parameter."""
    figure = new_figure(ONE_COLUMN, 2.4)
    axes = figure.subplots()
    value = np.array([scores.sensitivities[name] for name in NAMES])
    relative = value / value.mean()
    axes.bar(np.arange(len(NAMES)), relative, color=LOOKS[0].color)
    axes.axhline(1.0, **REFERENCE.dash())
    axes.set(yscale="log", ylabel="sensitivity over the mean (1)", xticks=np.arange(len(NAMES)))
    axes.set_xticklabels(_LABELS[:-1])
    name_panels([axes], ["change of the curve for 1 % of the value"])
    words = ", ".join(f"{name} {one:.2f}" for name, one in zip(NAMES, relative, strict=True))
    return Picture(
        figure,
        "Rms change of log10 of the curve, its background included, for a change of a parameter by one percent of "
        f"its value, mean over the held-out layers, over the mean of all: {words}.",
    )


@styled
def convergence(scores: HeldOutScores, about: Values) -> Picture:
    """Draw the validation's errors against the step of the training."""
    history = about["history"]
    figure = new_figure(TWO_COLUMNS, 2.4)
    panels = list(figure.subplots(1, 2))
    terms = history["validation_terms"]
    panels[0].plot(history["validation_step"], terms["absolute"], **LOOKS[0].line())
    panels[0].set(xlabel="step", ylabel="mean absolute error (% of range)", ylim=(0, None))
    panels[1].plot(history["validation_step"], terms["likelihood"], **LOOKS[1].line())
    panels[1].set(xlabel="step", ylabel="-ln likelihood per parameter (1)")
    name_panels(panels, ["errors", "likelihood"])
    return Picture(
        figure,
        f"Convergence of the network's training on validation curves of all counts, backgrounds and resolutions: mean "
        f"absolute error {terms['absolute'][-1]:.2f} % of the ranges after {history['validation_step'][-1]} steps; "
        f"the weights of step {history['best_step']} were kept.",
    )


@styled
def speed(scores: HeldOutScores, about: Values) -> Picture:
    """Draw seconds per curve of each part of an answer."""
    figure = new_figure(ONE_COLUMN, 2.2)
    axes = figure.subplots()
    seconds = scores.seconds or {}
    axes.barh(list(seconds), list(seconds.values()), color=LOOKS[0].color)
    axes.set(xlabel="seconds per curve, one thread", xscale="log")
    name_panels([axes], ["speed"])
    words = ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items())
    return Picture(
        figure,
        f"Mean time for one curve on one thread: {words}; 95 % of the curves within {scores.seconds_95:.2f} s.",
    )


@styled
def ablation(rows: Sequence[AblationRow]) -> Picture:
    """Draw mean errors of every variant, network alone and refined, with standard errors of the seeds."""
    figure = new_figure(TWO_COLUMNS, 0.6 + 0.3 * len(rows))
    panels = list(figure.subplots(1, 3, sharey=True))
    place = np.arange(len(rows))[::-1]
    drawn = (
        ([row.network["mean"] for row in rows], "error (% of range)"),
        ([row.network_log_rms for row in rows], "rms of log10 (1)"),
        ([row.refined["mean"] for row in rows], "error (% of range)"),
    )
    for axes, look, (means, label) in zip(panels, LOOKS, drawn, strict=False):
        value, error = np.array([mean.value for mean in means]), np.array([mean.error for mean in means])
        axes.errorbar(value, place, xerr=error, **{**look.points(), "linestyle": ""}, capsize=2)
        axes.set(xlabel=label)
    panels[0].set(yticks=place, yticklabels=[row.variant for row in rows])
    name_panels(panels, ["network", "its curve", "refined"])
    best, least = rows[0], rows[0].network["mean"]
    return Picture(
        figure,
        f"Remedies, each alone against none, {max(row.trainings for row in rows)} trainings each, standard errors "
        f"of the trainings. Least mean absolute error of the network alone: {best.variant}, "
        f"{least.value:.2f} +- {least.error:.2f} % of the ranges, {best.over_none:.2f} of "
        "that without a remedy. Refinement against the counts (right) is the fourth remedy.",
    )


def _conditions(scores: HeldOutScores) -> str:
    """Counts and noise in words."""
    given = scores.conditions
    return (
        f"{given.peak_counts:.0e} counts, background {given.background:g}, noise {100 * given.systematic:g} % "
        "beside counting"
    )


FIGURES = {
    "parameter_errors": parameter_errors,
    "calibration": calibration,
    "sensitivities": sensitivities,
    "convergence": convergence,
    "speed": speed,
}
