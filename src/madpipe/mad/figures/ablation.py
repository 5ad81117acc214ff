"""Figure of the ablation: what each variant of the training costs or gains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from madpipe.base.plotting import REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.mad.figures.comparison import shell_look
from madpipe.mad.figures.picture import FIT_LOOK, SYMBOLS
from madpipe.mad.network.variants import BASE
from madpipe.mad.scores.coverage import shell_in_words
from madpipe.mad.scores.records import AblationRow

_JUDGED = 2.0  # standard errors that tell a ratio from 1


@dataclass(frozen=True)
class _Shell:
    """A shell of expected photons per point and energy."""

    shell_low: float
    shell_high: float


@styled
def ablation(table: Sequence[AblationRow]) -> Picture:
    """Draw the error of each variant over that of the network as it is [1]: overall, and of |F_N| by shell of photons.

    Parameters
    ----------
    table:
        Rows of :func:`madpipe.mad.network.ablation.table`, the best variant first; bars are standard errors over
        trainings.
    """
    figure = new_figure(TWO_COLUMNS, 1.2 + 0.19 * len(table))
    overall, shells = figure.subplots(1, 2, sharey=True)
    places = range(len(table))
    errors = [row.overall_error for row in table]
    overall.errorbar([row.overall for row in table], places, xerr=errors, **FIT_LOOK.points(), linestyle="")
    for column, shell in _shells_of(table).items():
        known = [(row.ratios[column], place) for place, row in enumerate(table) if column in row.ratios]
        look = {**shell_look(shell.shell_low).points(), "markersize": 3.0}
        shells.plot(*zip(*known, strict=True), **look, linestyle="", label=f"{shell_in_words(shell)} photons")
    for axes, label in ((overall, "error of all"), (shells, f"rms error of {SYMBOLS['F_N']}")):
        axes.axvline(1.0, **REFERENCE.dash(), linewidth=0.9)
        axes.set(xscale="log", xlabel=f"{label} / base (1)")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # ratios seldom span a decade
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True)
    overall.set_yticks(places, [row.variant for row in table])
    overall.invert_yaxis()
    name_panels([overall, shells], ["all shells, both moduli", f"{SYMBOLS['F_N']} by shell"])
    figure.legend(*shells.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Picture(figure, _ablation_caption(table))


def _shells_of(table: Sequence[AblationRow]) -> dict[str, _Shell]:
    """Columns of |F_N| and the shells of photons that they stand for, the darkest first."""
    every = {name for row in table for name in row.ratios}
    names = {name for name in every if name.startswith("f_normal ") and not name.endswith(" error")}
    shells = {name: _Shell(*map(float, name.removeprefix("f_normal ").split("-"))) for name in names}
    return dict(sorted(shells.items(), key=lambda item: item[1].shell_low))


def _ablation_caption(table: Sequence[AblationRow]) -> str:
    """Every ratio, by what can be said of it."""
    words = [
        "Error of each variant of the training over that of the network as it is, geometric mean over shells, |F_A| "
        f"and |F_N|, with standard errors over trainings, and the range of |F_N| over shells; no difference: within "
        f"{_JUDGED:.0f} standard errors of 1."
    ]
    columns = _shells_of(table)
    verdicts: dict[str, list[str]] = {}
    for row in table:
        error = f" +- {row.overall_error:.2g}" if row.trainings > 1 else ", one training"
        ratios = [row.ratios[column] for column in columns if column in row.ratios]
        error += f" ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""
        verdicts.setdefault(_verdict(row, table), []).append(f"{row.variant} {row.overall:.3f}{error}")
    return " ".join([*words, *(f"{verdict}: {'; '.join(found)}." for verdict, found in verdicts.items())])


def _verdict(row: AblationRow, table: Sequence[AblationRow]) -> str:
    """What a ratio says of its variant, whose trainings and the base's both have errors."""
    base = next((one for one in table if one.variant == BASE), None)
    if row is base:
        return "Base"
    if row.trainings < 2 or base is None or base.trainings < 2:
        return "Not judged"
    error = math.hypot(row.overall_error, row.overall * base.overall_error)
    if abs(row.overall - 1) < _JUDGED * error:
        return "No difference"
    return "Better" if row.overall < 1 else "Worse"
