"""An image as the network reads it: 64 x 64 pixels of a tenth of a reciprocal cell, the beam in the middle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.network.design import SIDE

BEAM = 33  # coordinate of the beam along fast and slow, within half a pixel
PITCH, CURVATURE = 0.1, 0.01  # size of a pixel in reciprocal cells; wavelength over cell
_NEAR, _NEAR_CURVATURE = 0.03, 0.1  # relative, of both
_STRAIGHT = 0.02  # sine of a detector's tilt
_MOST = 1e6  # photons beyond which the network learned nothing new
_BINS = 4  # pixels along a side that are joined, at most

_Image = Float[np.ndarray, "row column"]


@dataclass(frozen=True)
class Regridded:
    """An image on the network's grid."""

    counts: Float[np.ndarray, "64 64"]
    shift: Float[np.ndarray, "2"]  # of the detector along fast and slow [pixel]
    frame: Float[np.ndarray, "3 3"]  # columns: beam, up the columns, along the rows, in the laboratory
    photons: float  # above the median of the pixels


def regridded(photons: _Image, beam: Beam, panel: Panel, cell: float) -> Regridded:
    """Join pixels, and cut or fill up to the network's grid.

    Parameters
    ----------
    photons:
        Counts or expected photons of the panel; NaN where nothing was measured, which is filled up from the pixels
        joined with it, else by the median.
    beam, panel:
        Geometry.
    cell:
        Length of the cube's edge [angstrom].

    Raises
    ------
    InputError
        A detector that is not across the beam, or pixels, wavelength and cell that the network does not know.
    """
    count = _joined(beam, panel, cell)
    at = panel.hit(beam.direction)
    fast, slow = panel.fast, panel.slow
    if np.linalg.det(np.stack([beam.direction, -slow, fast])) < 0:  # a mirrored detector
        photons, fast = photons[:, ::-1], -fast
        at = np.array([panel.shape[1] - at[0], at[1]])
    first = np.round(at - BEAM * count).astype(int)
    good = np.isfinite(photons)
    level = float(np.median(photons[good])) if good.any() else 0.0
    filled, number = (_sums(one, first, count) for one in (np.where(good, photons, 0.0), good.astype(float)))
    mean = np.where(number > 0, filled / np.maximum(number, 1), level)
    counts = mean * count**2
    above = float(np.maximum(counts - level * count**2, 0).sum())
    frame = np.stack([beam.direction, -slow, fast], axis=1)
    return Regridded(counts * min(1.0, _MOST / max(above, 1e-300)), BEAM - (at - first) / count, frame, above)


def _joined(beam: Beam, panel: Panel, cell: float) -> int:
    """How many pixels along a side make one of the network's."""
    distance = abs(float(panel.origin @ panel.normal))
    tilt = float(np.linalg.norm(np.cross(panel.normal, beam.direction)))
    sizes = np.array(panel.pixel) / distance * cell / beam.wavelength
    count = max(1, int(np.round(PITCH / sizes.mean())))
    off, curvature = np.abs(count * sizes / PITCH - 1).max(), beam.wavelength / cell
    if tilt > _STRAIGHT or off > _NEAR or count > _BINS or abs(curvature / CURVATURE - 1) > _NEAR_CURVATURE:
        raise InputError(
            f"the network needs a detector across the beam, pixels of {PITCH:g} reciprocal cells, a half, third or "
            f"quarter of that, and a wavelength of {CURVATURE:g} cells; tilt {np.degrees(np.arcsin(min(tilt, 1))):.2g} "
            f"degree, pixels of {sizes.mean():.3g} and a wavelength of {curvature:.3g} cells came; index the image, or "
            "search with `fit`."
        )
    return count


def _sums(values: _Image, first: np.ndarray, count: int) -> Float[np.ndarray, "64 64"]:
    """Sums over squares of pixels; those outside count for nothing."""
    place = [(np.arange(size) - start) // count for size, start in zip(values.shape, first[::-1], strict=True)]
    inside = [(one >= 0) & (one < SIDE) for one in place]
    total = np.zeros((SIDE, SIDE))
    rows, columns = (one[ok] for one, ok in zip(place, inside, strict=True))
    np.add.at(total, (rows[:, None], columns[None]), values[np.ix_(*inside)])
    return total
