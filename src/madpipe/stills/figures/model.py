"""Figure of what all images share: widths of the spots, partiality, and how the parameters hang together."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from madpipe.base.metrics import with_error
from madpipe.base.plotting import (
    LOOKS,
    REFERENCE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    show_map,
    styled,
)
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.figures.merged import integrated_and_merged, with_final_errors
from madpipe.stills.merge.merged import Observations
from madpipe.stills.records import InstrumentTable, SpotTable

_PER_MILLE = 1e3  # of 1/angstrom
_BINS, _FEWEST = 17, 10
_SAID, _LIGHT = 0.1, 0.3  # correlation from which on it is written, and in black
_NAMES = {"ln_mosaic_radius": "ln R0", "ln_bandwidth": "ln b", "centre_fast": "x", "centre_slow": "y"}
_NO_LINE = {"linestyle": ""}


@styled
def instrument(drawn: Drawn) -> Picture:
    """Draw R1 by shell, photons against excitation error, and the reference's worth or the parameters' correlations."""
    integrated = drawn.answers.integrated
    if integrated is None:
        raise ValueError("no integrated spots")
    spots, _, _, table = integrated.tables()
    several = len(table.correlations) > 1
    figure = new_figure(TWO_COLUMNS, 2.5)
    panels = list(figure.subplots(1, 3))
    middle = (table.shell_edges[1:] + table.shell_edges[:-1]) / 2
    panels[0].errorbar(
        middle, _PER_MILLE * table.widths, _PER_MILLE * table.width_errors, **{**LOOKS[0].points(), **_NO_LINE}
    )
    panels[0].set(xlabel=r"1/d$^2$ ($\mathrm{\AA}^{-2}$)", ylabel=r"R1 ($10^{-3}\ \mathrm{\AA}^{-1}$)")
    panels[0].set_ylim(0, 1.2 * _PER_MILLE * float(table.widths.max()))
    radius = float(np.exp(table.values[0]))
    chi2 = _partiality(panels[1], spots, radius)
    titles, more = ["width of the spots", "partiality"], ""
    if several:
        more = _correlations(panels[2], table)
        titles.append("correlations")
    elif len(table.calibration_ln_z) > 1:
        more = _reference(panels[2], table)
        titles.append("worth of the reference")
    else:
        more = _deviations(panels[2], deviations(with_final_errors(*integrated_and_merged(drawn))))
        titles.append("deviations")
    name_panels(panels, titles)
    error = radius * float(table.errors[0])
    return Picture(
        figure,
        f"{drawn.title}: radius R1 of the spots across the Ewald sphere in {len(middle)} shells, "
        f"{_PER_MILLE * table.widths.min():.3f} to {_PER_MILLE * table.widths.max():.3f}, errors "
        f"{_PER_MILLE * table.width_errors.max():.4f} at most; mean of photons over those of a full reflection by "
        f"error of excitation, and the fitted law exp(-eps^2/R0^2) with R0 "
        f"{with_error(_PER_MILLE * radius, _PER_MILLE * error)}, all in 1/(1000 angstrom). {chi2}{more}",
    )


def _partiality(axes: Axes, spots: SpotTable, radius: float) -> str:
    """Photons over those of a full reflection by excitation error, and the law of the fit."""
    edge = 1.7 * radius
    bins = np.linspace(-edge, edge, _BINS + 1)
    full = spots.expected / np.maximum(spots.partiality, 1e-12)
    use = (spots.outlier == 0) & (full > 0)
    number = np.digitize(spots.excitation, bins) - 1
    at, share, error = [], [], []
    for one in range(_BINS):
        here = use & (number == one)
        if here.sum() < _FEWEST:
            continue
        weight = full[here].sum()
        at.append(0.5 * (bins[one] + bins[one + 1]))
        share.append(spots.photons[here].sum() / weight)
        off = spots.photons[here] - share[-1] * full[here]
        error.append(float(np.sqrt(np.sum(off**2))) / weight)
    line = np.linspace(-edge, edge, 200)
    axes.plot(_PER_MILLE * line, np.exp(-((line / radius) ** 2)), color=LOOKS[1].color, label="fit")
    axes.errorbar(_PER_MILLE * np.array(at), share, error, **{**LOOKS[0].points(), **_NO_LINE}, label="spots")
    axes.set(
        xlabel=r"excitation error ($10^{-3}\ \mathrm{\AA}^{-1}$)",
        ylabel="photons over full (1)",
        ylim=(0, 1.15 * max(1.1, max(share, default=1.0))),
    )
    axes.legend(loc="upper right")
    apart = np.array(share) - np.exp(-((np.array(at) / radius) ** 2))
    return f"Largest difference of a mean from the law {np.abs(apart).max(initial=0.0):.3f}. "


def _correlations(axes: Axes, table: InstrumentTable) -> str:
    """Correlation matrix of the shared parameters."""
    fitted = np.flatnonzero(table.errors > 0)
    names = [_short(table.names.split(",")[k]) for k in fitted][: len(table.correlations)]
    correlation_map(axes, table.correlations, names)
    off = np.abs(table.correlations - np.eye(len(table.correlations)))
    one, other = np.unravel_index(int(off.argmax()), off.shape)
    return f"Largest correlation {table.correlations[one, other]:.2f}, of {names[one]} and {names[other]}."


def correlation_map(axes: Axes, matrix: Float[np.ndarray, "number number"], names: list[str], bar: bool = True) -> None:
    """Draw a correlation matrix, its first row on top."""
    count = len(matrix)
    drawn = show_map(axes, matrix[::-1], (-0.5, count - 0.5, count - 0.5, -0.5), Normalize(-1, 1), SIGNED)
    axes.set_xticks(range(count), names, rotation=90)
    axes.set_yticks(range(count), names)
    axes.tick_params(which="both", length=0)
    for row, column in zip(*np.nonzero(np.abs(matrix - np.eye(count)) >= _SAID), strict=True):
        ink = "black" if matrix[row, column] > _LIGHT else "white"
        axes.text(column, row, f"{matrix[row, column]:.1f}", ha="center", va="center", fontsize=5, color=ink)
    if bar:
        colour_bar(drawn, axes, "correlation (1)")


def _short(name: str) -> str:
    """Name for a tick."""
    known = _NAMES.get(name, name)
    return f"ln R1 {known.rpartition('_')[2]}" if known.startswith("ln_width") else known.replace("_", " ")


def _reference(axes: Axes, table: InstrumentTable) -> str:
    """Mean intensity over the reference's, and scatter, by the reference's intensity."""
    at = np.exp(table.calibration_ln_z)
    axes.axhline(1.0, **REFERENCE.dash())
    axes.plot(at, table.calibration_ratio, **LOOKS[0].line(), label="mean over reference")
    axes.plot(at, table.calibration_doubt, **LOOKS[1].line(), label=r"scatter $\tau$")
    axes.set(xscale="log", xlabel="reference over its shell's mean (1)", ylabel="relative (1)", ylim=(0, 1.6))
    axes.legend(loc="upper left")
    return (
        f"Right: the mean of I over the reference's, {table.calibration_ratio.min():.2f} to "
        f"{table.calibration_ratio.max():.2f}, and its relative scatter tau, {table.calibration_doubt.min():.2f} to "
        f"{table.calibration_doubt.max():.2f}, by the reference's intensity."
    )


def deviations(observations: Observations) -> Float[np.ndarray, "spot"]:
    r"""Intensities less the mean of the others of the same reflection, over the error of both.

    .. math:: (I - \bar I) / \sqrt{\sigma^2 + \bar\sigma^2},\qquad \bar\sigma^{-2} = \sum_{others} \sigma^{-2}

    Parameters
    ----------
    observations:
        Of all images; reflections that are measured once are left out.
    """
    weight, number = 1 / observations.sigma**2, observations.unique
    several = np.bincount(number, minlength=observations.count)[number] > 1
    left = (np.bincount(number, weight, observations.count)[number] - weight)[several]
    total = np.bincount(number, weight * observations.value, observations.count)[number]
    mean = (total - weight * observations.value)[several] / left
    found: np.ndarray = (observations.value[several] - mean) / np.sqrt(observations.sigma[several] ** 2 + 1 / left)
    return found


def _deviations(axes: Axes, pulls: Float[np.ndarray, "spot"]) -> str:
    """Deviations from the other measurements, beside the unit normal law."""
    bins = np.linspace(-6, 6, 49).tolist()
    heights, _, _ = axes.hist(
        pulls, bins=bins, density=len(pulls) > 0, histtype="stepfilled", color=LOOKS[0].color, alpha=0.5, label="spots"
    )
    line = np.linspace(-6, 6, 200)
    axes.plot(line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi), **REFERENCE.dash(), label="unit normal law")
    axes.set(xlabel="deviation (error)", ylabel="density (1)", ylim=(0, 1.35 * max(0.4, float(np.max(heights)))))
    axes.legend(loc="upper center")
    if not len(pulls):
        return "Right: no reflection is measured twice."
    return (
        f"Right: {len(pulls)} intensities less the mean of the other measurements of the reflection, over the final "
        f"errors of both; rms {np.sqrt(np.mean(pulls**2)):.2f}, median of the size {np.median(np.abs(pulls)):.2f} "
        "(0.67 of a normal law)."
    )
