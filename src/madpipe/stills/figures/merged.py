"""Figures of images and merged intensities: scales, quality by shell, and both beside the truth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from madpipe.base.metrics import correlation
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Look, Picture, name_panels, new_figure, styled
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.merge.merged import ErrorModel, Observations, merge, observations_of, with_errors
from madpipe.stills.merge.records import MergedQuality, ShellQuality
from madpipe.stills.records import ImageTable, Integrated, StillsTruth
from madpipe.stills.scores.common_part import relative_errors
from madpipe.stills.scores.validate import matched

_FEWEST = 10  # spots that tell a scale, reflections that tell a correlation
_CLEAR = 3.0  # errors of an intensity whose logarithm is taken
_BAND = 3.0  # standard deviations of chance
_NO_LINE = {"linestyle": ""}
_TICKS = (20.0, 10.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.2, 2.0, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0)  # of d [angstrom]


def integrated_and_merged(drawn: Drawn) -> tuple[Integrated, MergedQuality]:
    """Give both; a set without them has none of these figures."""
    if drawn.answers.integrated is None or drawn.answers.merged is None:
        raise ValueError("no integrated and merged intensities")
    return drawn.answers.integrated, drawn.answers.merged


def with_final_errors(integrated: Integrated, merged: MergedQuality) -> Observations:
    """Measurements with the errors that they were merged with."""
    return with_errors(observations_of(integrated), ErrorModel(merged.error_factor, merged.error_share))


@dataclass(frozen=True)
class ByOthers:
    """What the merged intensities of all other images say of one."""

    change: float  # ln of its scale by them, less the fitted one; NaN with fewer than 10 pairs
    error: float  # of counting
    logarithms: Float[np.ndarray, "2 clear"]  # ln of its intensities and of theirs, where both exceed 3 errors


def by_others(observations: Observations, image: int) -> ByOthers:
    r"""Scale of an image by the intensities of all others, over its fitted one.

    .. math:: g = \sum w I \bar I / \sum w \bar I^2,\qquad w = 1 / (\sigma^2 + \bar\sigma^2)

    Parameters
    ----------
    observations:
        Of all images, on the scale of the intensities.
    image:
        Its number.
    """
    others = merge(observations, observations.image != image)
    mine = (observations.image == image) & (others.number[observations.unique] > 0)
    number = observations.unique[mine]
    value, sigma, mean, spread = (
        observations.value[mine],
        observations.sigma[mine],
        others.mean[number],
        others.sigma[number],
    )
    clear = (value > _CLEAR * sigma) & (mean > _CLEAR * spread)
    logarithms = np.log(np.stack([value[clear], mean[clear]]))
    weight = 1 / (sigma**2 + spread**2)
    total = float(np.sum(weight * mean**2))
    scale = float(np.sum(weight * value * mean)) / total if total > 0 else math.nan
    if len(value) < _FEWEST or not scale > 0:
        return ByOthers(math.nan, math.nan, logarithms)
    return ByOthers(math.log(scale), 1 / math.sqrt(total) / scale, logarithms)


@styled
def images(drawn: Drawn) -> Picture:
    """Draw each image's ln G, B, spots and agreement, and its scale by the intensities of all others."""
    integrated, merged = integrated_and_merged(drawn)
    spots, table, _, _ = integrated.tables()
    place, count = np.arange(1, len(table.axes) + 1), len(table.axes)
    observations = with_final_errors(integrated, merged)
    found = [by_others(observations, k) for k in range(count)]
    figure = new_figure(TWO_COLUMNS, 3.6)
    panels = list(figure.subplots(2, 3).ravel())
    good = table.good.astype(bool)
    used = np.bincount(spots.image[spots.outlier == 0], minlength=count)
    _bars(panels[0], place, table.ln_scale, table.ln_scale_errors, good)
    _bars(panels[1], place, table.wilson_b, table.wilson_b_errors, good)
    _bars(panels[2], place, used, np.sqrt(np.zeros(count)), good)
    _bars(panels[3], place, table.correlation, np.zeros(count), good)
    _bars(panels[4], place, table.chi2, np.zeros(count), good)
    apart, error = np.array([[one.change, one.error] for one in found]).T
    _bars(panels[5], place, apart, error, good)
    for one, value in ((panels[3], 1.0), (panels[4], 1.0), (panels[5], 0.0)):
        one.axhline(value, **REFERENCE.dash())
    labels = (
        "ln G (1)",
        r"Wilson B ($\mathrm{\AA}^2$)",
        "spots",
        "correlation (1)",
        "chi-square per spot (1)",
        "ln G change (1)",
    )
    for one, label in zip(panels, labels, strict=True):
        one.set(ylabel=label, xlim=(0.4, count + 0.6))
        one.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panels[2].set_ylim(0, 1.15 * used.max())
    for one in panels[3:]:
        one.set(xlabel="image")
    titles = ["scale", "falling off", "spots used", "photons and model", "misfit", "scale by the others"]
    name_panels(panels, titles)
    return Picture(figure, _words_of_images(drawn, table, found))


def _bars(axes: Axes, place: np.ndarray, value: np.ndarray, error: np.ndarray, good: Bool[np.ndarray, "image"]) -> None:
    """Values with errors, of good images and of others."""
    for look, chosen in ((LOOKS[0], good), (LOOKS[1], ~good)):
        if chosen.any():
            shown = np.where(error[chosen] > 0, error[chosen], np.nan)
            axes.errorbar(place[chosen], value[chosen], shown, **{**look.points(), **_NO_LINE})


def _words_of_images(drawn: Drawn, table: ImageTable, found: list[ByOthers]) -> str:
    """What the panels show, in numbers."""
    clear = [one.logarithms for one in found if one.logarithms.shape[1] >= _FEWEST]
    related = [correlation(*one) for one in clear]
    apart = np.array([one.change for one in found])
    known = np.isfinite(apart)
    others = (
        f"Scale by the others: that which the merged intensities of all other images give, less the fitted ln G; rms "
        f"{np.sqrt(np.mean(apart[known] ** 2)):.3f}. What the others say of an image's reflections correlates with it "
        f"by {min(related):.3f} to {max(related):.3f} (ln I above {_CLEAR:g} errors, "
        f"{sum(one.shape[1] for one in clear)} pairs)."
        if known.any() and related
        else "No image has enough reflections in common with the others to tell its scale."
    )
    bad = int((table.good == 0).sum())
    return (
        f"{drawn.title}: each of {len(table.axes)} images, with standard errors. ln G from {table.ln_scale.min():.2f} "
        f"to {table.ln_scale.max():.2f}, Wilson B from {table.wilson_b.min():.1f} to {table.wilson_b.max():.1f} square "
        f"angstrom, correlation of photons with the model {table.correlation.min():.3f} to "
        f"{table.correlation.max():.3f}. "
        f"{f'Doubtful: {bad} (open squares).' if bad else 'All of them are good.'} "
        f"{others}"
    )


@styled
def shells(drawn: Drawn) -> Picture:
    """Draw correlations of merged intensities and signal over noise by shell of resolution."""
    integrated, merged = integrated_and_merged(drawn)
    middle = np.array([0.5 / one.lowest**2 + 0.5 / one.highest**2 for one in merged.shells])
    figure = new_figure(TWO_COLUMNS, 2.7)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    true = true_correlations(integrated, drawn.truth, merged.shells)
    lines = (
        ("CC1/2", [one.cc_half for one in merged.shells], LOOKS[0]),
        ("CC to the reference", [one.cc_reference for one in merged.shells], LOOKS[1]),
        ("CC to the truth", true, LOOKS[2]),
    )
    for label, values, look in lines:
        _line(left, middle, values, look, label)
    centre = np.array([one.null_mean if one.null_mean is not None else np.nan for one in merged.shells])
    spread = np.array([one.null_sd if one.null_sd is not None else np.nan for one in merged.shells])
    if np.isfinite(centre).any():
        left.fill_between(
            middle, centre - _BAND * spread, centre + _BAND * spread, color="0.85", lw=0, label="shuffled reference"
        )
    left.set(ylabel="correlation (1)", ylim=(-0.3, 1.05))
    left.legend(loc="center left", ncols=2)
    _line(right, middle, [one.i_over_sigma for one in merged.shells], LOOKS[0], r"$\langle I/\sigma \rangle$")
    right.set(ylabel=r"$\langle I/\sigma \rangle$ (1)", ylim=(0, None))
    twin = right.twinx()
    multiplicity = [one.measurements / max(one.unique, 1) for one in merged.shells]
    _line(twin, middle, multiplicity, LOOKS[1], "multiplicity")
    twin.set(ylabel="measurements per reflection", ylim=(0, None))
    handles = [*right.get_lines(), *twin.get_lines()]
    right.legend(handles=handles, loc="lower left")
    for one in (left, right):
        _resolution_axis(one, 1 / merged.shells[-1].highest ** 2)
        if merged.resolution is not None:
            one.axvline(1 / merged.resolution**2, **REFERENCE.dash())
    name_panels([left, right], ["agreement", "signal over noise"])
    return Picture(figure, _words_of_shells(drawn, merged, true))


def _line(axes: Axes, at: np.ndarray, values: Sequence[float | None], look: Look, label: str) -> None:
    """A curve, left out where nothing is known."""
    shown = np.array([np.nan if one is None else one for one in values], dtype=float)
    if np.isfinite(shown).any():
        axes.plot(at, shown, **look.line(), label=label)


def _resolution_axis(axes: Axes, end: float) -> None:
    """Even in 1/d^2, labelled with d."""
    kept: list[float] = []
    for d in _TICKS:
        if 1 / d**2 < 1.05 * end and (not kept or 1 / d**2 - 1 / kept[-1] ** 2 > 0.1 * end):
            kept.append(d)
    axes.set_xticks([1 / d**2 for d in kept], [f"{d:g}" for d in kept])
    axes.set(xlabel=r"d ($\mathrm{\AA}$)", xlim=(0, 1.05 * end))


def true_correlations(
    integrated: Integrated, truth: StillsTruth | None, ranges: tuple[ShellQuality, ...]
) -> list[float | None]:
    """Correlation of merged with true intensities in each shell; None without a truth, or with too few."""
    if truth is None:
        return [None] * len(ranges)
    _, table, intensities, _ = integrated.tables()
    known = {tuple(hkl): value for hkl, value in zip(truth.hkl.tolist(), truth.intensity, strict=True)}
    true = np.array([known.get(tuple(hkl), np.nan) for hkl in intensities.hkl.tolist()])
    merged = merge(observations_of(integrated))
    d = 1 / np.linalg.norm(intensities.hkl @ np.linalg.inv(table.axes[0]).T, axis=1)
    found: list[float | None] = []
    for one in ranges:
        tiny = 1e-9 * one.lowest
        use = (merged.number > 0) & np.isfinite(true) & (d <= one.lowest + tiny) & (d >= one.highest - tiny)
        found.append(correlation(merged.mean[use], true[use]) if use.sum() >= _FEWEST else None)
    return found


def _words_of_shells(drawn: Drawn, merged: MergedQuality, true: list[float | None]) -> str:
    """What the panels show, in numbers."""
    whole = merged.whole
    said = []
    if whole.cc_half is not None:
        said.append(f"CC1/2 {whole.cc_half:.3f} ({whole.pairs} reflections in both halves)")
    if whole.cc_reference is not None and whole.null_mean is not None and whole.null_sd is not None:
        said.append(
            f"CC to the reference {whole.cc_reference:.3f}, and {whole.null_mean:.3f} +- {whole.null_sd:.3f} when the "
            f"reference is shuffled in shells (grey: {_BAND:g} standard deviations)"
        )
    known = [one for one in true if one is not None]
    if known:
        said.append(f"CC to the truth {min(known):.3f} to {max(known):.3f} by shell")
    ratio = "" if whole.i_over_sigma is None else f" Mean I/sigma {whole.i_over_sigma:.1f}."
    limit = "no limit" if merged.resolution is None else f"limit {merged.resolution:.2f} angstrom (line)"
    return (
        f"{drawn.title}: {whole.unique} reflections of {merged.space_group} from {whole.measurements} measurements on "
        f"{merged.images} images. {'; '.join(said)}.{ratio} Resolution: {limit}, by {merged.rule}. Errors of counting "
        f"times {merged.error_factor:.2f}, with {100 * merged.error_share:.1f} % of I added."
    )


@styled
def scales(drawn: Drawn) -> Picture:
    """Draw ln G and B of each image against the truth, and how far they are off."""
    integrated, _ = integrated_and_merged(drawn)
    table, truth = integrated.tables()[1], drawn.truth
    if truth is None:
        raise ValueError("no truth")
    place = matched(table.names, len(truth.axes))
    figure = new_figure(TWO_COLUMNS, 3.4)
    panels = figure.subplots(2, 2, height_ratios=(2, 1), sharex="col")
    good, words, errors = table.good.astype(bool), [], relative_errors(integrated)
    drawings = (
        ("ln G (1)", table.ln_scale, errors.ln_scale, truth.ln_scale[place]),
        (r"Wilson B ($\mathrm{\AA}^2$)", table.wilson_b, errors.wilson_b, truth.wilson_b[place]),
    )
    for column, (label, value, error, true) in enumerate(drawings):
        off = value - true
        mean = float(off[good].mean()) if good.any() else float(off.mean())
        upper, lower = panels[0, column], panels[1, column]
        ends = np.array([true.min(), true.max()])
        upper.plot(ends, ends, **REFERENCE.dash())
        _bars(upper, true, value - mean, error, good)
        lower.axhline(0.0, **REFERENCE.dash())
        _bars(lower, true, off - mean, error, good)
        upper.set(ylabel=f"found {label}")
        lower.set(xlabel=f"true {label}", ylabel="difference")
        pulls = ((off - mean) / error)[good]
        words.append(
            f"{('ln G', 'B')[column]}: rms difference {np.sqrt(np.mean((off - mean)[good] ** 2)):.3g}, stated error "
            f"less its common part {np.sqrt(np.mean(error[good] ** 2)):.3g}, rms of difference over error "
            f"{np.sqrt(np.mean(pulls**2)):.2f}, "
            f"correlation {correlation(value[good], true[good]):.4f}, common offset {mean:.3g} taken off"
        )
    name_panels(list(panels[0]), ["scale", "falling off"])
    figure.align_ylabels()
    return Picture(figure, f"{drawn.title}: ln G and Wilson B of {good.sum()} good images. {'; '.join(words)}.")
