"""Figures of spots and reflections: where a crystal predicts them, and how far off the spots lie."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from madpipe.base.plotting import (
    LOOKS,
    MAGNITUDE,
    REFERENCE,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    show_map,
    styled,
)
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.geometry import Crystal
from madpipe.stills.index.matching import Match, Widths, chance, match
from madpipe.stills.index.spots import Spots
from madpipe.stills.reflections.model import indices_within, predicted
from madpipe.stills.symmetry import primitive_basis

_BLOCKS = 500  # of a side at most, that an image is drawn with
_ZOOM = 0.13  # of the longer side of the panel
_IMAGES = 3  # whose spots are drawn together
_CELLS = 12  # of the map of residuals along the longer side
_FEWEST = 3  # spots of a cell with an arrow
_FARTHEST = 3.0  # from its reflection, of a spot in that map [pixel]
_LIMITS = np.concatenate([[0.0, 0.1], np.linspace(0.25, 6.0, 24)])  # [pixel]
_EXCITATION = 1e-3  # where indexing tells none [1/angstrom]


@dataclass(frozen=True)
class Seen:
    """Spots of an image and the lattice that explains them."""

    number: int
    spots: Spots
    crystal: Crystal
    widths: Widths

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Rows of a primitive basis [angstrom]."""
        basis: np.ndarray = primitive_basis(self.crystal) @ self.crystal.axes
        return basis


def seen(drawn: Drawn, number: int) -> Seen | None:
    """Find the spots of an image once more; None without a crystal."""
    crystal, listed = drawn.crystals[number], drawn.answers.indexed
    if crystal is None:
        return None
    row = None if listed is None else listed.images[number]
    excitation = _EXCITATION if row is None or row.excitation is None else row.excitation
    mosaic = 0.0 if row is None or row.mosaic is None else np.radians(row.mosaic)
    widths = Widths(azimuthal=float(mosaic), excitation=float(excitation))
    return Seen(number, drawn.spots(number), crystal, widths)


@styled
def predictions(drawn: Drawn) -> Picture:
    """Draw the first image with a crystal: its spots, the reflections that its crystal predicts, a part enlarged."""
    one = next(found for found in (seen(drawn, k) for k in range(len(drawn.images))) if found is not None)
    panel = int(np.bincount(one.spots.panel).argmax())
    image, beam, detector = drawn.images[one.number], drawn.images.beams[one.number], drawn.images.panels[panel]
    counts = np.where(image.good[panel], image.counts[panel], np.nan).astype(float)
    found = one.spots.at[one.spots.panel == panel]
    q = np.linalg.norm(one.spots.wave_vectors(drawn.images.panels, beam) - beam.s0, axis=1)
    resolution = 1 / float(np.quantile(q, 0.98))
    reflections = predicted(
        beam, [detector], one.crystal, indices_within(one.crystal, resolution), 2 * one.widths.excitation
    )
    figure = new_figure(TWO_COLUMNS, 3.55)
    left, right = figure.subplots(1, 2)
    typical = max(float(np.nanmedian(counts)), 0.3)
    norm = LogNorm(0.5 * typical, max(30 * typical, float(np.nanquantile(counts, 0.9999))))
    rows, columns = counts.shape
    step = -(-max(rows, columns) // _BLOCKS)
    show_map(left, _blocks(counts, step)[::-1], (0.0, float(columns), float(rows), 0.0), norm, MAGNITUDE)
    corner, side = _zoom(found, (columns, rows))
    part = counts[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    (x, y), (height, width) = corner.tolist(), part.shape
    extent = (float(x), float(x + width), float(y + height), float(y))
    bar = show_map(right, part[::-1], extent, norm, MAGNITUDE)
    left.add_patch(Rectangle((corner[0], corner[1]), side, side, fill=False, edgecolor="white", linewidth=1.0))
    left.plot(*reflections.xy.T, "o", markersize=2.0, fillstyle="none", color=LOOKS[1].color, markeredgewidth=0.35)
    inside = {"predicted": reflections.xy, "found": found}
    marks = ({"marker": "o", "markersize": 8.5, "fillstyle": "none"}, {"marker": "+", "markersize": 5.0})
    for (label, at), mark, colour in zip(inside.items(), marks, (LOOKS[1].color, "white"), strict=True):
        near = np.all((at > corner) & (at < corner + side), axis=1)
        right.plot(*at[near].T, linestyle="", color=colour, label=label, **mark)
    right.set(xlim=extent[:2], ylim=extent[2:], xlabel="column (pixel)")
    left.set(xlim=(0, columns), ylim=(rows, 0), xlabel="column (pixel)", ylabel="row (pixel)")
    right.legend(
        loc="upper right", frameon=True, facecolor="0.35", edgecolor="none", labelcolor="white", framealpha=0.9
    )
    colour_bar(bar, right, "photons per pixel", extend="both")
    right.xaxis.set_major_locator(MaxNLocator(5, prune="both"))  # lest a label meets the other axis'
    name_panels([left, right], ["image, predicted reflections", "the square enlarged"])
    distance = match(one.spots, one.axes, drawn.images.panels, beam, one.widths).distance
    words = (
        f"{drawn.title}, image {one.number + 1} of {len(drawn.images)}"
        f"{f', panel {panel + 1} of {len(drawn.images.panels)}' if len(drawn.images.panels) > 1 else ''}: "
        f"{len(found)} spots (crosses) and {len(reflections)} reflections of {one.crystal.space_group} that its "
        f"crystal predicts to {resolution:.2f} angstrom within {2 * one.widths.excitation:.1e} 1/angstrom of the Ewald "
        f"sphere (circles). {100 * np.mean(distance <= 2):.0f} % of the spots lie within 2 pixels of a reflection. "
        f"Left: largest counts of {step} by {step} pixels."
    )
    return Picture(figure, words)


def _blocks(counts: Float[np.ndarray, "row column"], step: int) -> Float[np.ndarray, "row column"]:
    """Largest value of each square of pixels; a square that is not whole at the edge is filled up with NaN."""
    rows, columns = (-(-size // step) for size in counts.shape)
    full = np.full((rows * step, columns * step), np.nan)
    full[: counts.shape[0], : counts.shape[1]] = counts
    cut = np.where(np.isnan(full), -np.inf, full).reshape(rows, step, columns, step).max(axis=(1, 3))
    return np.where(np.isinf(cut), np.nan, cut)


def _zoom(at: Float[np.ndarray, "spot 2"], size: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Corner and side of a square off the middle with many spots."""
    side = max(60, int(_ZOOM * max(size)))
    steps = [np.arange(0, max(1, one - side), max(1, side // 2)) for one in size]
    corners = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = np.all((at[None] > corners[:, None]) & (at[None] < corners[:, None] + side), axis=2)
    return corners[int(np.argmax(inside.sum(axis=1)))], side


@styled
def residuals(drawn: Drawn) -> Picture:
    """Draw where spots lie off their reflections over the detector, and how far, beside lattices turned at random."""
    known = [number for number, one in enumerate(drawn.crystals) if one is not None]
    some = np.array(known)[np.unique(np.linspace(0, len(known) - 1, min(_IMAGES, len(known))).astype(int))]
    sets = [one for one in (seen(drawn, int(number)) for number in some) if one is not None]
    panels = drawn.images.panels
    matches = [match(one.spots, one.axes, panels, drawn.images.beams[one.number], one.widths) for one in sets]
    by_chance = np.mean(
        [
            chance(one.spots, one.axes, panels, drawn.images.beams[one.number], one.widths, _LIMITS.tolist(), 4)
            for one in sets
        ],
        axis=0,
    )
    figure = new_figure(TWO_COLUMNS, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    panel = int(np.bincount(np.concatenate([one.spots.panel for one in sets])).argmax())
    largest = _arrows(left, sets, matches, panels[panel].shape, panel)
    distance = np.concatenate([one.distance for one in matches])
    share = [100 * float(np.mean(distance <= limit)) for limit in _LIMITS]
    right.plot(_LIMITS, share, **LOOKS[0].line(), label="the crystals")
    right.plot(_LIMITS, 100 * by_chance, **LOOKS[1].line(), label="turned at random")
    right.axvline(2.0, **REFERENCE.dash())
    right.set(xlabel="distance from a reflection (pixel)", ylabel="spots nearer than that (%)")
    right.set(ylim=(0, 100), xlim=(0, _LIMITS[-1]))
    right.legend(loc="center right")
    near = distance[distance <= _FARTHEST]
    name_panels([left, right], ["spot less reflection, median", f"{len(distance)} spots"])
    words = (
        f"{drawn.title}: {len(distance)} spots of {len(sets)} images. Left: median of spot less predicted reflection "
        f"in each part of the detector with {_FEWEST} spots or more, of those within {_FARTHEST:g} pixels; the largest "
        f"is {largest:.2f} pixel. Right: share of the spots within a distance of a reflection, and the same of these "
        f"lattices turned at random: {share[_at(2.0)]:.0f} % against {100 * by_chance[_at(2.0)]:.1f} % by chance "
        f"within 2 pixels. Rms distance of those within {_FARTHEST:g} pixels: {np.sqrt(np.mean(near**2)):.2f} pixel."
    )
    return Picture(figure, words)


def _at(limit: float) -> int:
    """Place of a limit in the list of all."""
    return int(np.argmin(np.abs(_LIMITS - limit)))


def _arrows(axes: Axes, sets: list[Seen], matches: list[Match], shape: tuple[int, int], panel: int) -> float:
    """Draw median residuals as arrows; the longest [pixel]."""
    at = np.concatenate([one.spots.at[one.spots.panel == panel] for one in sets])
    off = np.concatenate([-one.off[two.spots.panel == panel] for one, two in zip(matches, sets, strict=True)])
    distance = np.concatenate([one.distance[two.spots.panel == panel] for one, two in zip(matches, sets, strict=True)])
    use = distance <= _FARTHEST
    at, off = at[use], off[use]
    side = max(shape) / _CELLS
    cell = np.floor(at / side).astype(int)
    places, arrows = [], []
    for one in np.unique(cell, axis=0):
        here = np.all(cell == one, axis=1)
        if here.sum() >= _FEWEST:
            places.append((one + 0.5) * side)
            arrows.append(np.median(off[here], axis=0))
    axes.set(xlim=(0, shape[1]), ylim=(shape[0], 0), aspect="equal", xlabel="column (pixel)", ylabel="row (pixel)")
    if not arrows:
        return 0.0
    place, arrow = np.array(places), np.array(arrows)
    length = np.linalg.norm(arrow, axis=1)
    unit = max(float(np.quantile(length, 0.9)), 1e-3)
    drawn = axes.quiver(
        *place.T, *arrow.T, length, angles="xy", scale_units="xy", scale=unit / (0.9 * side), width=0.006,
        cmap=MAGNITUDE, pivot="middle",
    )  # fmt: skip
    colour_bar(drawn, axes, "length (pixel)")
    return float(length.max())
