"""Figures of a decomposition: rank, evolving factors, concentrations with their bands, curves of the components."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from madpipe.base.plotting import (
    LOOKS,
    ONE_COLUMN,
    REFERENCE,
    TWO_COLUMNS,
    Picture,
    name_panels,
    new_figure,
    styled,
)
from madpipe.kinetics.records import Parts, SeriesTruth
from madpipe.kinetics.scores.validate import forward_shares, truth_in_order

_SHOWN = 12  # singular values
_SIGNED = 0.05  # of the largest intensity, below 0: a curve is one of differences
_DECADES = 1e-5  # of the largest intensity that are drawn
_LOG_FROM = 100.0  # last time over the first from which the axis of time is logarithmic


@styled
def scree(parts: Parts) -> Picture:
    """Draw singular values, the noise's edge and the threshold of parallel analysis; autocorrelation beside them."""
    figure = new_figure(TWO_COLUMNS, 2.4)
    left, right = figure.subplots(1, 2)
    count = min(_SHOWN, len(parts.singular_values))
    place = np.arange(1, count + 1)
    left.plot(place, parts.singular_values[:count], **LOOKS[0].points(), linestyle="", label="series")
    left.axhline(parts.threshold, **LOOKS[1].dash(), label="parallel analysis")
    left.axhline(parts.noise_edge, **REFERENCE.dash(), label="edge of the noise")
    left.set(yscale="log", xlabel="component", ylabel="singular value (1)")
    left.legend()
    for values, look, label in (
        (parts.autocorrelation_frame, LOOKS[0], "along frames"),
        (parts.autocorrelation_q, LOOKS[1], "along q"),
    ):
        shown = values[:count]
        right.plot(np.arange(1, len(shown) + 1), shown, **look.line(), label=label)
    right.axhline(0.0, **REFERENCE.dash())
    right.set(xlabel="component", ylabel="autocorrelation (1)", ylim=(-0.6, 1.1))
    right.legend()
    name_panels([left, right], ["singular values", "singular vectors"])
    words = (
        f"Singular values of the weighted series: {parts.rank} above the threshold of parallel analysis "
        f"{parts.threshold:.4g}; the noise's edge alone ({parts.noise_edge:.4g}) says {parts.rank_by_edge}. A "
        f"component below a singular value of {parts.detectable:.4g} without noise would not be seen. Noise over the "
        f"stated sigmas: {parts.noise_factor:.3f}."
    )
    return Picture(figure, words)


@styled
def evolving(parts: Parts) -> Picture:
    """Draw singular values of the frames up to each, and from each on, with the threshold and the edges found."""
    figure = new_figure(TWO_COLUMNS, 2.5)
    panels = list(figure.subplots(1, 2, sharey=True))
    for axes, values, edges in ((panels[0], parts.forward, parts.first), (panels[1], parts.backward, parts.last)):
        for number, look in zip(range(values.shape[1]), LOOKS, strict=False):
            axes.plot(parts.frame, values[:, number], **look.dash(), label=f"value {number + 1}")
        threshold = parts.evolving_threshold if axes is panels[0] else parts.evolving_threshold[::-1]
        axes.plot(parts.frame, threshold, **REFERENCE.dash(), label="threshold")
        for edge in edges:
            axes.axvline(parts.frame[int(edge)], color="0.7", linewidth=0.6)
        axes.set(yscale="log", xlabel="frame")
    panels[0].set_ylabel("singular value (1)")
    panels[0].set_ylim(0.3 * float(parts.evolving_threshold[0]), None)
    panels[0].legend()
    name_panels(panels, ["forward", "backward"])
    ranges = ", ".join(
        f"{parts.frame[int(first)]} to {parts.frame[int(last)]}"
        for first, last in zip(parts.first, parts.last, strict=True)
    )
    words = (
        "Evolving factor analysis: singular values of the frames up to each one, and from each one on; vertical lines "
        f"are edges of the components' ranges (frames {ranges})."
    )
    return Picture(figure, words)


@styled
def concentrations(
    parts: Parts, truth: SeriesTruth | None = None, reference: Mapping[str, Sequence[float]] | None = None
) -> Picture:
    """Draw each component's concentration with its band; the truth or another program's answer beside it."""
    theirs = {name: values for name, values in (reference or {}).items() if len(values) == len(parts.frame)}
    shares = forward_shares(parts) if theirs else None
    figure = new_figure(TWO_COLUMNS if shares is not None else 1.6 * ONE_COLUMN, 2.7)
    panels = list(figure.subplots(1, 2)) if shares is not None else [figure.subplots()]
    x, names = axis_of(parts), parts.names.split("\n")
    for k, (name, look) in enumerate(zip(names, LOOKS, strict=False)):
        panels[0].fill_between(x, parts.low[:, k], parts.high[:, k], color=look.color, alpha=0.2, lw=0)
        panels[0].plot(x, parts.concentrations[:, k], **look.dash(), label=name)
    expected = None if truth is None else truth_in_order(parts, truth)
    if expected is not None:
        panels[0].plot(x, expected, **REFERENCE.dash())
        panels[0].plot([], [], **REFERENCE.dash(), label="truth")
    _label_axis(panels[0], parts)
    label = "fraction (1)" if parts.unit == "fraction" else "share of the largest signal (1)"
    panels[0].set_ylabel(label)
    panels[0].legend()
    if shares is not None:
        _beside(panels[1], parts, x, shares, theirs)
        name_panels(panels, ["concentrations and their bands", "beside another program"])
    words = _width_in_words(parts, names) + ("; dotted: truth." if expected is not None else ".")
    return Picture(figure, words)


def _beside(
    axes: Axes,
    parts: Parts,
    x: Float[np.ndarray, " frame"],
    shares: Float[np.ndarray, "frame component"],
    theirs: Mapping[str, Sequence[float]],
) -> None:
    """Draw shares of I(0) and those of another program."""
    looks = dict(zip(parts.names.split("\n"), LOOKS, strict=False))
    for k, (name, look) in enumerate(looks.items()):
        axes.plot(x, shares[:, k], **look.dash(), label=name)
    for name, values in theirs.items():
        axes.plot(x, values, **looks.get(name, LOOKS[-1]).points(), linestyle="", label=f"{name}, another program")
    _label_axis(axes, parts)
    axes.set_ylabel("share of I(0) (1)")
    axes.legend()


def _width_in_words(parts: Parts, names: Sequence[str]) -> str:
    """How far the concentrations are determined."""
    told = ", ".join(
        f"{name} {share:.3f} ({low:.3f} to {high:.3f})"
        for name, share, (low, high) in zip(names, parts.share, parts.share_band, strict=True)
    )
    return (
        f"Concentrations of the components; bands: all solutions that fit as well, with two standard deviations of "
        f"noise. Shares of the whole series: {told}. Chi-square {parts.chi2:.4g}, of the best matrix of this rank "
        f"{parts.chi2_floor:.4g}; widest band {np.ptp(parts.share_band, axis=1).max():.2f}"
    )


@styled
def components(parts: Parts) -> Picture:
    """Draw each component's curve with its band and, where there is one, its P(r)."""
    with_pairs = bool(np.isfinite(parts.pair_distances).any())
    figure = new_figure(TWO_COLUMNS if with_pairs else 1.6 * ONE_COLUMN, 2.8)
    panels = list(figure.subplots(1, 2)) if with_pairs else [figure.subplots()]
    told = []
    for k, (name, look) in enumerate(zip(parts.names.split("\n"), LOOKS, strict=False)):
        low, high = parts.rg_band[k]
        told.append(
            f"{name} {parts.rg[k]:.2f} angstrom ({low:.2f} to {high:.2f})" if np.isfinite(parts.rg[k]) else name
        )
        label = f"{name}, Rg {parts.rg[k]:.1f} $\\AA$" if np.isfinite(parts.rg[k]) else name
        panels[0].fill_between(
            parts.q, parts.profiles_low[k], parts.profiles_high[k], color=look.color, alpha=0.2, lw=0
        )
        panels[0].plot(parts.q, parts.profiles[k], **look.dash(), label=label)
        if with_pairs:
            panels[1].plot(parts.distances[k], parts.pair_distances[k], **look.dash(), label=name)
    is_signed = float(parts.profiles.min()) < -_SIGNED * float(parts.profiles.max())  # differences of curves
    if not is_signed:
        least = max(0.1 * float(np.median(parts.profiles_sigma)), _DECADES * float(parts.profiles.max()))
        panels[0].set_yscale("log")
        panels[0].set_ylim(least, 2 * float(parts.profiles_high.max()))
    panels[0].set(xscale="log", xlabel=r"q ($\AA^{-1}$)", ylabel="intensity")
    panels[0].xaxis.set_minor_formatter(NullFormatter())
    panels[0].legend()
    if with_pairs:
        panels[1].axhline(0.0, **REFERENCE.dash())
        panels[1].set(xlabel=r"distance ($\AA$)", ylabel="P(r)")
        name_panels(panels, ["curves", "pair distances"])
    return Picture(figure, f"Curves of the components, with bands as of the concentrations. Rg: {', '.join(told)}.")


def axis_of(parts: Parts) -> Float[np.ndarray, " frame"]:
    """Time [s] where the series has times, else the frame."""
    return parts.frame.astype(float) if parts.time is None else parts.time


def _label_axis(axes: Axes, parts: Parts) -> None:
    """Name the axis of time; logarithmic where times span decades."""
    if parts.time is None:
        axes.set_xlabel("frame")
        return
    is_wide = parts.time.min() > 0 and parts.time.max() > _LOG_FROM * parts.time.min()
    axes.set(xlabel="time (s)", xscale="log" if is_wide else "linear")
