"""Figures of the evaluation: rank, concentrations, methods for events, delays of the online test."""

import numpy as np

from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, new_figure, styled
from madpipe.kinetics.limits import CONCENTRATION
from madpipe.kinetics.scores.records import Evaluation


@styled
def rank(evaluation: Evaluation) -> Picture:
    """Draw by how much the rank is off, by parallel analysis and by the noise's edge alone."""
    figure = new_figure(ONE_COLUMN, 2.4)
    axes = figure.subplots()
    ours = np.array([one.found - one.visible for one in evaluation.ranks])
    edge = np.array([one.by_edge - one.visible for one in evaluation.ranks])
    off = np.arange(min(ours.min(), edge.min(), -1), max(ours.max(), edge.max(), 1) + 1)
    for values, side, look, label in ((ours, -0.2, LOOKS[0], "parallel analysis"), (edge, 0.2, LOOKS[1], "edge")):
        counts = [int(np.sum(values == one)) for one in off]
        axes.bar(off + side, counts, width=0.4, color=look.color, label=label)
    axes.set(xlabel="rank found less rank visible", ylabel="series", xticks=off)
    axes.legend()
    words = (
        f"Rank of {len(ours)} simulated series, of which some have a measured buffer subtracted: right in "
        f"{np.mean(ours == 0):.1%} by parallel analysis, in {np.mean(edge == 0):.1%} by the edge of the noise."
    )
    return Picture(figure, words)


@styled
def concentration_errors(evaluation: Evaluation) -> Picture:
    """Draw errors of the concentrations of reactions whose scheme is known, steady and drifting."""
    figure = new_figure(ONE_COLUMN, 2.4)
    axes = figure.subplots()
    told = []
    for drifting, look in ((False, LOOKS[0]), (True, LOOKS[1])):
        errors = np.sort([one.error for one in evaluation.schemes if one.drifting == drifting])
        label = "drifting beam and buffer" if drifting else "steady"
        axes.plot(errors, (np.arange(len(errors)) + 1) / len(errors), **look.line(), label=label)
        told.append(f"{label}: median {np.median(errors):.4f}, worst {errors.max():.4f}")
    axes.axvline(CONCENTRATION, **REFERENCE.dash())
    axes.set(xscale="log", xlabel="rms error of concentrations (1)", ylabel="share of the series", ylim=(0, 1.05))
    axes.legend()
    pulls = np.array([pull for one in evaluation.schemes for pull in one.pulls])
    rejected = sum(one.rejected for one in evaluation.schemes)
    words = (
        f"Errors of the concentrations of reactions A->B->C fitted with their scheme, noise 1 %: {'; '.join(told)}. "
        f"Errors of ln k over the stated ones: standard deviation {pulls.std():.2f}. Rejected, though right: "
        f"{rejected} of {len(evaluation.schemes)}."
    )
    return Picture(figure, words)


@styled
def event_methods(evaluation: Evaluation) -> Picture:
    """Draw F1 of each method that looks for events."""
    figure = new_figure(TWO_COLUMNS, 2.0)
    axes = figure.subplots()
    place = np.arange(len(evaluation.methods))[::-1]
    axes.barh(place + 0.2, [one.f1 for one in evaluation.methods], 0.38, color=LOOKS[0].color, label="F1")
    duplicates = [one.f1_with_duplicates for one in evaluation.methods]
    axes.barh(place - 0.2, duplicates, 0.38, color=LOOKS[1].color, label="duplicates count as false")
    axes.set_yticks(place, [one.method for one in evaluation.methods])
    axes.set(xlabel="F1 (1)", xlim=(0, 1.0))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    told = "; ".join(
        f"{one.method}: {one.f1:.3f} ({one.f1_with_duplicates:.3f}), {one.false} false, {one.quiet} on quiet series"
        for one in evaluation.methods
    )
    words = (
        f"F1 of {evaluation.events} events in {evaluation.conditions.event_series} series, and with duplicates: {told} "
        f"({evaluation.conditions.quiet_series} quiet series). Penalties of the others were tuned on as many series."
    )
    return Picture(figure, words)


@styled
def latency(evaluation: Evaluation) -> Picture:
    """Draw the online test's delay beside the ideal observer's."""
    figure = new_figure(ONE_COLUMN, 2.6)
    axes = figure.subplots()
    found = [(one.ideal, one.online) for one in evaluation.latencies if one.online is not None]
    ideal, online = (
        (np.array(column, dtype=float) for column in zip(*found, strict=True)) if found else (np.ones(1),) * 2
    )
    axes.plot(ideal, online, **LOOKS[0].points(), linestyle="", alpha=0.6)
    ends = np.array([1.0, max(ideal.max(), online.max())])
    axes.plot(ends, ends, **REFERENCE.dash(), label="ideal observer")
    axes.plot(ends, 1.3 * ends, **LOOKS[1].dash(), label="1.3 times its delay")
    axes.set(xscale="log", yscale="log", xlabel="delay of an ideal observer (frame)", ylabel="delay (frame)")
    axes.legend()
    missed = len(evaluation.latencies) - len(found)
    words = (
        f"Delay of the online test beside that of an observer who knows both laws: median ratio "
        f"{np.median(online / ideal):.2f} over {len(found)} events, {missed} missed before the next one. False alarms: "
        f"{evaluation.quiet_alarms} in {evaluation.quiet_frames} frames without events, asked for "
        f"{evaluation.conditions.online_rate:g} a frame."
    )
    return Picture(figure, words)


FIGURES = {
    "rank": rank,
    "concentration_errors": concentration_errors,
    "event_methods": event_methods,
    "latency": latency,
}
