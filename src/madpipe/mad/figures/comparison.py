"""Figures of the methods beside one another: errors, calibration and what is new to a network; and the ablation."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.base.plotting import (
    LOOKS,
    REFERENCE,
    TWO_COLUMNS,
    Keywords,
    Look,
    Picture,
    name_panels,
    new_figure,
    styled,
)
from madpipe.mad.figures.picture import FIT_LOOK, IN_WORDS, NETWORK_LOOK, SYMBOLS
from madpipe.mad.figures.quality import shell_centre
from madpipe.mad.limits import CELL
from madpipe.mad.scores.coverage import DUE, shell_in_words, worst_of
from madpipe.mad.scores.records import ComparedScore, PooledScore, SetScores, SuiteScores
from madpipe.mad.scores.suite.scores import LEVELS, SHELL_EDGES, compare

_METHODS = {  # in the order of the key
    "exact": ("exact fit", FIT_LOOK),
    "network_refined": ("refined network", NETWORK_LOOK),
    "network": ("network's prediction", LOOKS[4]),
    "unet_patches": ("U-Net on patches", LOOKS[3]),
    "nanomad": ("nanomad", LOOKS[2]),
}
_USUAL, _OURS = "exact", "network_refined"
_MODULI = ("F_A", "F_N", "F_T")
_QUANTITIES = (*_MODULI, "delta_phi")  # the moduli first: they share an axis
_SETS = ("reference", "energies", "elements", "disturbed", "volumes", "hard", "hard_volumes")
_LOOKS_OF_SETS = (*LOOKS, Look("0.35", "X", "-"))
_UNSEEN = ("energies", "elements")
_FEWEST = 10  # points in a shell; what fewer say is not worth a mark
_COUNTS = "expected counts (photon)"
_INTERVALS = {"coverage_68": "68.3 % interval", "coverage_95": "95 % interval"}
_TOLERATED = 0.03  # deviation of a coverage [1]
_GREY = Look("0.6", "", "-")
_NOT_SCORED = SetScores((), (), (), ())


@styled
def suite_errors(comparisons: Sequence[SuiteScores]) -> Picture:
    """Draw rms and median errors over rms truth (radian for Delta_phi) against photons per point and energy, log-log.

    One line per method, pooled over the particles of the ``reference`` set, with standard errors over particles;
    dotted is the Cramer-Rao bound. Where photons are few, outliers carry the rms and the medians tell of the rest.

    Parameters
    ----------
    comparisons:
        Scores of each method, from :func:`madpipe.mad.scores.suite.scores.score_suite`.
    """
    results = _by_method(comparisons)
    figure = new_figure(TWO_COLUMNS, 4.2)
    panels = figure.subplots(2, len(_QUANTITIES), sharex=True)
    for axes, statistic in zip(panels, ("rms error", "median error"), strict=True):
        _prepare(list(axes), statistic)
    for column, quantity in enumerate(_QUANTITIES):
        for method, result in results.items():
            _draw_errors(list(panels[:, column]), shell_rows(result, "reference", quantity), _METHODS[method][1])
        if results:
            bounds = shell_rows(next(iter(results.values())), "reference", quantity)
            centres = [shell_centre(row) for row in bounds]
            panels[0, column].plot(centres, [row.relative_bound for row in bounds], **REFERENCE.dash(), zorder=3)
    for axes in panels[-1]:
        axes.set_xlabel(_COUNTS)
    panels[0, -1].axhline(UNKNOWN_PHASE, color="0.6", linewidth=0.7)
    name_panels(list(panels.flat), 2 * [SYMBOLS[quantity] for quantity in _QUANTITIES])
    keys = [Line2D([], [], **_METHODS[method][1].line(), label=_METHODS[method][0]) for method in results]
    keys.append(Line2D([], [], **REFERENCE.dash(), label="Cramer-Rao bound"))
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 4))
    return Picture(figure, _errors_caption(results))


def shell_rows(result: SuiteScores, suite_set: str, quantity: str) -> list[PooledScore]:
    """Rows of one quantity with enough points and a truth that does not vanish; none where the set was not scored."""
    own = (
        row
        for row in result.sets.get(suite_set, _NOT_SCORED).rows
        if row.quantity == quantity and row.points >= _FEWEST
    )
    return [row for row in own if row.relative_rms is not None]  # as it is where the truth vanishes


def _by_method(comparisons: Sequence[SuiteScores]) -> dict[str, SuiteScores]:
    """Scores by method, in the order of the key."""
    given = {result.method: result for result in comparisons}
    return {method: given[method] for method in _METHODS if method in given}


def _draw_errors(panels: Sequence[Axes], rows: Sequence[PooledScore], look: Look) -> None:
    """One method's rms with standard errors above, its medians below."""
    centres = [shell_centre(row) for row in rows]
    errors = [row.relative_rms_standard_error or 0.0 for row in rows]
    panels[0].errorbar(centres, [row.relative_rms for row in rows], errors, **look.line(), linewidth=0.8)
    missed = [row for row in rows if row.rms_error]  # an error of zero has no place on a logarithmic axis
    medians = [row.median_error * row.relative_rms / row.rms_error for row in missed]
    panels[1].plot([shell_centre(row) for row in missed], medians, **look.line(), linewidth=0.8)


def _prepare(panels: Sequence[Axes], statistic: str) -> None:
    """Scales and labels of a row of panels, of which the moduli share their axis."""
    for axes in panels[1:-1]:
        axes.sharey(panels[0])
        axes.tick_params(labelleft=False)
    for axes in panels:
        axes.set(xscale="log", yscale="log")
        axes.grid(visible=True)
    panels[0].set_ylabel(f"{statistic} / rms truth (1)")
    panels[-1].set_ylabel(f"{statistic} (rad)")


def _errors_caption(results: Mapping[str, SuiteScores]) -> str:
    """Relative rms of |F_N| by shell for the exact fit and the refined network, and their ratio."""
    words = [
        "Rms and median error over rms truth (radian for Delta phi) against expected photons per point and energy, "
        "pooled over the particles of the reference set; bars: standard errors over particles; dotted: Cramer-Rao "
        f"bound of a point by itself; grey: rms of a phase of which nothing is known, {UNKNOWN_PHASE:.2f} rad."
    ]
    for method in (method for method in (_USUAL, _OURS) if method in results):
        rows = shell_rows(results[method], "reference", "F_N")
        found = (f"{shell_in_words(row)}: {_number(row, 'relative_rms')}" for row in rows)
        words.append(f"Relative rms error of |F_N|, {_METHODS[method][0]}, by shell of photons: {'; '.join(found)}.")
    ratios = _ratios(results, "reference", "F_N")
    if ratios:
        found = (f"{shell_in_words(row)}: {_number(row, 'rms_ratio')}" for row in ratios)
        words.append(f"Refined network over exact fit, on the particles that both answer: {'; '.join(found)}.")
    return " ".join(words)


def _ratios(
    results: Mapping[str, SuiteScores], suite_set: str, quantity: str, alike: str | None = None
) -> list[ComparedScore]:
    """Rms error of the refined network over the exact fit's by shell; of compositions alone that another set has."""
    if not {_USUAL, _OURS} <= results.keys() or suite_set not in results[_OURS].sets:
        return []
    scored = results[_OURS].sets[suite_set]
    if alike is not None:
        wanted = {stack.composition for stack in results[_OURS].sets[alike].stacks}
        scored = replace(scored, stacks=tuple(stack for stack in scored.stacks if stack.composition in wanted))
    ours = replace(results[_OURS], sets={suite_set: scored})
    rows = (row for row in compare({_USUAL: results[_USUAL], _OURS: ours}) if row.quantity == quantity)
    return [row for row in rows if row.points >= _FEWEST and row.rms_ratio is not None]


def _number(row: PooledScore | ComparedScore, name: str, scale: float = 1.0, form: str = ".3g") -> str:
    """A number and its standard error, where one is known."""
    value, error = getattr(row, name), getattr(row, f"{name}_standard_error")
    return f"{scale * value:{form}}" + (f" +- {scale * error:.2g}" if error is not None else "")


@styled
def calibration(comparisons: Sequence[SuiteScores]) -> Picture:
    """Draw how far the shares of points within stated intervals are from what is due, and the coverage by photons.

    Above, observed less nominal share [%] against the nominal one, a line per shell of photons of the refined network,
    which states the intervals of 68.3 and 95 %; half widths between them are interpolated, and those below shrink with
    the first (:func:`madpipe.mad.scores.coverage.half_width`). Below, the shares within the two [%]. Grey: the exact
    fit; the band is 3 points wide to either side. Reference set.
    """
    results = _by_method(comparisons)
    figure = new_figure(TWO_COLUMNS, 4.4)
    panels = figure.subplots(2, len(_QUANTITIES), sharex="row", sharey="row")
    keys = {
        label: Line2D([], [], **look.line(), label=label)
        for label, look in zip(_INTERVALS.values(), LOOKS, strict=False)
    }
    for column, quantity in enumerate(_QUANTITIES):
        panels[0, column].axhspan(-100 * _TOLERATED, 100 * _TOLERATED, color="0.93", zorder=0)
        for method in (method for method in (_USUAL, _OURS) if method in results):
            keys |= _draw_reliability(panels[0, column], results[method], quantity, method == _OURS)
            _draw_coverage(panels[1, column], shell_rows(results[method], "reference", quantity), method == _OURS)
        for interval in _INTERVALS:
            band = (100 * (DUE[interval] - _TOLERATED), 100 * (DUE[interval] + _TOLERATED))
            panels[1, column].axhspan(*band, color="0.93", zorder=0)
        panels[0, column].set(xlabel="nominal share (%)", xlim=(15, 98))
        panels[1, column].set(xscale="log", xlabel=_COUNTS)
    panels[0, 0].set_ylabel("observed less nominal share (%)")
    panels[1, 0].set_ylabel("share within the interval (%)")
    name_panels(list(panels.flat), 2 * [SYMBOLS[quantity] for quantity in _QUANTITIES])
    figure.legend(handles=list(keys.values()), loc="outside lower center", ncols=5)
    return Picture(figure, _calibration_caption(results))


def _draw_reliability(axes: Axes, result: SuiteScores, quantity: str, coloured: bool) -> dict[str, Line2D]:
    """Observed less nominal share by shell; returns a line for each entry of the key."""
    wanted = {row.shell_low for row in shell_rows(result, "reference", quantity)}
    known = result.sets.get("reference", _NOT_SCORED).reliability
    entries = [one for one in known if one.quantity == quantity and one.shell_low in wanted]
    keys = {}
    for entry in entries:
        nominal = np.array([math.erf(level / math.sqrt(2)) for level in entry.levels])
        look, label = _GREY, "exact fit"
        if coloured:
            look, label = shell_look(entry.shell_low), f"{shell_in_words(entry)} photons"
        values = 100 * (np.array(entry.shares) - nominal)
        style: Keywords = {"markersize": 2.5, "linewidth": 0.9 if coloured else 0.6}
        (keys[label],) = axes.plot(100 * nominal, values, **look.line(), **style, label=label)
    return keys


def shell_look(low: float) -> Look:
    """Look of the shell that starts at these photons: the more, the lighter."""
    number = bisect_right(SHELL_EDGES, low) - 1
    colour = mpl.colors.to_hex(mpl.colormaps["viridis"](0.14 * number))
    return Look(colour, LOOKS[number % len(LOOKS)].marker, "-")


def _draw_coverage(axes: Axes, rows: Sequence[PooledScore], coloured: bool) -> None:
    """Shares within the stated intervals against photons."""
    for name, look in zip(_INTERVALS, LOOKS[:2], strict=True):
        look = look if coloured else _GREY
        errors = [100 * (getattr(row, f"{name}_standard_error") or 0.0) for row in rows]
        values = [100 * getattr(row, name) for row in rows]
        axes.errorbar([shell_centre(row) for row in rows], values, errors, **look.line(), linewidth=0.8)


def _calibration_caption(results: Mapping[str, SuiteScores]) -> str:
    """Where the coverages of each method are farthest from nominal, on every set that it was scored on."""
    words = [
        "Observed less nominal share of points within intervals of "
        f"{LEVELS[0]:g} to {LEVELS[-1]:g} standard errors, by shell of photons, and the shares within those of 68.3 "
        "and 95 % against photons, refined network on the reference set; it states these two, and between them half "
        f"widths are interpolated; grey: exact fit; band: {100 * _TOLERATED:.0f} points."
    ]
    for method in (method for method in (_OURS, _USUAL) if method in results):
        sets = [name for name in _SETS if name in results[method].sets]
        found = [words_of for name in sets if (words_of := _worst(results[method], name))]
        if found:
            known = f"of the shells of {CELL} points or more"
            words.append(f"Farthest from nominal {known}, {_METHODS[method][0]}: {'; '.join(found)}.")
    return " ".join(words)


def _worst(result: SuiteScores, suite_set: str) -> str:
    """Shell and quantity whose coverage is farthest from nominal, for each of the two intervals."""
    every = [row for quantity in _QUANTITIES for row in shell_rows(result, suite_set, quantity)]
    words = []
    for name in _INTERVALS:
        row = worst_of(every, name)
        if row is None:
            continue
        share, where = _number(row, name, 100.0, ".1f"), f"{IN_WORDS[row.quantity]}, {shell_in_words(row)} photons"
        words.append(f"{share} % instead of {100 * DUE[name]:.1f} % ({where})")
    return f"{suite_set}, {' and '.join(words)}" if words else ""


@styled
def generalisation(comparisons: Sequence[SuiteScores]) -> Picture:
    """Draw the refined network's rms error over the exact fit's [1] against photons, a line per set of the test suite.

    Panels for |F_N| and |F_A|; standard errors over particles, which both methods answer.
    """
    results = _by_method(comparisons)
    figure = new_figure(TWO_COLUMNS, 2.9)
    panels = list(figure.subplots(1, 2, sharex=True, sharey=True))
    ratios = {quantity: {name: _ratios(results, name, quantity) for name in _SETS} for quantity in ("F_N", "F_A")}
    for axes, (quantity, by_set) in zip(panels, ratios.items(), strict=True):
        for number, (name, look) in enumerate(zip(_SETS, _LOOKS_OF_SETS, strict=True)):
            _draw_ratios(axes, by_set[name], look, name, 1.08 ** (number - len(_SETS) // 2))
        axes.axhline(1.0, **REFERENCE.dash(), linewidth=0.9)
        axes.set(xscale="log", xlabel="expected photons per point and energy (photon)")
        axes.set_ylabel(f"rms error of {SYMBOLS[quantity]}, network / exact (1)")
        axes.grid(visible=True)
    panels[0].set_ylim(bottom=0.0)
    name_panels(panels, [SYMBOLS[quantity] for quantity in ratios])
    keys = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=4)
    return Picture(figure, _generalisation_caption(results, ratios))


def _draw_ratios(axes: Axes, rows: Sequence[ComparedScore], look: Look, label: str, shift: float) -> None:
    """Ratios of one set, shifted along the photons so that error bars stand beside one another."""
    if rows:
        centres = [shift * shell_centre(row) for row in rows]
        errors = [row.rms_ratio_standard_error or 0.0 for row in rows]
        axes.errorbar(centres, [row.rms_ratio for row in rows], errors, **look.line(), linewidth=0.8, label=label)


def _generalisation_caption(
    results: Mapping[str, SuiteScores], ratios: Mapping[str, Mapping[str, list[ComparedScore]]]
) -> str:
    """Ratios of every set and shell, and what unseen energies and elements cost of the gain."""
    words = [
        "Rms error of the refined network over the exact fit's, against expected photons per point and energy, by set "
        "of the test suite (points shifted sideways for clarity); bars: standard errors over particles."
    ]
    for quantity, by_set in ratios.items():
        for name, rows in by_set.items():
            if rows:
                found = "; ".join(f"{shell_in_words(row)}: {_number(row, 'rms_ratio')}" for row in rows)
                words.append(f"{IN_WORDS[quantity]}, {name}, by shell of photons: {found}.")
    return " ".join([*words, *filter(None, (_lost_gain(results, name) for name in _UNSEEN))])


def _lost_gain(results: Mapping[str, SuiteScores], suite_set: str) -> str:
    """Share of the gain, 1 less the ratio, that a set loses against reference particles of its own compositions."""
    own = {row.shell_low: row for row in _ratios(results, suite_set, "F_N")}
    usual = {row.shell_low: row for row in _ratios(results, "reference", "F_N", alike=suite_set)} if own else {}
    shells = own.keys() & usual.keys()
    if not shells:
        return ""
    gains, variances = zip(*(_gain([rows[shell] for shell in shells]) for rows in (own, usual)), strict=True)
    if gains[1] <= 0:
        return f"Mean gain in |F_N| of the set {suite_set}: {gains[0]:.3f}; the reference has none to lose."
    share = gains[0] / gains[1]
    error = math.hypot(math.sqrt(variances[0]), share * math.sqrt(variances[1])) / gains[1]
    return (
        f"Gain in |F_N|, 1 less the ratio in the mean over {len(shells)} shells: {suite_set} {gains[0]:.3f}, reference "
        f"particles of the same compositions {gains[1]:.3f}: the unseen {suite_set} lose {100 * (1 - share):.0f} +- "
        f"{100 * error:.0f} % of it{' (below 0: nothing lost)' if share > 1 else ''}."
    )


def _gain(rows: Sequence[ComparedScore]) -> tuple[float, float]:
    """Mean of 1 less the ratio, and its variance."""
    errors = [row.rms_ratio_standard_error or 0.0 for row in rows]
    mean = sum(1 - row.rms_ratio for row in rows) / len(rows)
    return mean, sum(error**2 for error in errors) / len(rows) ** 2
