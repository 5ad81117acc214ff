"""Figure of split counts: how wrong the network's answer is, by counts that it has not seen, beside what it states."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from madpipe.base import metrics
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Keywords, Picture, name_panels, new_figure, styled
from madpipe.mad.figures.picture import FIT_LOOK, MODULUS_UNIT, NETWORK_LOOK
from madpipe.mad.figures.quality import shell_centre
from madpipe.mad.limits import SET_ASIDE, SPLIT_FROM
from madpipe.mad.records import JUDGED, Fit, Stack
from madpipe.mad.scores.coverage import shell_in_words
from madpipe.mad.scores.records import SplitScore, SplitScores
from madpipe.mad.scores.split import in_words, split_scores

_SYMBOLS = {"F_T": r"$|F_\mathrm{T}|$", "F_A": r"$F_\mathrm{A}$", "F_N": r"$F_\mathrm{N}$"}
_PHOTONS = "photons per point and energy in a half (photon)"
_FOUND, _STATED, _FIT, _TRUE = "by split counts", "stated", "fit of a half", "true, all counts"
_STATED_LOOK = LOOKS[4]
_LEAST_SHARE = 0.6  # of the least root drawn, down to which the axis goes


@styled
def split(stack: Stack, network: Fit) -> Picture:
    """Draw the rms error of a network's answer to half of the counts, by the other half, against photons, log-log.

    One panel each for |F_T| and the complex F_A and F_N [sqrt(photon)]: found with its standard error, stated by the
    answer, stated by a fit of the half alone, and, of a simulation, the true error of the answer to all counts. An
    arrow goes down from the upper end where the squared error is within its standard error of zero. The last panel has
    the factor by which predictions were widened [1]; a cross on top marks shells where they were set aside. Values that
    are no counts cannot be split: the figure says so. Grey: few photons, where too large an error is found.
    """
    if network.split is None:
        return _without(stack, network)
    scores = split_scores(network.split, network, stack)
    figure = new_figure(TWO_COLUMNS, 5.2)
    panels = list(figure.subplots(2, 2, sharex=True).flat)
    for axes, quantity in zip(panels, JUDGED, strict=False):
        _draw_errors(axes, [row for row in scores.rows if row.quantity == quantity])
        axes.set_ylabel(f"rms error of {_SYMBOLS[quantity]} ({MODULUS_UNIT})")
    _draw_widening(panels[-1], [row for row in scores.rows if row.quantity == JUDGED[0]])
    for axes in panels[2:]:
        axes.set_xlabel(_PHOTONS)
    name_panels(panels, [*_SYMBOLS.values(), "widening of the predictions"])
    keys = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=len(keys))
    return Picture(figure, _caption(stack, scores))


def _draw_errors(axes: Axes, rows: Sequence[SplitScore]) -> None:
    """Found, stated, a fit's and true errors of one quantity."""
    photons = [shell_centre(row) for row in rows]
    axes.plot(photons, [row.fit_rms for row in rows], **FIT_LOOK.line(), linewidth=0.8, label=_FIT)
    axes.plot(photons, [row.stated_rms for row in rows], **_STATED_LOOK.line(), linewidth=0.8, label=_STATED)
    if any(row.true_rms_error is not None for row in rows):
        axes.plot(photons, [_or_nan(row.true_rms_error) for row in rows], **REFERENCE.dash(), label=_TRUE, zorder=3)
    found = np.array([row.rms_error for row in rows])
    upwards = np.array([row.rms_error_standard_error for row in rows])
    # the square less its standard error; below zero there is no lower end
    below = 2 * found**2 - (found + upwards) ** 2
    known = below > 0
    lower = np.where(known, found - np.sqrt(below.clip(min=0)), 0.0)
    where = np.array(photons)
    plain: Keywords = {**NETWORK_LOOK.line(), "linestyle": "", "linewidth": 0.8, "label": _FOUND}
    axes.errorbar(where[known], found[known], [lower[known], upwards[known]], **plain)
    most = (found + upwards)[~known]
    axes.errorbar(
        where[~known], most, 0.35 * most, uplims=True, linestyle="", marker="_", color=NETWORK_LOOK.color, linewidth=0.8
    )
    drawn = [*found[known], *most, *(row.stated_rms for row in rows), *(row.true_rms_error or np.inf for row in rows)]
    axes.set(xscale="log", yscale="log")
    if rows[0].shell_low < SPLIT_FROM:
        axes.set_xlim(left=photons[0] / 2)
        axes.axvspan(photons[0] / 2, SPLIT_FROM, color="0.93", zorder=0)
    axes.set_ylim(bottom=_LEAST_SHARE * min(one for one in drawn if one > 0))
    axes.grid(visible=True)


def _or_nan(value: float | None) -> float:
    """A number to draw, or none."""
    return np.nan if value is None else value


def _draw_widening(axes: Axes, rows: Sequence[SplitScore]) -> None:
    """Factor of every shell; where a prediction was set aside, a cross at the top."""
    used = [row for row in rows if row.widened < SET_ASIDE]
    aside = [shell_centre(row) for row in rows if row.widened >= SET_ASIDE]
    top = 1.6 * max((row.widened for row in used), default=1.0)
    axes.plot([shell_centre(row) for row in used], [row.widened for row in used], color="0.2", marker="o")
    axes.plot(aside, [0.97 * top] * len(aside), color="0.2", marker="x", linestyle="")
    axes.set(xscale="log", ylim=(0.0, top))
    axes.set_ylabel("factor of the standard deviations (1)")
    axes.axhline(1.0, **REFERENCE.dash(), linewidth=0.9)
    axes.grid(visible=True)


def _without(stack: Stack, network: Fit) -> Picture:
    """A page that says that there is nothing to draw."""
    why = "no split counts: not refined, no photon counts, or too few points of 4 energies"
    figure = new_figure(TWO_COLUMNS, 0.6)
    figure.text(0.5, 0.5, f"{stack.name}: {why}", ha="center", va="center")
    return Picture(figure, f"{stack.name}, answer '{network.method}': {why}.")


def _caption(stack: Stack, scores: SplitScores) -> str:
    """Numbers of every quantity and shell."""
    words = [
        f"{stack.name}: rms error of the network's answer to half of the counts, by the other half, which it has not "
        "seen, against photons per point and energy in a half; bars and arrows: standard error, upper end where the "
        "squared error is within it of zero; beside it what the answer states and what a fit of the half alone would."
    ]
    if any(row.true_rms_error is not None for row in scores.rows):
        words.append("Dotted: true error of the answer to all counts, at the same points, hence smaller.")
    if any(row.shell_low < SPLIT_FROM for row in scores.rows):
        words.append(f"Grey: below {SPLIT_FROM:g} photons too large an error is found.")
    words.append(
        f"Last panel: factor of the predictions' standard deviations (cross: set aside). {_capital(in_words(scores))}."
    )
    for quantity in JUDGED:
        rows = [row for row in scores.rows if row.quantity == quantity]
        found = "; ".join(
            f"{shell_in_words(row)}: {metrics.with_error(row.rms_error, row.rms_error_standard_error)} "
            f"({row.stated_rms:.3g})"
            for row in rows
        )
        words.append(f"{quantity}, by shell of photons, found (stated) [sqrt(photon)]: {found}.")
    return " ".join(words)


def _capital(text: str) -> str:
    """A sentence's first letter."""
    return text[:1].upper() + text[1:]
