"""Figure of a size distribution: volume by size with errors and the range that q reaches, and its curve."""

import numpy as np
from jaxtyping import Float

from madpipe.base.metrics import with_error
from madpipe.base.plotting import HIDDEN, LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.saxs.records_size import SizeDistribution

_SHARES = (10, 50, 90)  # %


@styled
def size_distribution(
    found: SizeDistribution, other: Float[np.ndarray, "bin column"] | None = None, other_name: str = "other program"
) -> Picture:
    """Draw volume per size with its errors, grey where q does not reach, beside another program's; and the curve.

    Parameters
    ----------
    found:
        The distribution.
    other:
        Sizes [angstrom], volume fraction per size [1/angstrom], and its error where there is a third column.
    other_name:
        Whose that is.
    """
    figure = new_figure(TWO_COLUMNS, 2.8)
    left, right = figure.subplots(1, 2)
    low, high = found.density - found.density_error, found.density + found.density_error
    left.fill_between(found.size, np.maximum(low, 0), high, color=LOOKS[0].color, alpha=0.3, lw=0)
    left.plot(found.size, found.density, color=LOOKS[0].color, label="estimate")
    if other is not None:
        error = other[:, 2] if other.shape[1] > 2 else None
        kept = {**LOOKS[1].points(), "linestyle": "", "markersize": 2.0, "elinewidth": 0.4, "capsize": 0.0}
        left.errorbar(other[:, 0], other[:, 1], error, **kept, label=other_name, zorder=1)
    for start, end in _untrusted(found):
        left.axvspan(start, end, color=HIDDEN, alpha=0.6, lw=0, zorder=0)
    for value in found.percentiles:
        left.axvline(value, **REFERENCE.dash(), linewidth=0.7)
    left.set(xscale="log", xlabel=r"size ($\mathrm{\AA}$)", ylabel=r"volume fraction per size ($\mathrm{\AA}^{-1}$)")
    left.set(xlim=(found.edges[0], found.edges[-1]), ylim=(0, None))
    left.legend(loc="upper left")
    right.errorbar(
        found.q,
        found.intensity,
        found.sigma,
        fmt="o",
        markersize=1.8,
        elinewidth=0.4,
        capsize=0.0,
        color=LOOKS[0].color,
        label="data",
    )
    right.plot(found.q, found.fitted, color="black", linewidth=0.8, label="fit", zorder=4)
    right.set(xscale="log", yscale="log", xlabel=r"q ($\mathrm{\AA}^{-1}$)", ylabel=r"I (cm$^{-1}$)")
    right.legend(loc="lower left")
    name_panels([left, right], ["volume by size", "curve"])
    told = ", ".join(
        f"{share} % of the volume below {with_error(value, error)}"
        for share, value, error in zip(_SHARES, found.percentiles, found.percentile_errors, strict=True)
    )
    grey = " Grey: sizes that the range of q does not reach." if _untrusted(found) else ""
    words = (
        f"Size distribution ({found.method}): volume fraction {with_error(found.total, found.total_error)}; {told} "
        f"angstrom (dotted); band: one standard deviation.{grey} Chi-square per point {found.chi2:.3g}."
    )
    return Picture(figure, words if other is None else f"{words} Points: {other_name}.")


def _untrusted(found: SizeDistribution) -> list[tuple[float, float]]:
    """Ranges of size that the range of q does not reach [angstrom]."""
    hidden = np.concatenate([[0], (found.is_trusted == 0).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(hidden) == 1), np.flatnonzero(np.diff(hidden) == -1)
    return [(float(found.edges[a]), float(found.edges[b])) for a, b in zip(starts, ends, strict=True)]


FIGURES = {"size_distribution": size_distribution}
