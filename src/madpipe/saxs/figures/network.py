"""Figures of the network: which shapes it takes for which, whether its probabilities hold, what it finds foreign."""

from collections.abc import Sequence

import numpy as np

from madpipe.base.plotting import (
    LOOKS,
    ONE_COLUMN,
    REFERENCE,
    SHARE,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    styled,
)
from madpipe.saxs.network.ablation import VariantRow
from madpipe.saxs.network.classes import NAMES
from madpipe.saxs.network.evaluate import ShapeScores

_WORDS = [name.replace("_", " ") for name in NAMES]


@styled
def confusion(scores: ShapeScores) -> Picture:
    """Draw the share of each shape's curves that is called each shape."""
    figure = new_figure(TWO_COLUMNS * 0.75, 4.4)
    axes = figure.subplots()
    shares = np.array(scores.confusion)
    image = axes.imshow(shares, cmap=SHARE, vmin=0, vmax=1, origin="upper")
    for row, column in zip(*np.nonzero(shares >= 0.05), strict=True):
        dark = shares[row, column] < 0.6
        words = f"{100 * shares[row, column]:.0f}"
        axes.text(column, row, words, ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    place = np.arange(len(_WORDS))
    axes.set(xticks=place, yticks=place, yticklabels=_WORDS, xlabel="called", ylabel="true shape")
    axes.set_xticklabels(_WORDS, rotation=45, ha="right")
    axes.grid(visible=False)
    colour_bar(image, axes, "share of the shape's curves (1)")
    worst = min(scores.recall, key=lambda name: scores.recall[name])
    return Picture(
        figure,
        f"Shares of the curves of each shape that the network calls each, in percent where at least 5; "
        f"{scores.curves} simulated curves that no training saw. Accuracy {scores.accuracy:.3f}, "
        f"{scores.accuracy_hidden:.3f} with the absolute scale hidden; least for {worst.replace('_', ' ')}, "
        f"{scores.recall[worst]:.2f}. A core and a shell of nearly one contrast are the homogeneous shape.",
    )


@styled
def reliability(scores: ShapeScores) -> Picture:
    """Draw how often the most probable shape is right, against its probability."""
    figure = new_figure(ONE_COLUMN, 2.6)
    axes = figure.subplots()
    said, right, share = np.array(scores.reliability).T
    count = np.maximum(share * scores.curves, 1)
    error = np.sqrt(np.maximum(right * (1 - right), 0.25 / count) / count)
    axes.plot([0, 1], [0, 1], **REFERENCE.dash())
    axes.errorbar(said, right, error, **{**LOOKS[0].points(), "linestyle": ""})
    axes.set(xlabel="stated probability (1)", ylabel="share that is right (1)", xlim=(0, 1.02), ylim=(0, 1.05))
    name_panels([axes], ["most probable shape"])
    return Picture(
        figure,
        f"Share of curves whose most probable shape is right, against the stated probability, in 15 bins, with "
        f"standard errors; {scores.curves} curves. Expected calibration error {scores.calibration_error:.3f}; mean "
        f"probability {scores.confidence:.3f}, share right {scores.accuracy:.3f}.",
    )


@styled
def foreign(scores: ShapeScores) -> Picture:
    """Draw how well curves of no class are told from known ones."""
    figure = new_figure(ONE_COLUMN, 2.4)
    axes = figure.subplots()
    names = list(scores.foreign)
    place = np.arange(len(names))
    rows = ((scores.foreign, "area under the ROC curve"), (scores.rejected, "flagged, at 1 % of the known"))
    for look, shift, (values, label) in zip(LOOKS, (-0.1, 0.1), rows, strict=False):
        axes.plot(place + shift, [values[name] for name in names], **{**look.points(), "linestyle": ""}, label=label)
    axes.axhline(0.5, **REFERENCE.dash())
    axes.set(xticks=place, xticklabels=names, ylim=(0, 1.02), ylabel="(1)")
    axes.legend(loc="lower right")
    name_panels([axes], ["curves of no known shape"])
    words = ", ".join(f"{name} {scores.foreign[name]:.2f} and {scores.rejected[name]:.2f}" for name in names)
    return Picture(
        figure,
        f"Area under the receiver operating characteristic of the network's foreign score, and share flagged where "
        f"1 % of known curves are: {words}. Kinds that the head was trained with; a kind left out is told worse "
        f"(docs/saxs.md). The fit of the likeliest shapes is the surer sign.",
    )


@styled
def ablation(rows: Sequence[VariantRow]) -> Picture:
    """Draw accuracy and calibration of every variant, with standard errors of the trainings."""
    figure = new_figure(TWO_COLUMNS, 0.6 + 0.3 * len(rows))
    panels = list(figure.subplots(1, 3, sharey=True))
    place = np.arange(len(rows))[::-1]
    drawn = (
        ([row.accuracy for row in rows], "accuracy (1)"),
        ([row.accuracy_hidden for row in rows], "accuracy (1)"),
        ([row.calibration_error for row in rows], "calibration error (1)"),
    )
    for axes, look, (means, label) in zip(panels, LOOKS, drawn, strict=False):
        value, error = np.array(means).T
        axes.errorbar(value, place, xerr=error, **{**look.points(), "linestyle": ""}, capsize=2)
        axes.set(xlabel=label)
    panels[0].set(yticks=place, yticklabels=[row.variant for row in rows])
    name_panels(panels, ["scale as told", "scale hidden", "calibration"])
    best = rows[0]
    return Picture(
        figure,
        f"Variants of the network, {max(row.trainings for row in rows)} short trainings each, with standard errors of "
        f"the trainings. Most accurate: {best.variant}, {best.accuracy[0]:.3f} +- {best.accuracy[1]:.3f}.",
    )


FIGURES = {"confusion": confusion, "reliability": reliability, "foreign": foreign}
