"""Figure of events: what changes, where the events are, and where an ideal observer sees them."""

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.base.plotting import LOOKS, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.kinetics.events.scores import scores_of
from madpipe.kinetics.records import Events, EventsTruth

_SHOWN = 3  # components


@styled
def raster(curves: Curves, found: Events, truth: EventsTruth | None = None) -> Picture:
    """Draw the scores of the components above the noise, and a row of events below: the truth's and those found."""
    figure = new_figure(TWO_COLUMNS, 3.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    scores = scores_of(curves)
    frames = np.arange(len(scores.values))
    for k, look in zip(range(min(scores.values.shape[1], _SHOWN)), LOOKS, strict=False):
        points = {**look.points(), "linestyle": "", "markersize": 2.0}
        upper.plot(frames, scores.values[:, k], **points, label=f"component {k + 1}")
    for one in found.events:
        upper.axvline(one.frame, color="0.7", linewidth=0.6, zorder=0)
    upper.set_ylabel("score (noise)")
    if scores.values.shape[1]:
        upper.legend()
    rows = {"found": [(one.frame, one.evident) for one in found.events]}
    if truth is not None:
        rows = {"truth": list(zip(truth.frame, truth.seen, strict=True)), **rows}
    for place, (events, look) in enumerate(
        zip(rows.values(), LOOKS[1::-1] if truth is not None else LOOKS, strict=False)
    ):
        for first, last in events:
            lower.plot([first, last], [place, place], color=look.color, linewidth=4.0, alpha=0.4, solid_capstyle="butt")
            lower.plot([first], [place], color=look.color, marker="|", markersize=9.0)
    lower.set_yticks(range(len(rows)), list(rows))
    lower.set(xlabel="frame", ylim=(-0.6, len(rows) - 0.4))
    name_panels([upper, lower], ["beam and buffer left out", "events, each until it is evident"])
    told = ", ".join(f"{one.kind} at {one.frame}" for one in found.events) or "none"
    words = (
        f"{curves.title}: scores of the {found.components} components above the noise, in its standard deviations, and "
        f"events: {told}. Bars reach to the frame where the change has six standard deviations; a beam that varies by "
        f"{found.beam_spread:.2%} is no event."
    )
    if truth is not None:
        words += f" True events: {', '.join(map(str, truth.frame)) or 'none'}."
    return Picture(figure, words)
