"""Figures of the network: errors beside the information limit, calibration, sensitivities, convergence, ablation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.rocking.limits import GOOD_CHI2
from madpipe.rocking.prior import NAMES

_LABELS = ("$D_{max1}$", "$D_{01}$", "$L_1$", "$R_{p1}$", "$D_{02}$", "$L_2$", "$R_{p2}$", "mean")
_ANSWERS = (("network", "network"), ("refined", "network and refinement"), ("limit", "information limit"))
Values = Mapping[str, Any]


@styled
def parameter_errors(scores: Values, about: Values) -> Picture:
    """Draw mean absolute errors of each parameter, network and refined, beside the information limit."""
    figure = new_figure(TWO_COLUMNS, 2.8)
    axes = figure.subplots()
    place = np.arange(len(_LABELS))
    for look, shift, (name, label) in zip(LOOKS, (-0.15, 0.0, 0.15), _ANSWERS, strict=False):
        means = [scores[name][one] for one in (*NAMES, "mean")]
        value, error = (np.array([one[part] for one in means]) for part in ("value", "error"))
        axes.errorbar(place + shift, value, error, **{**look.points(), "linestyle": ""}, label=label, capsize=2)
    axes.set(yscale="log", ylabel="mean absolute error (% of range)", xticks=place, xticklabels=_LABELS)
    axes.legend()
    name_panels([axes], [_conditions(scores)])
    words = "; ".join(
        f"{label} {scores[name]['mean']['value']:.2f} +- {scores[name]['mean']['error']:.2f}"
        for name, label in _ANSWERS
    )
    return Picture(
        figure,
        f"Mean absolute error of each parameter, in percent of its range, on {scores['count']} held-out curves "
        f"({_conditions(scores)}), with standard errors. Mean over parameters: {words}. Limit: prior-regularised "
        f"Cramer-Rao bound at each curve's truth. Chi-square per point < {GOOD_CHI2:g}: "
        f"{100 * scores['good_share']:.0f} % of the curves.",
    )


@styled
def calibration(scores: Values, about: Values) -> Picture:
    """Draw how often the truth lies within the stated intervals."""
    figure = new_figure(ONE_COLUMN, 2.6)
    axes = figure.subplots()
    place, count = np.arange(len(NAMES)), scores["count"]
    for look, share in zip(LOOKS, (68, 95), strict=False):
        value = np.array([scores[f"coverage_{share}"][name] for name in NAMES])
        error = np.sqrt(np.maximum(value * (1 - value), 0.25 / count) / count)
        axes.axhline(share, **REFERENCE.dash())
        axes.errorbar(place, 100 * value, 100 * error, **{**look.points(), "linestyle": ""}, label=f"{share} %")
    axes.set(ylabel="truth within the interval (%)", ylim=(0, 105), xticks=place, xticklabels=_LABELS[:-1])
    axes.legend(loc="lower left")
    name_panels([axes], ["calibration"])
    return Picture(
        figure,
        f"Share of {count} held-out curves whose true parameter lies within the stated 68 and 95 % interval of the "
        f"refined answer; over all parameters {100 * scores['coverage_68']['all']:.1f} and "
        f"{100 * scores['coverage_95']['all']:.1f} %.",
    )


@styled
def sensitivities(scores: Values, about: Values) -> Picture:
    """Draw how much the curve changes with each parameter."""
    figure = new_figure(ONE_COLUMN, 2.4)
    axes = figure.subplots()
    value = np.array([scores["sensitivities"][name] for name in NAMES])
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
def convergence(scores: Values, about: Values) -> Picture:
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
def speed(scores: Values, about: Values) -> Picture:
    """Draw seconds per curve of each part of an answer."""
    figure = new_figure(ONE_COLUMN, 2.2)
    axes = figure.subplots()
    names = list(scores["seconds"])
    axes.barh(names, [scores["seconds"][name] for name in names], color=LOOKS[0].color)
    axes.set(xlabel="seconds per curve, one thread", xscale="log")
    name_panels([axes], ["speed"])
    words = ", ".join(f"{name} {value:.3f} s" for name, value in scores["seconds"].items())
    return Picture(
        figure,
        f"Mean time for one curve on one thread: {words}; 95 % of the curves within {scores['seconds_95']:.2f} s.",
    )


@styled
def ablation(rows: Sequence[Values]) -> Picture:
    """Draw mean errors of every variant, network alone and refined, with standard errors of the seeds."""
    figure = new_figure(TWO_COLUMNS, 0.6 + 0.3 * len(rows))
    panels = list(figure.subplots(1, 3, sharey=True))
    place = np.arange(len(rows))[::-1]
    drawn = (
        ("network mean", "error (% of range)"),
        ("network_log_rms", "rms of log10 (1)"),
        ("refined mean", "error (% of range)"),
    )
    for axes, look, (name, label) in zip(panels, LOOKS, drawn, strict=False):
        value, error = (np.array([row[key] for row in rows]) for key in (name, f"{name} error"))
        axes.errorbar(value, place, xerr=error, **{**look.points(), "linestyle": ""}, capsize=2)
        axes.set(xlabel=label)
    panels[0].set(yticks=place, yticklabels=[row["variant"] for row in rows])
    name_panels(panels, ["network", "its curve", "refined"])
    best = rows[0]
    return Picture(
        figure,
        f"Remedies, each alone against none, {max(row['trainings'] for row in rows)} trainings each, standard errors "
        f"of the trainings. Least mean absolute error of the network alone: {best['variant']}, "
        f"{best['network mean']:.2f} +- {best['network mean error']:.2f} % of the ranges, {best['over none']:.2f} of "
        "that without a remedy. Refinement against the counts (right) is the fourth remedy.",
    )


def _conditions(scores: Values) -> str:
    """Counts and noise in words."""
    given = scores["conditions"]
    return (
        f"{given['peak_counts']:.0e} counts, background {given['background']:g}, noise {100 * given['systematic']:g} % "
        "beside counting"
    )


FIGURES = {
    "parameter_errors": parameter_errors,
    "calibration": calibration,
    "sensitivities": sensitivities,
    "convergence": convergence,
    "speed": speed,
}
