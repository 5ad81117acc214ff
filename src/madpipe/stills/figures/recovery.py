"""Figures of the search in pixels: methods side by side, their courses, reach and errors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.plotting import (
    LOOKS,
    REFERENCE,
    TWO_COLUMNS,
    Look,
    Picture,
    name_panels,
    new_figure,
    styled,
)
from madpipe.stills.network.records import StartScore
from madpipe.stills.scores.records import Evaluation
from madpipe.stills.scores.recovery import RECOVERED, MethodScore, RadiusScore, TrialScore

_NO_LINE = {"linestyle": ""}
_NAMES = {
    "adam": "Adam (original)",
    "adam-long": "Adam, 1000 steps",
    "marquardt": "Marquardt",
    "low-angles": "low angles first",
    "starts": "8 starts",
    "network": "network",
}
_FLOOR = 1e-7  # degree, at which a difference is drawn that is smaller
_CRITERIA = {"misset": 1.0, "spread": 0.1}  # the original's tolerances [degree]


def timed(seconds: float | None) -> str:
    """How long it took, where that was noted."""
    return "" if seconds is None else f", {seconds:.2g} s"


def look_of(method: str) -> Look:
    """The same look for a method in each figure."""
    return LOOKS[list(_NAMES).index(method) % len(LOOKS)]


@styled
def methods(evaluation: Evaluation) -> Picture:
    """Draw found less true of each number by each method: in the original's setting, and with the quadrature."""
    figure = new_figure(TWO_COLUMNS, 3.2)
    left, right, last = figure.subplots(1, 3, width_ratios=(1.35, 1.35, 1))
    sets = ((left, evaluation.same_domains), (right, evaluation.methods))
    for axes, rows in sets:
        _differences(axes, rows)
    left.set(ylabel="found less true (degree)")
    handles, labels = _handles(left, right)
    figure.legend(handles=handles, labels=labels, loc="outside lower center", ncols=5)
    used = {row.method for _, rows in sets for row in rows}
    shown = [name for name in _NAMES if name in used]
    for shift, (_, rows), look in zip((-0.2, 0.2), sets, (LOOKS[5], LOOKS[0]), strict=True):
        evaluations = {row.method: row.evaluations for row in rows}
        place = [shown.index(name) + shift for name in evaluations]
        last.barh(place, list(evaluations.values()), height=0.38, color=look.color)
    last.set(xscale="log", xlabel="evaluations", ylim=(len(shown) - 0.4, -0.6), xlim=(5, None))
    last.set_yticks(range(len(shown)), [_NAMES[name] for name in shown])
    titles = ["five domains, in data and model", "quadrature of the law", "cost"]
    name_panels([left, right, last], titles)
    return Picture(
        figure,
        "Demo of 64 x 64 pixels without noise: missetting angles and mosaic spread by each method from the original's "
        "start, found less true, logarithmic beyond 0.001 degree; bars on the points: stated errors at the image's own "
        "photons; grey: the original's own tolerances. (a) five random domains make the data and explain them, as in "
        f"the original: {_said(evaluation.same_domains)}. (b) The law's quadrature does: {_said(evaluation.methods)}. "
        "(c) Evaluations, of (a) in light blue, of (b) in blue.",
    )


def _differences(axes: Axes, rows: Sequence[MethodScore]) -> None:
    """Differences of one set, methods beside one another."""
    parameters = list(dict.fromkeys(row.parameter for row in rows))
    order = list(dict.fromkeys(row.method for row in rows))
    for number, parameter in enumerate(parameters):
        tolerance = _CRITERIA["spread" if parameter == "spread" else "misset"]
        axes.fill_between([number - 0.45, number + 0.45], -tolerance, tolerance, color="0.92", lw=0)
    axes.axhline(0.0, **REFERENCE.dash())
    for at, method in enumerate(order):
        mine = {row.parameter: row for row in rows if row.method == method}
        place = [parameters.index(name) + 0.5 * (at - (len(order) - 1) / 2) / max(len(order) - 1, 1) for name in mine]
        off = [row.found - row.truth for row in mine.values()]
        error = [row.error for row in mine.values()]
        axes.errorbar(place, off, error, **{**look_of(method).points(), **_NO_LINE}, label=_NAMES[method])
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(-10, 40)
    axes.set_yticks([-10, -1, -0.1, -0.01, 0, 0.01, 0.1, 1, 10])
    axes.set_yticklabels(["-10", "-1", "-0.1", "-0.01", "0", "0.01", "0.1", "1", "10"])
    axes.set_xticks(range(len(parameters)), [name.removeprefix("misset_") for name in parameters])
    axes.set(xlabel="missetting angles and spread")


def _handles(*panels: Axes) -> tuple[list[Any], list[str]]:
    """Legend of all methods, each once."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


def _said(rows: Sequence[MethodScore]) -> str:
    """Largest misset and spread errors of each method, with its cost."""
    said = []
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        misset = max(abs(row.found - row.truth) for row in mine if row.parameter != "spread")
        [spread] = [row for row in mine if row.parameter == "spread"]
        said.append(
            f"{_NAMES[method]} misset within {misset:.2g}, spread {spread.found:.4g} for {spread.truth:g} degree in "
            f"{mine[0].evaluations} evaluations{timed(mine[0].seconds)}"
        )
    return "; ".join(said)


@styled
def courses(evaluation: Evaluation) -> Picture:
    """Draw loss, orientation and spread against the evaluation of each search in the demo's own setting."""
    figure = new_figure(TWO_COLUMNS, 2.5)
    panels = list(figure.subplots(1, 3))
    said = []
    for one in evaluation.traces:
        look, at = look_of(one.method), np.arange(1, len(one.loss) + 1)
        every = {**look.line(), "markevery": max(1, len(at) // 12)}
        panels[0].plot(at, np.maximum(one.loss, 1e-16), **every, label=_NAMES[one.method])
        panels[1].plot(at, np.maximum(one.orientation, _FLOOR), **every)
        panels[2].plot(at, one.spread, **every)
        said.append(
            f"{_NAMES[one.method]} ends after {len(at)} with a loss of {one.loss[-1]:.2g}, {one.orientation[-1]:.2g} "
            f"degree from the orientation, spread {one.spread[-1]:.4g} degree"
        )
    truth = next((row.truth for row in evaluation.same_domains if row.parameter == "spread"), None)
    if truth is not None:
        panels[2].axhline(truth, **REFERENCE.dash())
    panels[0].axhline(0.1, **REFERENCE.dash())
    panels[0].set(yscale="log", ylabel="loss over that of the start (1)")
    panels[1].set(yscale="log", ylabel="rotation from the truth (degree)")
    panels[2].set(ylabel="mosaic spread (degree)", ylim=(0, None))
    for axes in panels:
        axes.set(xlabel="evaluation", xscale="log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    name_panels(panels, ["mean square difference", "orientation", "spread"])
    return Picture(
        figure,
        "Courses of the searches in the original demo's setting, five random domains in data and model, without noise; "
        "the search that begins with low angles sees few pixels first, and tries the twin of what it found, a jump, "
        "before it ends. Lines: a loss ten times down, "
        f"the original's own criterion, and the true spread. {'; '.join(said)}.",
    )


@styled
def convergence(evaluation: Evaluation) -> Picture:
    """Draw the share of trials in which each method finds the truth: starts turned from it, crystals turned away."""
    figure = new_figure(TWO_COLUMNS, 2.6)
    panels = list(figure.subplots(1, 2, sharey=True))
    said = [_shares(panels[0], evaluation.radii), _shares(panels[1], evaluation.starts)]
    panels[0].set(xlabel="rotation of the start from the truth (degree)", ylabel="recovered (%)", ylim=(-5, 105))
    panels[1].set(xlabel="rotation of the crystal from upright (degree)")
    for axes in panels:
        axes.legend(loc="lower left")
    name_panels(panels, ["starts away from the demo's crystal", "crystals away from the told one"])
    return Picture(
        figure,
        f"Share of trials in which a method finds all four numbers of the demo within {RECOVERED:g} degree, without "
        "noise, turned about axes at random; bars: binomial standard errors. (a) Starts turned from the demo's "
        f"crystal: {said[0]}. (b) Crystals turned from the upright one that is told, spreads of 0.3 to 1.2 degree; the "
        f"network's answer is one start: {said[1]}.{_alone(evaluation)}",
    )


def _shares(axes: Axes, rows: Sequence[RadiusScore] | Sequence[StartScore]) -> str:
    """Shares that were recovered against the offset, and the numbers of trials in words."""
    said = []
    order = list(dict.fromkeys(row.method for row in rows))
    for number, method in enumerate(order):
        mine = sorted((row for row in rows if row.method == method), key=lambda row: row.offset)
        offset = np.array([row.offset for row in mine]) + 0.12 * (number - (len(order) - 1) / 2)
        share = 100 * np.array([row.recovered / row.trials for row in mine])
        error = 100 * np.array([row.share_error for row in mine])
        bars = np.clip(np.stack([np.minimum(error, share), np.minimum(error, 100 - share)]), 0, None)
        axes.errorbar(offset, share, bars, **look_of(method).line(), label=_NAMES[method], capsize=2)
        counts = ", ".join(f"{row.recovered}/{row.trials} at {row.offset:g}" for row in mine)
        evaluations = np.mean([row.evaluations for row in mine])
        said.append(f"{_NAMES[method]} {counts} degree in {evaluations:.0f} evaluations")
    axes.set_xlim(0, 1.1 * max((row.offset for row in rows), default=1.0))
    return "; ".join(said)


def _alone(evaluation: Evaluation) -> str:
    """What the network says without a search, in words."""
    said = [
        f"{row.photons:.0e} photons on {row.background:g} a pixel: turn {row.turn_rms:.2g}, spread "
        f"{row.spread_rms:.2g} degree rms, {100 * row.within[0]:.0f} and "
        f"{100 * row.within_spread[0]:.0f} % within the stated error"
        for row in evaluation.network
    ]
    if not said:
        return ""
    return f" The network alone, {evaluation.network[0].images} counted images each (68 % expected): {'; '.join(said)}."


@styled
def other_domains(evaluation: Evaluation) -> Picture:
    """Draw the spread that the quadrature finds in images of other domains against what these really have."""
    figure = new_figure(TWO_COLUMNS, 2.6)
    left, right = figure.subplots(1, 2)
    rows: Sequence[TrialScore] = evaluation.trials
    spread = np.array([row.spread for row in rows])
    off = np.array([row.spread_error for row in rows])
    turned = np.array([row.orientation_error for row in rows])
    ends = np.array([0.9 * spread.min(), 1.1 * spread.max()])
    left.plot(ends, ends, **REFERENCE.dash())
    left.plot(spread, spread + off, **{**LOOKS[0].points(), **_NO_LINE}, label="1500 domains at random")
    noisy = evaluation.noisy
    if noisy:
        true = np.array([row.spread for row in noisy])
        sd = np.array([abs(row.spread_error / row.pulls[3]) if row.pulls and row.pulls[3] else 0.0 for row in noisy])
        left.errorbar(
            true,
            true + [row.spread_error for row in noisy],
            sd,
            **{**LOOKS[1].points(), **_NO_LINE},
            label="with counts",
        )
    left.set(xlabel="spread of the domains (degree)", ylabel="spread found (degree)")
    left.legend(loc="upper left")
    right.axvline(0.0, **REFERENCE.dash())
    right.plot(1e3 * off, 1e3 * turned, **{**LOOKS[0].points(), **_NO_LINE})
    right.set(xlabel="spread found less realised (0.001 degree)", ylabel="orientation error (0.001 degree)")
    right.set_ylim(0, 1.2e3 * max(float(turned.max()), 1e-3))
    widest = 1.3e3 * max(float(np.abs(off).max()), 1e-3)
    right.set_xlim(-widest, widest)
    name_panels([left, right], ["spread", "errors without noise"])
    return Picture(
        figure,
        f"Images of other domains than those of the model: {len(rows)} images without noise of 1500 random domains "
        "each, explained by the law's quadrature from starts 1 to 6 degree off. Realised spread: rms rotation of the "
        f"domains about their mean. Largest difference of the spread {np.abs(off).max():.4f} degree, of the "
        f"orientation {turned.max():.4f} degree. Squares: {len(noisy)} counted images with stated errors.",
    )


@styled
def pulls(evaluation: Evaluation) -> Picture:
    """Draw errors over stated errors of noisy images, and errors against the stated ones."""
    figure = new_figure(TWO_COLUMNS, 2.6)
    left, right = figure.subplots(1, 2)
    values = np.array([row.pulls for row in evaluation.noisy])
    edges = np.linspace(-4, 4, 17)
    left.hist(np.clip(values.ravel(), -4, 4), bins=edges.tolist(), density=True, color=LOOKS[0].color, alpha=0.5)
    line = np.linspace(-4, 4, 200)
    left.plot(line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi), **REFERENCE.dash(), label="unit normal law")
    left.set(xlabel="error over stated error (1)", ylabel="density (1)", xlim=(-4.3, 4.3))
    left.set_ylim(0, 1.3 * max(left.get_ylim()[1], 0.4))
    left.legend(loc="upper right")
    error = np.array([row.spread_error for row in evaluation.noisy])
    stated = np.abs(error / np.where(values[:, 3] == 0, np.nan, values[:, 3]))
    spread = np.array([row.spread for row in evaluation.noisy])
    right.axhline(0.0, **REFERENCE.dash())
    right.errorbar(spread, error, stated, **{**LOOKS[0].points(), **_NO_LINE}, capsize=2)
    right.set(xlabel="spread (degree)", ylabel="spread found less true (degree)")
    name_panels([left, right], [f"{values.size} pulls", "spread with Cramer-Rao errors"])
    found = evaluation.pulls
    return Picture(
        figure,
        f"Errors of rotation vector and spread over stated errors, which are the Cramer-Rao bound at the fit, of "
        f"{found.trials} counted images ({found.numbers} numbers): mean {found.mean:.2f} +- "
        f"{1 / np.sqrt(found.numbers):.2f}, standard deviation {found.deviation:.2f} +- "
        f"{1 / np.sqrt(2 * found.numbers):.2f}, beyond 1.96 {100 * found.outside:.0f} % (5 % expected). Right: spread "
        f"found less true; stated errors {np.nanmin(stated):.3f} to {np.nanmax(stated):.3f} degree.",
    )
