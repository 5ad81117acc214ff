"""Spots: connected pixels that stand out of the local background, with centroids and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.measured.images import Image

_QUIET = 3.0  # sigma above which a pixel is no background
_FEWEST = 0.1  # share of the window that must measure, else its background is not known
_FLOOR = 0.25  # of the background's variance: where hardly a photon falls, three stand out [photon^2]
_PIXEL = 1 / 12  # variance of a position within a pixel [pixel^2]


@dataclass(frozen=True)
class SpotConfig:
    """What makes a spot."""

    threshold: float = 6.0  # sigma of the local background
    fewest_pixels: int = 2
    most_pixels: int = 300  # more are a ring, a shadow's edge or the beam itself
    half_window: int = 10  # of the local background [pixel]


@dataclass(frozen=True)
class Spots:
    """Spots of one image, those of the first panel first."""

    at: Float[np.ndarray, "spot 2"]  # centroid (fast, slow) [pixel]; the middle of the first pixel is (0.5, 0.5)
    error: Float[np.ndarray, "spot 2"]  # its standard deviation [pixel]
    panel: Int[np.ndarray, "spot"]
    photons: Float[np.ndarray, "spot"]  # above the background
    pixels: Int[np.ndarray, "spot"]  # above the threshold
    saturated: Bool[np.ndarray, "spot"]  # one pixel at least is

    def __len__(self) -> int:
        return len(self.photons)

    def only(self, chosen: Bool[np.ndarray, "spot"] | Int[np.ndarray, "chosen"]) -> "Spots":
        """Some of them, by a mask or by their numbers."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def wave_vectors(self, panels: Sequence[Panel], beam: Beam) -> Float[np.ndarray, "spot 3"]:
        """Scattered wave vectors over 2 pi, of the beam's length [1/angstrom]."""
        rays = np.zeros((len(self), 3))
        for number, panel in enumerate(panels):
            here = self.panel == number
            rays[here] = panel.position(self.at[here])
        return rays / np.linalg.norm(rays, axis=1, keepdims=True) / beam.wavelength


def find_spots(image: Image, config: SpotConfig | None = None) -> Spots:
    """Find the spots of an image.

    A pixel belongs to a spot if its counts exceed the background :math:`b` around it by threshold times
    :math:`\\sqrt{b}`; pixels that share an edge or a corner are one spot. The centroid weighs the counts above the
    background of these pixels and of all next to them. Its variance is that of counting, by the delta method
    :math:`\\sum v (x - \\bar x)^2 / (\\sum (I - b))^2`, and that of a place within a pixel, 1/12 over the square of the
    number of pixels.

    Parameters
    ----------
    image:
        Counts [photon].
    config:
        Threshold and sizes.

    Notes
    -----
    Spots that touch are one. Pixels that do not measure are left out, so spots beside a gap are drawn away from it.
    """
    chosen = config or SpotConfig()
    every = [_of_panel(image, number, chosen) for number in range(len(image.counts))]
    return Spots(**{name: np.concatenate([getattr(one, name) for one in every]) for name in Spots.__dataclass_fields__})


def background(
    counts: np.ndarray, good: Bool[np.ndarray, "row column"], half_window: int
) -> tuple[Float[np.ndarray, "row column"], Bool[np.ndarray, "row column"]]:
    """Mean of the pixels around each, without those that stand out three sigma, and where it is known.

    Parameters
    ----------
    counts:
        [photon].
    good:
        Pixels that measure.
    half_window:
        Pixels on each side of the one in the middle.
    """
    size = 2 * half_window + 1
    values = np.where(good, counts, 0).astype(np.float64)
    weight = good.astype(np.float64)
    level = np.zeros_like(values)
    seen = ndimage.uniform_filter(weight, size, mode="constant")
    for _ in range(2):
        with np.errstate(divide="ignore", invalid="ignore"):
            level = ndimage.uniform_filter(values * weight, size, mode="constant") / seen
        level = np.where(seen > _FEWEST / 2, np.maximum(level, 0.0), 0.0)
        weight = (good & (values <= level + _QUIET * np.sqrt(np.maximum(level, _FLOOR)))).astype(np.float64)
        seen = ndimage.uniform_filter(weight, size, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        level = ndimage.uniform_filter(values * weight, size, mode="constant") / seen
    known = good & (seen > _FEWEST)
    return np.where(known, np.maximum(level, 0.0), 0.0), known


def _of_panel(image: Image, number: int, config: SpotConfig) -> Spots:
    """Spots of one panel."""
    counts, good = image.counts[number], image.good[number]
    level, known = background(counts, good, config.half_window)
    excess = np.where(known, counts - level, 0.0)
    strong = excess > config.threshold * np.sqrt(np.maximum(level, _FLOOR))
    labels, count = ndimage.label(strong, structure=np.ones((3, 3)))
    row, column = np.nonzero(strong)
    label = labels[row, column] - 1
    sizes = np.bincount(label, minlength=count)
    kept = (sizes >= config.fewest_pixels) & (sizes <= config.most_pixels)
    place = np.cumsum(kept) - 1
    here = kept[label]
    row, column, label = _grown(row[here], column[here], place[label[here]], labels, known)
    full = np.bincount(label, image.saturated[number][row, column], int(kept.sum())) > 0
    return _measured(counts, excess, level, row, column, label, sizes[kept], full, number)


def _grown(
    row: np.ndarray, column: np.ndarray, label: np.ndarray, labels: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of the spots and those next to them that measure and belong to no other spot."""
    rows, columns = labels.shape
    step = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    near_row, near_column = (row[:, None] + step[:, 0]).ravel(), (column[:, None] + step[:, 1]).ravel()
    owner, own = np.repeat(label, 9), np.repeat(labels[row, column], 9)
    inside = (near_row >= 0) & (near_row < rows) & (near_column >= 0) & (near_column < columns)
    near_row, near_column, owner, own = near_row[inside], near_column[inside], owner[inside], own[inside]
    found = labels[near_row, near_column]
    free = known[near_row, near_column] & ((found == 0) | (found == own))
    flat = (owner[free].astype(np.int64) * rows + near_row[free]) * columns + near_column[free]
    flat = np.unique(flat)
    owner, pixel = np.divmod(flat, rows * columns)
    return *np.divmod(pixel, columns), owner


def _measured(
    counts: np.ndarray,
    excess: np.ndarray,
    level: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    label: np.ndarray,
    sizes: np.ndarray,
    full: np.ndarray,
    panel: int,
) -> Spots:
    """Sums and centroids over the pixels of each spot."""
    number = len(sizes)
    weight = excess[row, column]
    variance = np.maximum(counts[row, column], level[row, column]).astype(float)
    photons = np.bincount(label, weight, number).astype(float)
    at, error = np.zeros((number, 2)), np.zeros((number, 2))
    for axis, places in enumerate((column + 0.5, row + 0.5)):
        at[:, axis] = np.bincount(label, weight * places, number) / photons
        off = places - at[label, axis]
        error[:, axis] = np.sqrt(np.bincount(label, variance * off**2, number) / photons**2 + _PIXEL / sizes**2)
    # spots that a strong neighbour pulls out of their own pixels have no place
    lowest = np.stack([_extreme(np.minimum, one, label, number) for one in (column, row)], -1)
    highest = np.stack([_extreme(np.maximum, one, label, number) for one in (column, row)], -1) + 1
    sound = np.all((at >= lowest) & (at <= highest), axis=1)
    spots = Spots(at, error, np.full(number, panel), photons, sizes, full)
    return spots.only(np.flatnonzero(sound))


def _extreme(kind: np.ufunc, values: np.ndarray, label: np.ndarray, number: int) -> np.ndarray:
    """Least or greatest value of each label."""
    start = np.iinfo(np.int64).max if kind is np.minimum else -1
    found = np.full(number, start, dtype=np.int64)
    kind.at(found, label, values)
    return found
