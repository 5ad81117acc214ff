"""Shoeboxes: the pixels about each predicted spot, their background, and what is wrong with them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from madpipe.base.errors import InputError

GAP, NEIGHBOUR, SATURATED, ALL_MASKED = 1, 2, 4, 8  # bits of a flag
_BLOCK = 8  # pixels a side, whose sums are kept
_TILE = 4  # blocks a side, over which a first background is taken
_OUTLIER = 6.0  # standard deviations above it, beyond which a pixel is no background
_FEWEST = 40  # pixels of background about a spot; with fewer the window grows to the whole panel

_Image = Float[np.ndarray, "row column"]
_Good = Bool[np.ndarray, "row column"]


@dataclass(frozen=True)
class Boxes:
    """Pixels about the spots of one panel or more."""

    corner: Int[np.ndarray, "spot 2"]  # column and row of the first pixel
    counts: Float[np.ndarray, "spot side side"]  # rows, columns [photon]
    good: Bool[np.ndarray, "spot side side"]  # pixels to be used
    background: Float[np.ndarray, "spot"]  # [photon/pixel]
    flags: UInt8[np.ndarray, "spot"]

    def __len__(self) -> int:
        return len(self.counts)

    def those(self, chosen: Bool[np.ndarray, "spot"]) -> "Boxes":
        """Some of them."""
        return Boxes(
            self.corner[chosen], self.counts[chosen], self.good[chosen], self.background[chosen], self.flags[chosen]
        )

    def offsets(self, xy: Float[np.ndarray, "spot 2"]) -> tuple[np.ndarray, np.ndarray]:
        """Middles of columns and of rows less the spots' places, (spot, side) each [pixel]."""
        middle = np.arange(self.counts.shape[1]) + 0.5
        apart = self.corner - xy
        return middle + apart[:, :1], middle + apart[:, 1:]


def joined(parts: list[Boxes]) -> Boxes:
    """Boxes of several panels as one."""
    names = ("corner", "counts", "good", "background", "flags")
    return Boxes(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def cut(
    counts: _Image,
    good: Bool[np.ndarray, "_ _"],
    xy: Float[np.ndarray, "spot 2"],
    half: int,
    core: float,
    saturation: float = np.inf,
    window: int = 15,
) -> Boxes:
    """Cut the boxes of one panel's spots.

    Parameters
    ----------
    counts, good:
        Image [photon] and its mask, True where a pixel counts.
    xy:
        Predicted places, column and row [pixel].
    half:
        A box has 2 half + 1 pixels a side.
    core:
        Pixels nearer than this to a neighbour are its own [pixel].
    saturation:
        A box with a pixel at or above it is flagged, its pixel left out [photon].
    window:
        Background is the mean of 2 window + 1 pixels a side about the spot, spots and outliers left out.

    Raises
    ------
    InputError
        Image and mask differ in shape, or good pixels are not finite.
    """
    if counts.shape != good.shape:
        raise InputError(f"a mask needs its image's shape {counts.shape}; {good.shape} came; check the files.")
    if not np.isfinite(counts[good]).all():
        raise InputError("good pixels need finite counts; some are not; mask them.")
    corner = np.floor(xy).astype(int) - half
    rows = corner[:, 1, None] + np.arange(2 * half + 1)
    columns = corner[:, 0, None] + np.arange(2 * half + 1)
    row, column = np.clip(rows, 0, counts.shape[0] - 1), np.clip(columns, 0, counts.shape[1] - 1)
    box = counts[row[:, :, None], column[:, None, :]]
    inside = (row == rows)[:, :, None] & (column == columns)[:, None, :]
    usable = good[row[:, :, None], column[:, None, :]] & inside
    full = box >= saturation
    flags = np.where((~usable).any(axis=(1, 2)), GAP, 0) | np.where((full & usable).any(axis=(1, 2)), SATURATED, 0)
    free, crowded = _without_neighbours(xy, corner, half, core)
    used = usable & ~full & free
    flags |= np.where(crowded, NEIGHBOUR, 0) | np.where(used.any(axis=(1, 2)), 0, ALL_MASKED)
    level = background(counts, good, xy, core, window)
    return Boxes(corner, np.where(used, box, 0.0), used, level, flags.astype(np.uint8))


def _without_neighbours(
    xy: Float[np.ndarray, "spot 2"], corner: Int[np.ndarray, "spot 2"], half: int, core: float
) -> tuple[Bool[np.ndarray, "spot side side"], Bool[np.ndarray, "spot"]]:
    """Pixels that are no neighbour's, and spots that have one whose core reaches into the box."""
    side = 2 * half + 1
    free, crowded = np.ones((len(xy), side, side), dtype=bool), np.zeros(len(xy), dtype=bool)
    one, other = _pairs(xy, half + 0.5 + core)
    middle = np.arange(side) + 0.5
    apart = corner[one] - xy[other]
    distance2 = (apart[:, 0, None] + middle)[:, None, :] ** 2 + (apart[:, 1, None] + middle)[:, :, None] ** 2
    taken = distance2 < core**2
    np.logical_and.at(free, one, ~taken)
    crowded[one[taken.any(axis=(1, 2))]] = True
    return free, crowded


def _pairs(xy: Float[np.ndarray, "spot 2"], reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Every ordered pair of spots that are within reach along both axes: neighbours in the order of columns."""
    order = np.argsort(xy[:, 0], kind="stable")
    column = xy[order, 0]
    last = np.searchsorted(column, column + reach, side="right")
    counts = last - np.arange(len(xy)) - 1
    first = np.repeat(np.arange(len(xy)), counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    one, other = order[first], order[second]
    near = np.abs(xy[one, 1] - xy[other, 1]) < reach
    one, other = one[near], other[near]
    return np.concatenate([one, other]), np.concatenate([other, one])


def background(
    counts: _Image, good: _Good, xy: Float[np.ndarray, "spot 2"], core: float, window: int
) -> Float[np.ndarray, "spot"]:
    """Mean of the pixels about each spot that are neither spot nor outlier [photon/pixel].

    The window is rounded to blocks of 8 pixels, whose sums are taken once, so that its size costs nothing.
    """
    free = good & (counts <= _ceiling(counts, good))
    reach = int(np.ceil(core)) + 1
    steps = np.arange(-reach, reach + 1)
    place = np.floor(xy).astype(int)
    rows = np.clip(place[:, 1, None, None] + steps[:, None], 0, counts.shape[0] - 1)
    columns = np.clip(place[:, 0, None, None] + steps, 0, counts.shape[1] - 1)
    free[rows, columns] = False
    total = _windows(_blocks(np.where(free, counts, 0.0)), xy, window)
    number = _windows(_blocks(free), xy, window)
    whole = float(counts[free].mean()) if free.any() else 0.0
    level: np.ndarray = np.where(number >= _FEWEST, total / np.maximum(number, 1), whole)
    return level


def _blocks(values: np.ndarray) -> Float[np.ndarray, "row column"]:
    """Sums over blocks of pixels, the last ones filled up with zeros."""
    rows, columns = (-(-size // _BLOCK) for size in values.shape)
    full = np.zeros((rows * _BLOCK, columns * _BLOCK))
    full[: values.shape[0], : values.shape[1]] = values
    by_row = full.reshape(rows, _BLOCK, columns * _BLOCK).sum(axis=1)  # first along rows, which lie together
    total: np.ndarray = by_row.reshape(rows, columns, _BLOCK).sum(axis=2)
    return total


def _ceiling(counts: _Image, good: _Good) -> _Image:
    """Six standard deviations above the mean of each tile of blocks."""
    sums = [_blocks(np.where(good, counts, 0.0)), _blocks(good)]
    rows, columns = (-(-size // _TILE) for size in sums[0].shape)
    tiles = np.zeros((2, rows * _TILE, columns * _TILE))
    tiles[:, : sums[0].shape[0], : sums[0].shape[1]] = sums
    total, number = tiles.reshape(2, rows, _TILE, columns, _TILE).sum(axis=(2, 4))
    mean = total / np.maximum(number, 1)
    top = mean + _OUTLIER * np.sqrt(mean + 1.0)
    size = _TILE * _BLOCK
    return np.repeat(np.repeat(top, size, axis=0), size, axis=1)[: counts.shape[0], : counts.shape[1]]


def _windows(
    blocks: Float[np.ndarray, "row column"], xy: Float[np.ndarray, "spot 2"], window: int
) -> Float[np.ndarray, "spot"]:
    """Sum over the blocks about each place."""
    table = np.zeros((blocks.shape[0] + 1, blocks.shape[1] + 1))
    table[1:, 1:] = blocks.cumsum(axis=0).cumsum(axis=1)
    first, last = ((np.round((xy + end) / _BLOCK)).astype(int) for end in (-window, window))
    left, right = (np.clip(one[:, 0], 0, blocks.shape[1]) for one in (first, last))
    top, bottom = (np.clip(one[:, 1], 0, blocks.shape[0]) for one in (first, last))
    total: np.ndarray = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return total
