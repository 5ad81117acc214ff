"""Figure of an answer on a list of reflections: against the data, Friedel mate by mate, and against resolution."""

import numpy as np
from matplotlib.axes import Axes

from madpipe.base import metrics
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Keywords, Picture, name_panels, new_figure
from madpipe.mad.figures.picture import MODULUS_UNIT, seen
from madpipe.mad.measurement import bijvoet_pairs, calculated_photons
from madpipe.mad.records import Fit, Stack
from madpipe.physics.crystal import momentum_transfer

_SHELL_MEMBERS = 60  # reflections per resolution shell at least, so that a mean is known to about ten per cent
_POINT: Keywords = {"linestyle": "", "markersize": 2.0, "markeredgewidth": 0.5, "alpha": 0.7}


def reflection_list(stack: Stack, fit: Fit) -> Picture:
    """Draw calculated against observed intensities and Bijvoet differences, moduli by resolution, and residuals."""
    figure = new_figure(TWO_COLUMNS, 5.4)
    panels = figure.subplots(2, 2)
    calculated = calculated_photons(stack, fit)
    agreement = _draw_intensities(panels[0, 0], stack, calculated)
    pairs = bijvoet_pairs(stack)
    correlations = _draw_differences(panels[0, 1], stack, calculated, pairs)
    _draw_moduli(panels[1, 0], stack, fit)
    spread = _draw_residuals(panels[1, 1], stack, fit, calculated)
    titles = ["intensities", "Bijvoet differences", "moduli", "residuals"]
    name_panels(list(panels.flat), titles)
    return Picture(figure, _caption(stack, fit, agreement, correlations, len(pairs), spread))


def resolution(stack: Stack) -> np.ndarray | None:
    """Lattice spacing d of every reflection [angstrom], None without a unit cell."""
    if stack.unit_cell is None or stack.miller_indices is None:
        return None
    indices = np.asarray(stack.miller_indices, dtype=float)
    return 2 * np.pi / np.linalg.norm(momentum_transfer(stack.unit_cell, indices), axis=1)


def _looks(stack: Stack) -> list[Keywords]:
    """Markers of each energy."""
    return [{**LOOKS[k % len(LOOKS)].points(), **_POINT} for k in range(len(stack.energy))]


def _energy_name(stack: Stack, index: int) -> str:
    """Name an energy in a legend."""
    return f"{stack.energy[index]:.0f} eV"


def _draw_intensities(axes: Axes, stack: Stack, calculated: np.ndarray) -> list[float]:
    """Calculated against observed intensities; returns R per energy."""
    factors = []
    for k, look in enumerate(_looks(stack)):
        good = stack.good[k]
        observed, model = np.asarray(stack.data[k][good], dtype=float), calculated[k][good]
        factors.append(metrics.r_factor(observed, model))
        shown = (observed > 0) & (model > 0)
        axes.plot(observed[shown], model[shown], **look, label=f"{_energy_name(stack, k)}, $R$ = {factors[-1]:.4f}")
    axes.set(xscale="log", yscale="log", xlabel="observed $I$ (photon)", ylabel="calculated $I$ (photon)")
    _diagonal(axes)
    axes.legend(loc="upper left", markerscale=2)
    return factors


def _draw_differences(axes: Axes, stack: Stack, calculated: np.ndarray, pairs: np.ndarray) -> list[float]:
    """Calculated against observed I(+) - I(-); returns the correlation per energy."""
    both = np.stack([np.asarray(stack.data, dtype=float), calculated])
    difference = both[..., pairs[:, 0]] - both[..., pairs[:, 1]]
    power = int(np.floor(np.log10(max(np.abs(difference).max(initial=0.0), 1e-9))))
    unit = rf"($10^{{{power}}}$ photon)"
    axes.set(xlabel=f"observed $I(+) - I(-)$ {unit}", ylabel=f"calculated $I(+) - I(-)$ {unit}")
    if not len(pairs):
        axes.text(0.5, 0.5, "no Friedel mates", ha="center", va="center", transform=axes.transAxes)
        return []
    correlations = [metrics.correlation(*difference[:, k]) for k in range(len(stack.energy))]
    for k, look in enumerate(_looks(stack)):
        label = f"{_energy_name(stack, k)}, $r$ = {correlations[k]:.3f}"
        axes.plot(*(difference[:, k] / 10.0**power), **look, label=label)
    _diagonal(axes)
    axes.legend(loc="upper left", markerscale=2)
    return correlations


def _diagonal(axes: Axes) -> None:
    """Line of perfect agreement across the panel as it stands."""
    ends = [max(axes.get_xlim()[0], axes.get_ylim()[0]), min(axes.get_xlim()[1], axes.get_ylim()[1])]
    axes.plot(ends, ends, **REFERENCE.dash(), linewidth=0.9, scalex=False, scaley=False)


def _draw_moduli(axes: Axes, stack: Stack, fit: Fit) -> None:
    """Root mean square of |F_T|, |F_A|, |F_N| in shells of resolution, or of intensity where there is no unit cell."""
    points = seen(stack)
    spacing = resolution(stack)
    coordinate = np.asarray(stack.data, dtype=float).mean(axis=0) if spacing is None else spacing
    order = np.flatnonzero(points)[np.argsort(coordinate[points])]
    shells = np.array_split(order, max(1, min(12, len(order) // _SHELL_MEMBERS)))
    centre = [float(np.median(coordinate[shell])) for shell in shells]
    curves = (("F_T", "total", LOOKS[0]), ("F_A", "resonant", LOOKS[1]), ("F_N", "normal", LOOKS[2]))
    for name, field, look in curves:
        means = np.array([metrics.root_mean_square(getattr(fit, f"f_{field}")[shell]) for shell in shells])
        label = rf"$|F_\mathrm{{{name[-1]}}}|$"
        axes.errorbar(centre, means[:, 0], means[:, 1], **look.line(), label=label)
    sigma = [metrics.root_mean_square(fit.f_resonant_errors[shell])[0] for shell in shells]
    axes.plot(centre, sigma, **REFERENCE.dash(), label=r"$\sigma(|F_\mathrm{A}|)$")
    axes.set(yscale="log", xscale="log", ylabel=f"rms ({MODULUS_UNIT})")
    axes.set_xlabel("intensity (photon)" if spacing is None else r"resolution $d$ ($\mathrm{\AA}$)")
    if spacing is not None:
        ticks = [
            tick for tick in (1, 1.5, 2, 3, 5, 10, 20) if min(centre) <= tick * 1.05 and tick <= max(centre) * 1.05
        ]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.invert_xaxis()
    axes.legend(loc="best", ncols=2)


def _draw_residuals(axes: Axes, stack: Stack, fit: Fit, calculated: np.ndarray) -> float:
    """Distribution of the residual over its standard error, beside the unit normal; returns its rms."""
    noise = 1.0 if fit.nuisance is None else fit.nuisance.noise_scale
    sigma = np.sqrt(np.maximum(calculated, 1.0)) if stack.data_errors is None else stack.data_errors * noise
    residual = ((np.asarray(stack.data, dtype=float) - calculated) / np.where(sigma > 0, sigma, np.inf))[stack.good]
    bins = np.linspace(-4, 4, 41)
    axes.hist(residual, list(bins), density=True, histtype="stepfilled", facecolor="0.8", edgecolor="0.3", label="data")
    axes.plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), **LOOKS[0].dash(), label="unit normal")
    axes.set(
        xlabel=r"$(I_\mathrm{obs} - I_\mathrm{calc})/\sigma$ (1)", ylabel="probability density (1)", xlim=(-4.3, 4.3)
    )
    axes.legend(loc="upper right")
    return metrics.root_mean_square(residual)[0]


def _caption(stack: Stack, fit: Fit, factors: list[float], correlations: list[float], pairs: int, spread: float) -> str:
    """Numbers of the list."""
    spacing = resolution(stack)
    reach = "" if spacing is None else f", {spacing.max():.1f} to {spacing.min():.2f} angstrom"
    words = [
        f"{stack.name}, answer '{fit.method}': {int(seen(stack).sum())} entries with three energies or more{reach}.",
        "R per energy: " + ", ".join(f"{value:.4f}" for value in factors) + ".",
    ]
    if correlations:
        listed = ", ".join(f"{value:.3f}" for value in correlations)
        words.append(f"Correlation of observed and calculated Bijvoet differences over {pairs} pairs: {listed}.")
    if fit.nuisance is not None:
        words.append(f"The stated errors are multiplied by {fit.nuisance.noise_scale:.3f}, fitted.")
    words.append(
        f"The residuals have an rms of {spread:.2f} standard errors; with three unknowns fitted to the intensities "
        "of each reflection, less than 1 is expected."
    )
    return " ".join(words)
