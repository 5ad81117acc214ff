"""Figures of an energy series: fit and deviations, contrasts, the resonant term, errors against photons."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, ONE_COLUMN, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.plan.records import SaxsPlan
from madpipe.saxs.records import HELD
from madpipe.saxs.records_separation import Separation

_APART = 8.0  # standard errors between the deviations of two energies
_DECADES = 1.0  # between the curves of two energies
_Q = r"$q$ ($\mathrm{\AA}^{-1}$)"
_DOTS = {"linestyle": "", "markersize": 1.8}
_SHOWN = ("core_radius", "thickness")


@styled
def series_fit(found: AnomalousFit) -> Picture:
    """Draw curves and fit, a decade apart from energy to energy, and their deviations in standard errors."""
    count = len(found.energy)
    figure = new_figure(TWO_COLUMNS, 1.4 + 0.38 * count)
    curves, deviations = figure.subplots(1, 2, sharex=True, width_ratios=(1.15, 1))
    for place, row in enumerate(np.argsort(found.energy)):
        used = np.isfinite(found.sigma[row])
        q, up = found.q[used], 10 ** (_DECADES * place)
        off = (found.intensity[row, used] - found.calculated[row, used]) / found.sigma[row, used]
        above = found.intensity[row, used] > 0
        curves.plot(q[above], up * found.intensity[row, used][above], **LOOKS[0].points(), **_DOTS)
        curves.plot(q, up * found.calculated[row, used], color=LOOKS[1].color, linewidth=0.9)
        deviations.axhline(_APART * place, **REFERENCE.dash(), linewidth=0.6)
        deviations.plot(q, _APART * place + np.clip(off, -_APART / 2, _APART / 2), **LOOKS[0].points(), **_DOTS)
        deviations.text(
            1.01, _APART * place, f"{found.energy[row]:.0f} eV", transform=deviations.get_yaxis_transform(), va="center"
        )
    curves.set(xscale="log", yscale="log", xlabel=_Q, ylabel=f"intensity x 10$^k$ ({_unit(found)})")
    deviations.set(xscale="log", xlabel=_Q, ylabel=f"deviation + {_APART:g} k (error)")
    name_panels([curves, deviations], ["curves and fit", "deviations"])
    words = (
        f"{found.model} of {' and '.join(found.materials.splitlines()[:-1])} at {count} energies: curves (points) and "
        f"fit (lines), a decade apart; right, deviations over errors, cut at {_APART / 2:g}. Chi-square "
        f"{found.chi2:.3g} per degree of freedom, of single energies {found.chi2_of_curves.min():.2f} to "
        f"{found.chi2_of_curves.max():.2f} per point. {_sizes(found)}"
    )
    return Picture(figure, words)


@styled
def contrast_against_energy(found: AnomalousFit) -> Picture:
    """Draw real contrasts of the regions, and between them, against energy, with matches and measured energies."""
    regions = found.regions.split("\n")
    figure = new_figure(TWO_COLUMNS, 2.7)
    panels = list(figure.subplots(1, 2))
    keV = found.axis / 1e3
    for look, name, place in zip(LOOKS, regions, range(len(regions)), strict=False):
        panels[0].plot(keV, found.along[:, place, 0], **look.dash(), label=f"{name} less solvent")
        panels[0].plot(found.energy / 1e3, found.contrast[:, place, 0], **{**look.points(), "linestyle": ""})
    panels[0].set(xlabel="photon energy (keV)", ylabel=r"real contrast ($10^{-6}\,\mathrm{\AA}^{-2}$)")
    panels[0].legend()
    _between(panels[1], found, regions)
    name_panels(panels, ["against the solvent", "between regions"])
    told = [
        f"{pair} at {with_error(*row)} eV"
        for pair, row in zip(found.match_pairs.split("\n"), found.matches, strict=False)
    ]
    words = (
        "Real contrasts against photon energy as fitted; points: the measured energies. "
        f"Matches (dotted), errors from densities, shares and tables: {', '.join(told) or 'none within the axis'}."
    )
    return Picture(figure, words)


def _between(axes: Axes, found: AnomalousFit, regions: Sequence[str]) -> None:
    """Contrast of each region against the next, real and imaginary, with its matches."""
    keV = found.axis / 1e3
    looks = iter(LOOKS)
    for place, (one, other) in enumerate(itertools.pairwise(regions)):
        apart = found.along[:, place] - found.along[:, place + 1]
        axes.plot(keV, apart[:, 0], **next(looks).dash(), label=f"{one} less {other}, real")
        axes.plot(keV, apart[:, 1], **next(looks).dash(), label="imaginary")
    for energy, _ in found.matches:
        axes.axvline(energy / 1e3, **REFERENCE.dash())
    axes.axhline(0.0, color="0.6", linewidth=0.6)
    axes.set(xlabel="photon energy (keV)", ylabel=r"contrast ($10^{-6}\,\mathrm{\AA}^{-2}$)")
    if len(regions) > 1:
        axes.legend()


@styled
def resonant_term(found: AnomalousFit, separation: Separation) -> Picture:
    """Draw the pure resonant term that a separation finds at each q alone, beside that of the fitted particle.

    Raises
    ------
    ValueError
        The fit has no element of the separation near an edge.
    """
    elements = found.doubted.split("\n")
    if separation.element not in elements:
        raise ValueError(
            f"a separation of {' or '.join(elements)} is required; one of {separation.element} came; separate that one"
        )
    model = np.interp(separation.q, found.q, found.partials[elements.index(separation.element), :, 1])
    value, error = separation.terms[:, 1], np.sqrt(separation.covariance[:, 1, 1])
    figure = new_figure(ONE_COLUMN, 3.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    shown = value > 0
    bars = np.stack([np.minimum(error, 0.95 * value), error])[:, shown]
    upper.errorbar(separation.q[shown], value[shown], bars, **LOOKS[0].points(), **_DOTS, elinewidth=0.5)
    upper.plot(separation.q, model, color=LOOKS[1].color, label="fitted particle")
    positive = model[model > 0]
    upper.set(xscale="log", yscale="log", ylabel=rf"$\langle|F_A|^2\rangle$ of {separation.element} ({_unit(found)})")
    upper.set_ylim(0.3 * positive.min(), 10 * positive.max())
    upper.legend(loc="lower left")
    off = (value - model) / error
    lower.axhline(0.0, **REFERENCE.dash())
    lower.plot(separation.q, np.clip(off, -5, 5), **LOOKS[0].points(), **_DOTS)
    lower.set(xlabel=_Q, ylabel="deviation (error)", ylim=(-5.5, 5.5))
    name_panels([upper, lower], ["resonant term", "separated less fitted"])
    near = off[np.isfinite(off)]
    words = (
        f"Pure resonant term of {separation.element}: separated at each q without a model (points, one standard "
        f"deviation, common nuisances included) and of the fitted particle (line). Root mean square of the deviations "
        f"{np.sqrt(np.mean(near**2)):.2f} errors, which neighbouring q share; "
        f"{int(shown.sum())} of {len(value)} above 0."
    )
    return Picture(figure, words)


@styled
def errors_against_photons(planned: SaxsPlan, found: Sequence[tuple[float, AnomalousFit]], share: str) -> Picture:
    """Draw errors of fits beside Cramer and Rao's bound of the plan, against photons.

    Parameters
    ----------
    planned:
        The bound, by photons.
    found:
        Photons at each energy, and the fit of such curves.
    share:
        Name of the planned element's share in the fits.
    """
    figure = new_figure(TWO_COLUMNS, 2.3)
    panels = list(figure.subplots(1, 3))
    photons = np.array([row.photons for row in planned.errors])
    labels = (r"core radius ($\mathrm{\AA}$)", r"thickness ($\mathrm{\AA}$)", f"share of {planned.element} (1)")
    bounds = [[getattr(row, name) for row in planned.errors] for name in (*_SHOWN, "share")]
    ratios = []
    for axes, label, bound, name in zip(panels, labels, bounds, (*_SHOWN, share), strict=True):
        errors = np.array([one.of(name)[1] for _, one in found])
        axes.plot(photons, bound, **LOOKS[0].dash(), label="bound")
        axes.plot([many for many, _ in found], errors, **{**LOOKS[1].points(), "linestyle": ""}, label="fit")
        axes.set(xscale="log", yscale="log", xlabel="photons per energy", ylabel=f"error of {label}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        ratios += [
            error / np.exp(np.interp(np.log(many), np.log(photons), np.log(bound)))
            for (many, _), error in zip(found, errors, strict=True)
        ]
    panels[0].legend()
    name_panels(panels, ["core radius", "thickness", "composition"])
    words = (
        f"Standard errors against photons at each of {len(planned.energies)} energies: Cramer and Rao's bound of the "
        f"plan (lines) and errors that fits state (points); stated over bound {min(ratios):.2f} to {max(ratios):.2f}, "
        "where backgrounds or "
        "doubts of the curves differ from the plan's among the rest."
    )
    return Picture(figure, words)


def _sizes(found: AnomalousFit) -> str:
    """Lengths, shares and the energies' offset with errors."""
    names, units = found.names.split("\n"), found.units.split("\n")
    told = []
    for place, (name, unit) in enumerate(zip(names, units, strict=True)):
        is_shown = (
            unit in ("angstrom", "eV")
            or name == "pd"
            or (":" in name and not name.endswith((":f1", ":f2", ":density")))
        )
        if is_shown and found.states[place] != HELD:
            told.append(
                f"{name.replace('_', ' ')} {with_error(float(found.values[place]), float(found.errors[place]))}"
                f"{'' if unit == '1' else ' ' + unit}"
            )
    return "; ".join(told) + "."


def _unit(found: AnomalousFit) -> str:
    """Unit of the intensity."""
    return r"cm$^{-1}$" if "volume_fraction" in found.names.split("\n") else "own unit"
