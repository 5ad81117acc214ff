"""Figures of the scores: error against counts beside the Cramer-Rao bound, and R beside its noise floor."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Look, name_panels, new_figure, styled
from madpipe.mad.figures.picture import FIT_LOOK, IN_WORDS, NETWORK_LOOK, SYMBOLS, UNDETERMINED_RMS, Picture

Scores = Mapping[str, Any]
_ANSWERS = {"fit": FIT_LOOK, "network": NETWORK_LOOK}
_FEWEST = 10  # points in a shell; the rms of fewer is not worth a mark
_COLUMNS = 3


@styled
def error_vs_counts(scores: Sequence[Scores]) -> Picture:
    """Draw rms error over rms truth (radian for Delta_phi) against photons per point and energy, log-log.

    One panel per quantity; colour tells fit from network, the marker the sample; dotted is the Cramer-Rao bound of
    each sample. Error bars are standard errors of the rms. Samples without truth are left out.
    """
    known = [one for one in scores if any(answer["shells"] for answer in one["answers"].values())]
    figure = new_figure(TWO_COLUMNS, 5.3)
    panels = figure.subplots(2, 2, sharex=True)
    words = []
    for axes, quantity in zip(panels.flat, SYMBOLS, strict=True):
        for number, one in enumerate(known):
            words += _draw_sample(axes, one, quantity, number)
        _finish(axes, quantity)
    for axes in panels[-1]:
        axes.set_xlabel("photons per point and energy (photon)")
    name_panels(list(panels.flat), list(SYMBOLS.values()))
    handles, labels = _legend_of(panels.flat)
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))))
    return Picture(figure, _error_caption(known, words))
