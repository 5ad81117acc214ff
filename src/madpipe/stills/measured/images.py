"""A set of images of one detector, read one at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.stills.geometry import Beam, Panel

_SAME_PLACE = 1e-3  # of two descriptions of one detector [mm]
_RIGHT_ANGLE = 1e-3  # cosine between axes that rounding may leave
_FEWEST_PAIRS = 1000  # of neighbours, to know the noise
_FANO = (0.8, 1.25)  # variance over mean that photons may have: charge shared between pixels lowers it a little

_Good = Bool[np.ndarray, "_ _"]  # rows and columns, another number for each panel


@dataclass(frozen=True)
class Source:
    """Where an image lies."""

    path: Path
    frame: int = 0  # within the file, from 0

    def __str__(self) -> str:
        return f"{self.path} #{self.frame}" if self.frame else str(self.path)

    @property
    def label(self) -> str:
        """Name in a result: of the file, without this machine's folders, and of the frame."""
        return f"{self.path.name} #{self.frame}" if self.frame else self.path.name


@dataclass(frozen=True)
class Image:
    """Counts of one exposure, an array for each panel."""

    counts: tuple[np.ndarray, ...]  # [photon], rows and columns; meaningless where a pixel is not good
    good: tuple[_Good, ...]  # the pixel measures
    saturated: tuple[_Good, ...]  # it is good, but had more photons than it can count


@dataclass(frozen=True)
class Images:
    """Exposures of one detector. ``images[k]`` reads one; nothing is kept."""

    beams: tuple[Beam, ...]  # of each image
    panels: tuple[Panel, ...]
    sources: tuple[Source, ...]
    exposures: tuple[float, ...]  # [s]; NaN: not known
    load: Callable[[int], tuple[np.ndarray, ...]]  # counts of image k as they stand in the file
    mask: tuple[_Good, ...] | None = None  # pixels that measure, of all images
    saturation: float = np.inf  # counts from which on a pixel is saturated

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Image]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Image:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return image_of(self.load(number), self.panels, self.mask, self.saturation, str(self.sources[number]))

    def subset(self, numbers: Sequence[int]) -> "Images":
        """Some of the images, in the order given."""
        chosen, load = list(numbers), self.load
        return replace(
            self,
            beams=tuple(self.beams[k] for k in chosen),
            sources=tuple(self.sources[k] for k in chosen),
            exposures=tuple(self.exposures[k] for k in chosen),
            load=lambda number: load(chosen[number]),
        )


def image_of(
    counts: Sequence[np.ndarray],
    panels: Sequence[Panel],
    mask: Sequence[_Good] | None,
    saturation: float,
    name: str,
) -> Image:
    """Make an image of counts: negative and undefined pixels do not measure.

    Parameters
    ----------
    counts:
        For each panel.
    panels:
        Whose shape they must have.
    mask:
        Pixels that measure; None: all that are not negative.
    saturation:
        Counts from which on a pixel is saturated.
    name:
        Of the image, in messages.

    Raises
    ------
    InputError
        Another number or shape of panels than the detector has, or not one pixel that measures.
    """
    shapes, needed = [one.shape for one in counts], [one.shape for one in panels]
    if shapes != needed:
        raise InputError(f"{name}: needs panels of {needed} pixels; the image has {shapes}; give its own geometry.")
    good = tuple(_measures(one) for one in counts)
    if mask is not None:
        good = tuple(one & other for one, other in zip(good, mask, strict=True))
    if not any(one.any() for one in good):
        raise InputError(f"{name}: needs pixels that measure; all are masked, negative or NaN; leave the image out.")
    full = tuple(np.greater_equal(one, saturation) & ok for one, ok in zip(counts, good, strict=True))
    return Image(tuple(counts), good, full)


def _measures(counts: np.ndarray) -> _Good:
    """Neither negative nor NaN, nor the largest unsigned number, by which DECTRIS marks what does not measure."""
    if counts.dtype.kind == "u":
        found: np.ndarray = counts != np.iinfo(counts.dtype).max
        return found
    return np.isfinite(counts) & (counts >= 0)


def panel_of(
    origin: Float[np.ndarray, "3"],
    fast: Float[np.ndarray, "3"],
    slow: Float[np.ndarray, "3"],
    pixel: tuple[float, float],
    shape: tuple[int, int],
    name: str,
    thickness: float = 0.0,
    material: str = "Si",
) -> Panel:
    """A panel as a file states it, checked: axes of unit length at right angles, pixels of a size.

    Parameters
    ----------
    origin, fast, slow, pixel, shape, name, thickness, material:
        Of :class:`madpipe.stills.geometry.Panel`; axes of any length.

    Raises
    ------
    InputError
        The axes are not at right angles or have no length, or numbers are not finite and positive.
    """
    lengths = [float(np.linalg.norm(one)) for one in (fast, slow)]
    numbers = np.concatenate([origin, fast, slow, pixel, shape])
    if not np.isfinite(numbers).all() or min(*lengths, *pixel, *shape) <= 0:
        raise InputError(
            f"{name}: needs axes, pixel size and shape that are finite and positive; pixels of {pixel} mm, {shape} of "
            f"them, axes of length {lengths} came; mend the geometry."
        )
    across = float(fast @ slow) / lengths[0] / lengths[1]
    if abs(across) > _RIGHT_ANGLE:
        raise InputError(
            f"{name}: needs fast and slow axes at right angles; they enclose {np.degrees(np.arccos(across)):.4g} "
            "degrees; mend the geometry."
        )
    fast, slow = fast / lengths[0], slow / lengths[1]
    slow = slow - (slow @ fast) * fast
    return Panel(origin, fast, slow / np.linalg.norm(slow), pixel, shape, name, thickness, material)


def joined(sets: Sequence[Images]) -> Images:
    """Make one set of several that the same detector took at the same place.

    Raises
    ------
    InputError
        There is none, or the detectors differ.
    """
    if not sets:
        raise InputError("needs at least one image; none came; name the files of the images.")
    for one, other in pairwise(sets):
        _require_same_detector(one, other)
    places = [(which, k) for which, one in enumerate(sets) for k in range(len(one))]

    def load(number: int) -> tuple[np.ndarray, ...]:
        which, k = places[number]
        return sets[which].load(k)

    return replace(
        sets[0],
        beams=tuple(beam for one in sets for beam in one.beams),
        sources=tuple(source for one in sets for source in one.sources),
        exposures=tuple(time for one in sets for time in one.exposures),
        load=load,
        saturation=min(one.saturation for one in sets),
    )


def _require_same_detector(one: Images, other: Images) -> None:
    """Refuse two sets of different detectors, or of one that was moved."""
    first, second = one.sources[0], other.sources[0]
    if [panel.shape for panel in one.panels] != [panel.shape for panel in other.panels]:
        raise InputError(f"images need one detector; {first} and {second} differ in size; treat them apart.")
    moved = [
        max(np.linalg.norm(a.position(corner) - b.position(corner)) for corner in _corners(a))
        for a, b in zip(one.panels, other.panels, strict=True)
    ]
    if max(moved) > _SAME_PLACE:
        raise InputError(
            f"images need one detector at one place; it moved by {max(moved):.3g} mm between {first} and {second}; "
            "treat them apart."
        )


def _corners(panel: Panel) -> np.ndarray:
    """Pixel coordinates of three corners."""
    rows, columns = panel.shape
    return np.array([[0.0, 0.0], [columns, 0.0], [0.0, rows]])


def fano(image: Image) -> float:
    """Variance over mean of the counts, from differences of horizontal neighbours.

    Photons have 1. Slopes of the background cancel; spots differ from pixel to pixel, so pairs above the median of the
    panel are left out. That biases nothing: given their sum n, two pixels of one mean differ by n in the mean square.

    Returns
    -------
    :
        NaN where the image has fewer than a thousand pairs of pixels with photons.
    """
    spread = total = pairs = 0.0
    for counts, good in zip(image.counts, image.good, strict=True):
        left, right = counts[:, :-1:2], counts[:, 1::2]
        both = good[:, :-1:2][:, : right.shape[1]] & good[:, 1::2][:, : left.shape[1]]
        one, other = left[both].astype(float), right[both].astype(float)
        if not one.size:
            continue
        quiet = one + other <= max(float(np.median(one + other)), 1.0)
        spread += float(np.square(one - other)[quiet].sum())
        total += float((one + other)[quiet].sum())
        pairs += int(((one + other) > 0)[quiet].sum())
    return spread / total if pairs >= _FEWEST_PAIRS else np.nan


def warn_of_gain(image: Image, name: str) -> None:
    """Say so where counts do not vary like photons: they were scaled, or a background was taken off."""
    ratio = fano(image)
    if np.isfinite(ratio) and not _FANO[0] <= ratio <= _FANO[1]:
        warn(
            f"{name}: needs counts in photons, whose variance is their mean; variance over mean is {ratio:.3g}: errors "
            "will be wrong by its root; divide the counts by the detector's gain."
        )
