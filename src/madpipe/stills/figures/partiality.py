"""Figure of a learned partiality against the Gaussian."""

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.stills.scores.learned_partiality import PartialityRow
from madpipe.stills.scores.records import Evaluation

_NO_LINE = {"linestyle": ""}
_NAMES = {"mosaic": "mosaic crystals", "round": "neither mosaic nor uneven"}


@styled
def learned_partiality(evaluation: Evaluation) -> Picture:
    """Draw both partialities with photons of held-out spots, for each kind of crystals."""
    rows = evaluation.partialities
    figure = new_figure(TWO_COLUMNS, 3.4)
    panels = figure.subplots(2, len(rows), sharex=True, sharey="row", height_ratios=(2, 1), squeeze=False)
    for (upper, lower), row in zip(panels.T, rows, strict=True):
        _lines(upper, row)
        _rest(lower, row)
        lower.set(xlabel="excitation error over R0 (1)")
    panels[0, 0].set(ylabel="partiality (1)", ylim=(0, 1.15))
    panels[1, 0].set(ylabel="less Gaussian (1)")
    panels[0, 0].legend(loc="upper right")
    name_panels(list(panels[0]), [_NAMES[row.kind] for row in rows])
    figure.align_ylabels()
    return Picture(
        figure,
        "Partiality learned from half of a simulated set of known intensities, against the Gaussian learned likewise; "
        "points: mean of photons of bright spots on the other images over those of full ones by the learned scales, "
        "errors from spot to spot; below, the same less the Gaussian. Gain in ln L of spots on held-out "
        "images, whose scales are from "
        f"as many other spots: {'; '.join(_said(row) for row in rows)}.",
    )


def _lines(axes: Axes, row: PartialityRow) -> None:
    """Both laws and what was seen."""
    axes.plot(row.at, row.gaussian, **REFERENCE.dash(), label="Gaussian")
    axes.plot(row.at, row.learned, color=LOOKS[1].color, label="learned")
    axes.errorbar(row.bins, row.seen, row.seen_errors, **{**LOOKS[0].points(), **_NO_LINE}, label="held-out spots")


def _rest(axes: Axes, row: PartialityRow) -> None:
    """The same less the Gaussian."""
    gaussian = np.interp(row.bins, row.at, row.gaussian)
    axes.axhline(0.0, **REFERENCE.dash())
    axes.plot(row.at, np.array(row.learned) - row.gaussian, color=LOOKS[1].color)
    axes.errorbar(row.bins, np.array(row.seen) - gaussian, row.seen_errors, **{**LOOKS[0].points(), **_NO_LINE})


def _said(row: PartialityRow) -> str:
    """One kind in numbers."""
    return (
        f"{_NAMES[row.kind]} {with_error(row.gain, row.gain_error)} per image on {row.images} images with {row.spots} "
        f"spots, deviance {row.deviance_gaussian:.1f} to {row.deviance_learned:.1f} per spot"
    )
