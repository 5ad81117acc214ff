"""Figure of a planned experiment: its energies on f' and f'', their doubt, expected errors, better energies."""

import numpy as np
import torch
from matplotlib.axes import Axes

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
from madpipe.mad.anomalous import NEAR_EDGE
from madpipe.mad.plan.atom import Atom, doubts, table_error, uncertainty
from madpipe.mad.plan.records import Plan
from madpipe.mad.plan.words import lines_of_caption

_PRIME, _SECOND = LOOKS[0], LOOKS[1]
_GIVEN, _BEST = Look("black", "o", "-"), Look("black", "^", "--", filled=False)
_ERRORS = {"f_resonant": LOOKS[0], "delta_phi": LOOKS[1], "f_normal": LOOKS[2]}
_LABELS = {
    "f_resonant": r"$|F_\mathrm{A}|$",
    "delta_phi": r"$\Delta\varphi$ (rad)",
    "f_normal": r"$|F_\mathrm{N}|$",
}
_MARGIN = 5.0  # eV drawn beyond the range
_SHADE: Keywords = {"color": "0.9", "linewidth": 0, "zorder": 0}


@styled
def planning(plan: Plan, atom: Atom) -> Picture:
    """Draw a plan: f', f'' and their doubt against energy, errors against photons and against the number of energies.

    Parameters
    ----------
    plan:
        From :func:`madpipe.mad.plan.plan`.
    atom:
        Its element, edge, momentum transfer and spectrum.
    """
    figure = new_figure(TWO_COLUMNS, 5.4)
    panels = list(figure.subplots(2, 2).flat)
    given = [row.energy_ev for row in plan.energies]
    low, high = min([*given, plan.range_ev[0]]) - _MARGIN, max([*given, plan.range_ev[1]]) + _MARGIN
    energy = torch.arange(low, high + 0.25, 0.5, dtype=torch.float64)
    _draw_dispersion(panels[0], plan, atom, energy)
    _draw_doubt(panels[1], plan, atom, energy)
    _draw_errors(panels[2], plan)
    _draw_counts(panels[3], plan)
    titles = [f"{plan.element} {plan.edge}, {plan.source}", "doubt in $f' + if''$", "given energies", "better energies"]
    name_panels(panels, titles)
    return Picture(figure, lines_of_caption(plan))


def _mark_edge(axes: Axes, plan: Plan, energy: torch.Tensor) -> None:
    """Where the table is in doubt, and the axis that both upper panels share."""
    axes.axvspan(plan.edge_ev - NEAR_EDGE, plan.edge_ev + NEAR_EDGE, **_SHADE)
    axes.axvline(plan.edge_ev, **REFERENCE.dash(), linewidth=0.9)
    axes.set(xlabel="photon energy (eV)", xlim=(float(energy[0]), float(energy[-1])))
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.locator_params(axis="x", nbins=5)


def _draw_dispersion(axes: Axes, plan: Plan, atom: Atom, energy: torch.Tensor) -> None:
    """f' and f'' with bands of their doubt, given and best energies."""
    bands = doubts(atom, energy)
    at = [torch.tensor(some, dtype=torch.float64) for some in _energies(plan)]
    marks = [atom.dispersion(some) for some in at]
    for part, (look, label) in enumerate(((_PRIME, "$f'$"), (_SECOND, "$f''$"))):
        value = atom.dispersion(energy)[part]
        axes.fill_between(energy, value - bands[part], value + bands[part], color=look.color, alpha=0.15, linewidth=0)
        axes.plot(energy, value, **look.dash(), label=label)
        for look_of, some, mark, name in zip((_GIVEN, _BEST), at, marks, ("given", "best"), strict=True):
            axes.plot(some, mark[part], **look_of.points(), linestyle="", label=name if part else None)
    _mark_edge(axes, plan, energy)
    axes.set_ylabel("$f'$, $f''$ (electron)")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.6)
    axes.legend(loc="upper left", ncols=2)


def _energies(plan: Plan) -> tuple[list[float], list[float]]:
    """Given and best energies [eV]."""
    return [row.energy_ev for row in plan.energies], list(plan.choice.energies_ev)


def _draw_doubt(axes: Axes, plan: Plan, atom: Atom, energy: torch.Tensor) -> None:
    """Doubt against energy, the table's true error where a spectrum tells it, the least certain energy."""
    doubt, error = uncertainty(atom, energy), table_error(atom, energy)
    axes.plot(energy, doubt, **LOOKS[3].dash(), label="doubt of " + ("table" if error is None else "spectrum"))
    if error is not None:
        axes.plot(energy, error, **LOOKS[4].dash(), label="table - spectrum")
    axes.plot(plan.least_certain_ev, plan.least_certain_doubt, **LOOKS[1].points(), label="table least certain")
    for look, some, name in zip((_GIVEN, _BEST), _energies(plan), ("given", "best"), strict=True):
        at = torch.tensor(some, dtype=torch.float64)
        axes.plot(at, uncertainty(atom, at), **look.points(), linestyle="", label=name)
    _mark_edge(axes, plan, energy)
    axes.set_ylabel("rms doubt (electron)")
    axes.set_ylim(bottom=0, top=1.5 * axes.get_ylim()[1])
    axes.legend(loc="upper left", ncols=2)


def _draw_errors(axes: Axes, plan: Plan) -> None:
    """Median errors with the range over 10-90 % of the points; dotted with the doubt."""
    for name, look in _ERRORS.items():
        rows = sorted((row for row in plan.errors if row.quantity == name), key=lambda row: row.photons)
        photons = [row.photons for row in rows]
        axes.fill_between(
            photons, [r.low for r in rows], [r.high for r in rows], color=look.color, alpha=0.12, linewidth=0
        )
        axes.plot(photons, [row.median for row in rows], **look.line(), label=_LABELS[name])
        axes.plot(photons, [row.with_doubt for row in rows], color=look.color, linestyle=REFERENCE.linestyle)
    axes.plot([], [], color="0.3", linestyle=REFERENCE.linestyle, label="with doubt in $f'$, $f''$")
    axes.axhline(UNKNOWN_PHASE, color="0.6", linewidth=0.7)
    axes.set(xscale="log", yscale="log", xlabel="photons per point and energy (photon)")
    axes.set_ylabel(r"relative error (1), of $\Delta\varphi$ (rad)")
    axes.grid(visible=True)
    axes.legend(loc="lower left")


def _draw_counts(axes: Axes, plan: Plan) -> None:
    """Expected error of |F_N| against the number of energies, the photons the same in all."""
    counts = np.array([row.count for row in plan.best])
    label = f"best, {plan.budget:.3g} photons in all"
    axes.plot(counts, [row.error for row in plan.best], **LOOKS[0].line(), label=label)
    if plan.robust:
        axes.plot(counts, [row.photon_error for row in plan.best], **LOOKS[5].line(), label="best, photons alone")
    axes.plot(counts, [row.even_error for row in plan.best], **LOOKS[1].line(), label="evenly spread")
    axes.plot(
        len(plan.energies),
        plan.given_error,
        **{**_GIVEN.points(), "marker": "*", "markersize": 7},
        linestyle="",
        label="given",
    )
    axes.set(xlabel="number of energies (1)", ylabel=r"relative error of $|F_\mathrm{N}|$ (1)")
    axes.set_xticks(counts[::2])
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
    axes.grid(visible=True)
    axes.legend(loc="upper right")
