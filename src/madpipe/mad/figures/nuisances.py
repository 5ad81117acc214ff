"""Figure of what was refined beside the structure factors: each nuisance against its prior, and its hold on |F_A|."""

import json
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.mad.records import Fit, Nuisance, Stack

_PER_ENERGY = {
    "scale": "scale",
    "background_scale": "background",
    "f_prime": "f'",
    "f_double_prime": "f''",
}
_EVEN = 3  # the scale is even so far from zero


@dataclass(frozen=True)
class _Row:
    """One refined number beside its prior, in units of the prior's width, or of its own error where there is none."""

    name: str
    value: float
    error: float
    has_prior: bool
    determined: bool
    correlation: float
    truth: float | None


@styled
def nuisances(stack: Stack, fit: Fit) -> Picture:
    """Draw every refined nuisance with its error against its prior, and its correlation with |F_A|.

    Filled: refined; open: not determined by the data and held at the prior; grey: the prior, one standard deviation;
    crosses: the truth of a simulation. What has no prior is drawn in its own errors from where the search began.
    """
    rows = _rows(stack, fit.nuisance) if fit.nuisance is not None else []
    figure = new_figure(TWO_COLUMNS, 1.1 + 0.16 * max(len(rows), 4))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for place, row in enumerate(rows):
        _draw_row(left, right, place, row)
    without = bool(rows) and not any(row.has_prior for row in rows)
    if not without:
        left.axvspan(-1, 1, color="0.9", zorder=0)
    left.axvline(0, **REFERENCE.dash())
    _set_scale(left, _reach(rows))
    left.set_yticks(range(len(rows)), [row.name for row in rows])
    left.invert_yaxis()
    left.set_xlabel(f"less the {'start, over its error' if without else 'prior, over its standard deviation'} (1)")
    left.set_ylabel("at photon energy (eV)")
    right.set(xlabel=r"correlation with $|F_\mathrm{A}|$ (1)", xlim=(-1, 1))
    right.axvline(0, color="0.6", linewidth=0.6)
    if not rows:
        left.text(0.5, 0.5, "nothing was refined", ha="center", va="center", transform=left.transAxes)
    name_panels([left, right], ["refined", "what it moves"])
    return Picture(figure, _caption(stack, fit.nuisance, rows))


def _reach(rows: list[_Row]) -> float:
    """How far from zero the values and their errors go."""
    return 1.15 * max([1.4, *(abs(row.value) + row.error for row in rows)])


def _set_scale(axes: Axes, reach: float) -> None:
    """Even near zero, logarithmic beyond, with plain numbers at the ticks."""
    axes.set_xscale("symlog", linthresh=_EVEN)
    axes.set_xlim(-reach, reach)
    ticks = [tick for tick in (-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100) if abs(tick) <= reach]
    axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axes.set_xticks([], minor=True)


def _draw_row(left: Axes, right: Axes, place: int, row: _Row) -> None:
    """One line of both panels."""
    look = LOOKS[0] if row.has_prior else LOOKS[1]
    face = look.color if row.determined else "white"
    left.errorbar(row.value, place, xerr=row.error, color=look.color, marker="o", markersize=3.2, markerfacecolor=face)
    if row.truth is not None:
        left.plot(row.truth, place, color="black", marker="x", markersize=4, linestyle="")
    right.barh(place, row.correlation, color=look.color, height=0.6, alpha=1.0 if row.determined else 0.3)


def _rows(stack: Stack, nuisance: Nuisance) -> list[_Row]:
    """Everything that was refined, energy by energy."""
    truth = _truth(stack)
    start = {"f_prime": stack.f_prime, "f_double_prime": stack.f_double_prime}
    rows = []
    if nuisance.energy_offset_correlation is not None:
        rows += _rows_of(nuisance, "energy_offset", ["offset of all"], None, truth)
    for field, word in _PER_ENERGY.items():
        if getattr(nuisance, f"{field}_correlation") is not None:
            names = [f"{word}, {energy:g}" for energy in stack.energy]
            rows += _rows_of(nuisance, field, names, start.get(field), truth)
    return rows


def _rows_of(
    nuisance: Nuisance, field: str, names: list[str], start: np.ndarray | None, truth: dict[str, np.ndarray]
) -> list[_Row]:
    """Numbers of one kind, from the prior's mean, else from the start; a gauge, which has no error, is left out."""

    def column(suffix: str) -> np.ndarray:
        return np.atleast_1d(np.asarray(getattr(nuisance, field + suffix), dtype=float))

    value, error = column(""), column("_errors")
    has_prior = getattr(nuisance, f"{field}_prior") is not None
    prior = column("_prior") if has_prior else np.asarray(start, dtype=float)
    width = column("_prior_errors") if has_prior else np.full(len(value), np.inf)
    unit = np.where(np.isfinite(width) & (width > 0), width, error)
    true = truth.get(field)
    return [
        _Row(
            names[k],
            (value[k] - prior[k]) / unit[k],
            error[k] / unit[k],
            bool(np.isfinite(width[k]) and width[k] > 0),
            bool(column("_determined")[k]),
            float(np.nan_to_num(column("_correlation")[k])),
            None if true is None else (float(true[k]) - prior[k]) / unit[k],
        )
        for k in range(len(value))
        if unit[k] > 0
    ]


def _truth(stack: Stack) -> dict[str, np.ndarray]:
    """What a simulation was made with."""
    if stack.truth is None:
        return {}
    drawn = json.loads(stack.truth.drawn)
    return {
        "scale": np.asarray(drawn["scale"]),
        "energy_offset": np.atleast_1d(drawn["sample"]["energy_offset_ev"]),
        "f_prime": np.asarray(drawn["f_prime"]),
        "f_double_prime": np.asarray(drawn["f_double_prime"]),
    }


def _symbols(rows: list[_Row]) -> str:
    """What the symbols that are drawn mean."""
    meanings = {
        "grey: the prior, one standard deviation": any(row.has_prior for row in rows),
        "without a prior: in its own errors from where the search began": any(not row.has_prior for row in rows),
        "open: held at the prior, since the data do not determine it": any(not row.determined for row in rows),
        "crosses: the truth": any(row.truth is not None for row in rows),
        f"scale even to {_EVEN}, logarithmic beyond": _reach(rows) > _EVEN,
    }
    drawn = "; ".join(meaning for meaning, is_drawn in meanings.items() if is_drawn)
    return f"{drawn[:1].upper()}{drawn[1:]}. " if drawn else ""


def _caption(stack: Stack, nuisance: Nuisance | None, rows: list[_Row]) -> str:
    """The verdicts in words."""
    if nuisance is None:
        return f"{stack.name}: nothing was refined beside the structure factors."
    held = sum(not row.determined for row in rows)
    words = [
        f"{stack.name}: nuisances refined with the structure factors. {_symbols(rows)}Right: correlation with the "
        f"logarithm of the sum of |F_A|^2. {len(rows)} numbers, {held} of them not determined."
    ]
    if nuisance.f_resonant_relative_error is not None:
        words.append(f"Together they leave |F_A| uncertain by {100 * nuisance.f_resonant_relative_error:.1f} %.")
    if nuisance.verdicts:
        words.append(" ".join(nuisance.verdicts.split("\n")))
    return " ".join([*words, f"Gauge: {nuisance.gauge}."])
