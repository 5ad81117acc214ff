"""Figures of the integration of reflections: methods side by side, and what each number can be told from."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.stills.figures.model import correlation_map
from madpipe.stills.figures.recovery import timed
from madpipe.stills.scores.integration_records import Degeneracy, Integration, IntegrationScore
from madpipe.stills.scores.records import Evaluation
from madpipe.stills.scores.width_error import WidthError

NUMBERS = ("ln G", "B", "turn x", "turn y", "turn z", "ln R0", "ln R1")  # of the correlations' rows
_SHOWN = ("pixel-unweighted", "pixel-ml", "factored", "joint")  # whose correlations are drawn
_NO_LINE = {"linestyle": ""}
_PER_MILLE = 1e3


def of(evaluation: Evaluation) -> Integration:
    """Its part on integration."""
    if evaluation.integration is None:
        raise ValueError("no comparison of methods of integration")
    return evaluation.integration


def rms(values: tuple[float, ...]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


@styled
def methods_of_integration(evaluation: Evaluation) -> Picture:
    """Draw errors of ln G and B by each method beside the stated ones, and correlations with the truth."""
    found = of(evaluation)
    rows = found.methods[::-1]
    place = np.arange(len(rows))
    figure = new_figure(TWO_COLUMNS, 0.9 + 0.28 * len(rows))
    panels = list(figure.subplots(1, 3, sharey=True, width_ratios=(1.2, 1.2, 1)))
    parts = (
        ([row.ln_scale for row in rows], [row.ln_scale_errors for row in rows], "error of ln G (1)"),
        ([row.b_factor for row in rows], [row.b_errors for row in rows], r"error of Wilson B ($\mathrm{\AA}^2$)"),
    )
    for axes, (off, stated, label) in zip(panels, parts, strict=False):
        value = np.array([rms(one) for one in off])
        degrees = max(1, found.images - 1)
        axes.errorbar(
            value,
            place,
            xerr=value / np.sqrt(2 * degrees),
            **{**LOOKS[0].points(), **_NO_LINE},
            capsize=2,
            label="real",
        )
        axes.plot([rms(one) for one in stated], place, **{**LOOKS[1].points(), **_NO_LINE}, label="stated")
        axes.set(xscale="log", xlabel=label)
    handles, labels = panels[0].get_legend_handles_labels()
    panels[1].legend(handles, labels, loc="upper right")
    panels[2].plot(
        [np.nan if row.cc_true is None else 1 - row.cc_true for row in rows], place, **{**LOOKS[0].points(), **_NO_LINE}
    )
    panels[2].set(xscale="log", xlabel="1 - correlation with the truth (1)")
    panels[2].xaxis.set_minor_formatter(NullFormatter())
    panels[0].set_yticks(place, [row.method for row in rows])
    panels[0].set_ylim(-0.6, len(rows) - 0.4)
    name_panels(panels, ["scale", "falling off", "merged"])
    said = "; ".join(_said(row) for row in found.methods)
    return Picture(
        figure,
        f"Methods of integration on {found.images} simulated images with {found.spots} spots and a reference of 30 % "
        "error: rms of found less true ln G and Wilson B, about their means over the images, with standard errors "
        "of the rms; the stated errors less what is common to all images; 1 less "
        "the correlation of merged intensities with the truth, over shell means. "
        f"{said}.",
    )


def _said(row: IntegrationScore) -> str:
    """One method in numbers."""
    true = "" if row.cc_true is None else f", CC to the truth {row.cc_true:.4f}"
    return (
        f"{row.method}: ln G {rms(row.ln_scale):.3f} (stated {rms(row.ln_scale_errors):.3f}), B "
        f"{rms(row.b_factor):.2f} ({rms(row.b_errors):.2f}){true}, R1 {_PER_MILLE * row.width:.3f}/1000 angstrom"
        f"{timed(row.seconds)}"
    )


@styled
def blocks(evaluation: Evaluation) -> Picture:
    """Draw correlations of an image's numbers, R0 and R1 by the equations of some methods."""
    rows = {row.method: row for row in of(evaluation).methods}
    shown = [rows[name] for name in _SHOWN if name in rows] or list(rows.values())[:4]
    figure = new_figure(TWO_COLUMNS, 2.2)
    panels = list(np.atleast_1d(figure.subplots(1, len(shown))))
    for axes, row in zip(panels, shown, strict=True):
        correlation_map(axes, np.array(row.correlations), list(NUMBERS), bar=axes is panels[-1])
        if axes is not panels[0]:
            axes.set_yticklabels([])
    name_panels(panels, [row.method for row in shown])
    scale, width = NUMBERS.index("ln G"), NUMBERS.index("ln R1")
    said = "; ".join(
        f"{row.method} {row.correlations[scale][width]:.3f} and {row.correlations[scale][1]:.2f}"
        for row in rows.values()
    )
    return Picture(
        figure,
        "Correlations of one image's ln G, B and turns with the shared R0 and R1, all free at once, by the equations "
        "of each method at its own answer. The orientation stays joined to the scale through the partiality in all. "
        f"Correlation of ln G with ln R1, and with B: {said}.",
    )


@styled
def width_error(evaluation: Evaluation) -> Picture:
    """Draw how fitted photons change with the width of the profile, against the peak over background."""
    rows: tuple[WidthError, ...] = of(evaluation).widths
    figure = new_figure(ONE_COLUMN, 2.5)
    axes = figure.subplots()
    signal = [row.signal for row in rows]
    axes.plot(signal, [row.theory for row in rows], **REFERENCE.dash(), label="theory")
    axes.errorbar(
        signal,
        [row.found for row in rows],
        [row.error for row in rows],
        **{**LOOKS[0].points(), **_NO_LINE},
        label="counts",
    )
    axes.set(xscale="log", xlabel="peak over background (1)", ylabel=r"d ln J / d ln R$_1$ (1)", ylim=(0, 1.1))
    axes.legend(loc="lower left")
    name_panels([axes], ["photons by a wrong width"])
    pulls = [(row.found - row.theory) / row.error for row in rows]
    said = ", ".join(f"{with_error(row.found, row.error)} at {row.signal:g} (theory {row.theory:.3f})" for row in rows)
    return Picture(
        figure,
        f"Relative change of profile-fitted photons with the relative width of the profile: a width that is 5 % off "
        f"makes weak spots 5 % wrong and strong ones not at all. Counts of simulated spots fitted with widths 5 % off "
        f"on both sides: {said}. Rms of difference over error {np.sqrt(np.mean(np.square(pulls))):.1f}.",
    )


@styled
def degeneracy(evaluation: Evaluation) -> Picture:
    """Draw what one image tells of R0 and G together, alone and with what all images tell of R0."""
    found: Degeneracy = of(evaluation).degeneracy
    figure = new_figure(TWO_COLUMNS, 2.7)
    left, right = figure.subplots(1, 2)
    said = []
    for look, one in zip(LOOKS, found.fits, strict=False):
        radius = _PER_MILLE * np.exp(one.ln_radius)
        sides = np.array([radius * one.ln_radius_error, one.ln_scale_error])
        label = "image alone" if one.prior is None else "R0 of all images as prior"
        for axes in (left, right):
            axes.plot(radius, one.ln_scale, **{**look.points(), **_NO_LINE}, label=label)
        _ellipse(left, (radius, one.ln_scale), sides, one.correlation, look.color)
        said.append(
            f"{label}: R0 {with_error(radius, float(sides[0]))}/1000 angstrom, ln G "
            f"{with_error(one.ln_scale, one.ln_scale_error)}, correlation {one.correlation:.2f}"
        )
    widest = max(found.fits, key=lambda one: one.ln_radius_error)
    middle = _PER_MILLE * np.exp(widest.ln_radius)
    left.set_xlim(middle * (1 - 4 * widest.ln_radius_error), middle * (1 + 4 * widest.ln_radius_error))
    left.set_ylim(widest.ln_scale - 4 * widest.ln_scale_error, widest.ln_scale + 4.6 * widest.ln_scale_error)
    right.plot(_PER_MILLE * np.array(found.held), found.ln_scale, **LOOKS[2].line(), label="R0 held")
    for axes in (left, right):
        axes.set(xlabel=r"R0 ($10^{-3}\ \mathrm{\AA}^{-1}$)", ylabel="ln G (1)")
    left.legend(loc="upper right")
    right.legend(loc="upper right")
    name_panels([left, right], ["one standard error, and 95 %", "with R0 held"])
    prior = found.fits[-1].prior
    known = "" if prior is None else f" The prior is what all images together tell of R0, {100 * prior:.2g} %."
    return Picture(
        figure,
        f"R0 and ln G of one image with {found.spots} spots. {'; '.join(said)}.{known} Right: ln G that is found where "
        f"R0 is held, from {found.ln_scale[0]:.2f} at {_PER_MILLE * found.held[0]:.2f} to {found.ln_scale[-1]:.2f} at "
        f"{_PER_MILLE * found.held[-1]:.2f}/1000 angstrom: a wrong R0 is a wrong scale.",
    )


def _ellipse(axes: Axes, at: tuple[float, float], sides: np.ndarray, related: float, colour: str) -> None:
    """Contours of a normal law of two numbers: one standard error, and 95 %."""
    covariance = np.array([[1.0, related], [related, 1.0]]) * np.outer(sides, sides)
    unit = covariance / np.outer(sides, sides)
    values, vectors = np.linalg.eigh(unit)
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * np.stack([np.cos(angle), np.sin(angle)]))
    for factor, style in ((1.0, "-"), (2.448, "--")):
        axes.plot(
            at[0] + factor * sides[0] * circle[0], at[1] + factor * sides[1] * circle[1], style, color=colour, lw=1
        )


@styled
def geometry(evaluation: Evaluation) -> Picture:
    """Draw centroids less predictions on the detector, before and after the orientation was fitted."""
    found = of(evaluation).geometry
    at = np.array([one.at for one in found.shifts])
    figure = new_figure(TWO_COLUMNS, 2.5)
    panels = list(figure.subplots(1, 3))
    before, after = (np.array([getattr(one, name) for one in found.shifts]) for name in ("before", "after"))
    length = float(np.quantile(np.linalg.norm(before, axis=1), 0.9))
    for axes, shift in zip(panels, (before, after), strict=False):
        axes.quiver(
            *at.T, *shift.T, angles="xy", scale_units="xy", scale=length / (0.11 * found.size), width=0.007,
            color=LOOKS[0].color,
        )  # fmt: skip
        axes.set(xlim=(0, found.size), ylim=(found.size, 0), aspect="equal", xlabel="column (pixel)")
    panels[0].set(ylabel="row (pixel)")
    limit = 1.4 * float(np.abs(before).max())
    for look, shift, label in ((LOOKS[1], before, "as told"), (LOOKS[0], after, "fitted")):
        panels[2].plot(*shift.T, **{**look.points(), **_NO_LINE}, markersize=2.5, label=label)
    panels[2].set(
        xlim=(-limit, limit), ylim=(limit, -limit), aspect="equal", xlabel="columns (pixel)", ylabel="rows (pixel)"
    )
    panels[2].legend(loc="upper left")
    name_panels(panels, ["as told", "fitted", "both"])
    sizes = [float(np.sqrt(np.mean(np.sum(one**2, axis=1)))) for one in (before, after)]
    said = ", ".join(f"{left:.4f} +- {error:.4f}" for left, error in zip(found.left, found.errors, strict=True))
    return Picture(
        figure,
        f"Centroids less predicted places of {len(found.shifts)} bright spots of an image whose crystal was told "
        f"{found.turned:.2f} degree wrong; the arrows of both maps have one scale. Rms {sizes[0]:.3f} pixel as told, "
        f"{sizes[1]:.3f} after pixels and partialities have turned it. What is left, about x, y and the beam: {said} "
        "degree (errors as stated).",
    )
