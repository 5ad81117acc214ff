"""Figure of the dispersion corrections: what the chosen energies can tell."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Look, Picture, name_panels, new_figure, styled
from madpipe.mad.anomalous import NEAR_EDGE, is_near_edge
from madpipe.mad.records import Fit, Stack
from madpipe.physics.atoms import dispersion_correction

_MARGIN = 25.0  # eV drawn beyond the outermost energy
_PRIME, _SECOND = LOOKS[0], LOOKS[1]
_LABEL = 0.3  # share of the panel's width that an energy beside its point takes
_POINT = Look("black", "o", "")


@styled
def dispersion(
    stacks: Sequence[Stack],
    fits: Sequence[Fit | None] = (),
    spectra: Mapping[str, np.ndarray] | None = None,
) -> Picture:
    """Draw f' and f'' [electron] against photon energy [eV] and in the complex plane, one row per element and table.

    Parameters
    ----------
    stacks:
        Their energies are marked; stacks with the same element, edge, table and energies share a row.
    fits:
        None at all, or one per stack in the same order; where it refined f' and f'', the refined values are drawn
        with their standard errors.
    spectra:
        By name of the table, a measured (3, n) array of energy, f', f'' to draw beside Chantler's curve.
    """
    rows = _distinct(stacks, fits)
    figure = new_figure(TWO_COLUMNS, 2.45 * len(rows))
    panels = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1.7, 1.0))
    words = []
    for (stack, fit), (against_energy, plane) in zip(rows, panels, strict=True):
        table = {"Chantler": _chantler(stack)} if stack.element else {}
        curves = {**table, **_measured(stack, spectra or {})}
        points = _points(stack, fit)
        _draw_energies(against_energy, stack, curves, points)
        _draw_plane(plane, stack, curves, points)
        words.append(_words(stack, fit, points))
    named = [f"{stack.element} {stack.edge}: {_in_use(stack, fit)}".lstrip(" :") for stack, fit in rows]
    titles = [title for name in named for title in (name, "complex plane")]
    name_panels(list(panels.flat), titles)
    return Picture(figure, "Dispersion corrections and photon energies. " + " ".join(words))


def _distinct(stacks: Sequence[Stack], fits: Sequence[Fit | None]) -> list[tuple[Stack, Fit | None]]:
    """One stack, with its fit, per element, edge, table and set of energies."""
    rows: dict[tuple[object, ...], tuple[Stack, Fit | None]] = {}
    for stack, fit in zip(stacks, fits or [None] * len(stacks), strict=True):
        rows.setdefault((stack.element, stack.edge, stack.table, tuple(stack.energy)), (stack, fit))
    return list(rows.values())


def _chantler(stack: Stack) -> np.ndarray:
    """Energy [eV], f', f'' [electron] of the bare atom around the stack's energies, 0.5 eV apart at most."""
    low, high = float(stack.energy.min()) - _MARGIN, float(stack.energy.max()) + _MARGIN
    energy = torch.linspace(low, high, max(200, int(2 * (high - low))), dtype=torch.float64)
    return np.stack([energy.numpy(), *(part.numpy() for part in dispersion_correction(stack.element, energy))])


def _measured(stack: Stack, spectra: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The stack's own spectrum, cut to the window, where there is one."""
    if stack.table not in spectra:
        return {}
    energy = spectra[stack.table][0]
    inside = (energy >= stack.energy.min() - _MARGIN) & (energy <= stack.energy.max() + _MARGIN)
    return {stack.table: spectra[stack.table][:, inside]}


def _points(stack: Stack, fit: Fit | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """f', f'' in use and their standard errors: refined ones where the fit has them [electron]."""
    nuisance = fit.nuisance if fit is not None else None
    if nuisance is None:
        zero = np.zeros_like(stack.f_prime)
        return stack.f_prime, stack.f_double_prime, zero, zero
    return nuisance.f_prime, nuisance.f_double_prime, nuisance.f_prime_errors, nuisance.f_double_prime_errors


def _bars(errors: np.ndarray) -> np.ndarray | None:
    """Error bars, none where nothing was refined."""
    return errors if np.any(errors > 0) else None


def _draw_energies(axes: Axes, stack: Stack, curves: Mapping[str, np.ndarray], points: tuple[np.ndarray, ...]) -> None:
    """Both corrections against energy with the edge marked."""
    for name, style in zip(curves, ({"linewidth": 0.9}, {"linewidth": 1.6, "alpha": 0.6}), strict=False):
        energy, prime, second = curves[name]
        axes.plot(energy, prime, **{**_PRIME.dash(), **style})
        axes.plot(energy, second, **{**_SECOND.dash(), **style})
    for look, value, error, label in ((_PRIME, points[0], points[2], "$f'$"), (_SECOND, points[1], points[3], "$f''$")):
        axes.errorbar(stack.energy, value, _bars(error), **look.points(), linestyle="", label=label)
    edge = stack.edge_ev
    low, high = stack.energy.min() - _MARGIN, stack.energy.max() + _MARGIN
    if edge is not None and low < edge < high:
        axes.axvline(edge, **REFERENCE.dash(), linewidth=0.9, label=f"edge, {edge:.0f} eV")
    axes.set(xlabel="photon energy (eV)", ylabel="$f'$, $f''$ (electron)", xlim=(low, high))
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.margins(y=0.08)
    axes.legend(loc="best")


def _draw_plane(axes: Axes, stack: Stack, curves: Mapping[str, np.ndarray], points: tuple[np.ndarray, ...]) -> None:
    """f'' against f': the energies tell the unknowns apart as far as their points stand apart here."""
    for name, look in zip(curves, (LOOKS[2], LOOKS[3]), strict=False):
        axes.plot(curves[name][1], curves[name][2], **look.dash(), linewidth=0.9, label=name)
    axes.errorbar(points[0], points[1], _bars(points[3]), _bars(points[2]), **_POINT.points(), linestyle="")
    for one in sorted({0, int(np.argmin(points[0])), len(stack.energy) - 1}):
        here = (points[0][one], points[1][one])
        axes.annotate(f"{stack.energy[one]:.0f} eV", here, (5, 4), textcoords="offset points")
    axes.set(xlabel="$f'$ (electron)", ylabel="$f''$ (electron)")
    axes.margins(0.12)
    left, right = axes.get_xlim()
    axes.set_xlim(left, max(right, left + (points[0].max() - left) / (1 - _LABEL)))
    if curves:
        axes.legend(loc="best")


def _in_use(stack: Stack, fit: Fit | None) -> str:
    """Where the f', f'' of the points come from."""
    return stack.table.split(";")[0] if fit is None or fit.nuisance is None else "refined"


def _words(stack: Stack, fit: Fit | None, points: tuple[np.ndarray, ...]) -> str:
    """Numbers of one row."""
    values = (
        f"f' from {points[0].min():.2f} to {points[0].max():.2f}, f'' from {points[1].min():.2f} to "
        f"{points[1].max():.2f} electron."
    )
    span = f"{len(stack.energy)} energies from {stack.energy.min():.1f} to {stack.energy.max():.1f} eV"
    edge = stack.edge_ev
    if edge is None:
        return f"{span}, f', f'' as given; {values}"
    near = sum(is_near_edge(float(energy), edge) for energy in stack.energy)
    above = int(np.count_nonzero(stack.energy > edge))
    gauge = f" ({fit.nuisance.gauge})" if fit is not None and fit.nuisance is not None else ""
    return (
        f"{stack.element} {stack.edge} edge at {edge:.1f} eV; {span}, {above} of them above the edge and {near} within "
        f"{NEAR_EDGE:.0f} eV of it, where the table of a bare atom is in doubt. "
        f"Lines: Chantler's table; points: f', f'' in use, {_in_use(stack, fit)}{gauge}; {values}"
    )
