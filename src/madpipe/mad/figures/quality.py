"""Figures of the scores: error against counts beside the Cramer-Rao bound, and R beside its noise floor."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.mad.figures.picture import FIT_LOOK, IN_WORDS, NETWORK_LOOK, SYMBOLS
from madpipe.mad.scores.records import AnswerScores, HasShell, SampleScores, ShellScore

_ANSWERS = {"fit": FIT_LOOK, "network": NETWORK_LOOK}
_MARKERS = tuple(look.marker for look in LOOKS)
_FEWEST = 10  # points in a shell; the rms of fewer is not worth a mark
_ZERO_TRUTH = 1e6  # a relative error beyond this means that the truth is zero to rounding, as in the controls
_PANEL_WIDTHS = (ONE_COLUMN, 5.2, TWO_COLUMNS)  # inch, for one, two and more panels beside one another


@styled
def error_vs_counts(scores: Sequence[SampleScores]) -> Picture:
    """Draw rms error over rms truth (radian for Delta_phi) against photons per point and energy, log-log.

    One panel per quantity; colour and dash tell fit from network, the marker the sample; dotted is the Cramer-Rao
    bound of each sample. Error bars are standard errors of the rms. Samples without truth, and quantities whose truth
    is zero, are left out.
    """
    known = [one for one in scores if any(answer.shells for answer in one.answers.values())]
    figure = new_figure(TWO_COLUMNS, 5.4)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, quantity in zip(panels.flat, SYMBOLS, strict=True):
        for one, marker in zip(known, _MARKERS * len(known), strict=False):
            _draw_sample(axes, one, quantity, marker)
        _finish(axes, quantity)
    for axes in panels[-1]:
        axes.set_xlabel("photons per point and energy (photon)")
    name_panels(list(panels.flat), list(SYMBOLS.values()))
    handles = _key(known)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return Picture(figure, _error_caption(known))


def shell_rows(answer: AnswerScores, quantity: str) -> list[ShellScore]:
    """Rows of one quantity with enough points and a truth that is not zero, by rising photons."""
    rows = [row for row in answer.shells if row.quantity == quantity and row.points >= _FEWEST]
    return [row for row in rows if row.relative_rms is not None and row.relative_rms < _ZERO_TRUTH]


def shell_centre(row: HasShell) -> float:
    """Geometric mean of a shell's ends; half a decade from its only end where the other is 0 or infinity [photon]."""
    low, high = row.shell_low, row.shell_high
    if not low:
        return high / math.sqrt(10)
    return low * math.sqrt(10) if high is None or math.isinf(high) else math.sqrt(low * high)


def _draw_sample(axes: Axes, one: SampleScores, quantity: str, marker: str) -> None:
    """Errors of every answer of one sample, and its bound."""
    for name, look in _ANSWERS.items():
        rows = shell_rows(one.answers[name], quantity) if name in one.answers else []
        if not rows:
            continue
        photons = [shell_centre(row) for row in rows]
        values = [row.relative_rms for row in rows]
        bars = [row.relative_rms_standard_error or 0.0 for row in rows]
        axes.errorbar(photons, values, bars, **{**look.line(), "marker": marker}, linewidth=0.8)
        if name == "fit":
            axes.plot(photons, [row.relative_bound for row in rows], **REFERENCE.dash(), linewidth=0.9, zorder=3)


def _finish(axes: Axes, quantity: str) -> None:
    """Scales and labels of one panel."""
    axes.set(xscale="log", yscale="log")
    symbol = SYMBOLS[quantity]
    if quantity == "delta_phi":
        axes.set_ylabel(f"rms error of {symbol} (rad)")
        axes.axhline(UNKNOWN_PHASE, color="0.6", linewidth=0.7)
        axes.text(
            0.98,
            UNKNOWN_PHASE,
            r"$\pi/\sqrt{3}$",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="top",
            color="0.4",
        )
    else:
        axes.set_ylabel(f"rms error of {symbol} / rms {symbol} (1)")
    axes.grid(visible=True)


def _key(known: Sequence[SampleScores]) -> list[Line2D]:
    """Legend: answers by colour, samples by marker, the bound."""
    present = [name for name in _ANSWERS if any(name in one.answers for one in known)]
    keys = [Line2D([], [], **_ANSWERS[name].dash(), linewidth=1.4, label=name) for name in present]
    keys.append(Line2D([], [], **REFERENCE.dash(), label="Cramer-Rao bound"))
    for one, marker in zip(known, _MARKERS * len(known), strict=False):
        keys.append(Line2D([], [], color="0.3", marker=marker, linestyle="", label=one.sample))
    return keys


def _error_caption(known: Sequence[SampleScores]) -> str:
    """Error over bound in the brightest shell of every sample, answer and quantity."""
    words = [
        "Relative rms error (radian for Delta phi) against photons per point and energy; dotted: Cramer-Rao bound."
    ]
    for one in known:
        for name in (name for name in _ANSWERS if name in one.answers):
            listed = []
            for quantity in SYMBOLS:
                rows = shell_rows(one.answers[name], quantity)
                if rows:
                    row = max(rows, key=shell_centre)
                    listed.append(f"{IN_WORDS[quantity]} {row.relative_rms:.4f} (bound {row.relative_bound:.4f})")
            if listed:
                words.append(
                    f"{one.sample}, {name}, brightest shell, about {shell_centre(row):.2g} photons: "
                    f"{', '.join(listed)}."
                )
    return " ".join(words)


@styled
def r_factor(scores: Sequence[SampleScores]) -> Picture:
    """Draw R(I) [1] at each photon energy [eV] for fit and network beside R_noise, one panel per sample.

    R_noise is the R of data drawn from the answer's own intensities: what R would be if only noise were left.
    """
    columns = len(scores) if len(scores) <= 4 else 3
    lines = math.ceil(len(scores) / columns)
    figure = new_figure(_PANEL_WIDTHS[min(columns, 3) - 1], 0.55 + 1.75 * lines)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[len(scores) :]:
        axes.remove()
    for axes, one in zip(panels, scores, strict=False):
        _draw_r(axes, one)
    name_panels(panels[: len(scores)], [one.sample for one in scores])
    keys = {
        label: handle
        for axes in panels[: len(scores)]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=min(4, 2 * columns))
    return Picture(figure, _r_caption(scores))


def _draw_r(axes: Axes, one: SampleScores) -> None:
    """R per energy of every answer, and the noise floor of the fit."""
    for name, look in _ANSWERS.items():
        if name in one.answers:
            answer = one.answers[name]
            axes.plot(answer.energies_ev, answer.r_factor_per_energy, **look.line(), label=f"$R$, {name}")
            floor = {**look.dash(), "linestyle": REFERENCE.linestyle}
            axes.plot(answer.energies_ev, answer.r_noise_per_energy, **floor, label=rf"$R_\mathrm{{noise}}$, {name}")
    axes.set(xlabel="energy (eV)", ylabel="$R(I)$ (1)")
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.locator_params(axis="x", nbins=3)


def _r_caption(scores: Sequence[SampleScores]) -> str:
    """R and R_noise over all energies."""
    words = [
        "R(I) at each photon energy beside R_noise, the R of data drawn from the answer's own intensities; "
        "a fit of three unknowns per point follows part of the noise and lies below it. Over all energies:"
    ]
    for one in scores:
        for name, answer in one.answers.items():
            words.append(
                f"{one.sample}, {name}: R = {answer.r_factor:.4f}, R_noise = {answer.r_noise:.4f} "
                f"+- {answer.r_noise_standard_error:.4f}."
            )
    return " ".join(words)
