"""What an HDF5 file says of its axes: momentum transfer, or the detector from which it follows."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import h5py
import numpy as np

from madpipe.mad.measured.readers.arrays import AXES, Fields
from madpipe.mad.measured.readers.hdf5.places import Signal
from madpipe.mad.measured.readers.hdf5.units import factor_of
from madpipe.mad.measured.readers.hdf5.values import attribute, axis_names, in_unit

_PIXELS = ("pixel", "pixels", "px", "voxel", "voxels", "count", "counts")
_DETECTOR = {  # names below a detector's group, the first that there is
    "distance": ("distance", "detector_distance"),
    "y": ("y_pixel_size", "pixel_size_y", "pixel_size"),
    "x": ("x_pixel_size", "pixel_size_x", "pixel_size"),
}
_ROCKED = ("eta", "phi", "th", "theta", "omega", "om", "mu", "rotation_angle", "rocking", "thy", "thx")
_POSITIONS = ("instrument*/positioners/*", "sample*/*", "sample*/transformations/*", "measurement/*")


def axes_of(path: Path, beside: h5py.Group, name: str, dimensions: int) -> Fields:
    """Momentum transfer along the axes of one energy, and of the Bragg peak, as far as the file has them.

    Parameters
    ----------
    path:
        The file.
    beside:
        Group of the signal.
    name:
        The signal's name there.
    dimensions:
        Axes of one energy; the signal may have one more, along the energies.

    Returns
    -------
    :
        qz, qy, qx by the place of the axis, and q_bragg, in 1/angstrom. NeXus' ``axes`` tell which data set belongs to
        which axis, else old NeXus' ``axis=1``, else the names qz, qy, qx, for the first to the last. Axes in pixels
        are left out.

    Raises
    ------
    InputError
        A unit that is no inverse length.
    """
    ours = AXES[len(AXES) - dimensions :]
    named = _by_attributes(beside, name, dimensions) or {axis: _spelled(beside, axis) for axis in ours}
    found = {}
    for axis, dataset in [*named.items(), ("q_bragg", beside.get("q_bragg"))]:
        if isinstance(dataset, h5py.Dataset) and attribute(dataset, "units").lower() not in _PIXELS:
            found[axis] = in_unit(path, dataset, "inverse length", "1/angstrom")
    return found


def _by_attributes(beside: h5py.Group, name: str, dimensions: int) -> dict[str, h5py.Dataset]:
    """Axes of momentum transfer by NeXus' attributes; empty where these name none."""
    words = axis_names(beside, name)
    pairs = zip(AXES[len(AXES) - dimensions :], words[-dimensions:], strict=False)
    items = {axis: beside.get(word) for axis, word in pairs if word not in ("", ".")}
    return {axis: item for axis, item in items.items() if isinstance(item, h5py.Dataset) and _is_transfer(item)}


def _is_transfer(item: h5py.Dataset) -> bool:
    """An inverse length, or named like a component of q without a unit."""
    unit = attribute(item, "units")
    return factor_of(unit, "inverse length") is not None or bool(
        not unit and re.fullmatch(r"q_?[xyz]|[hkl]", item.name.rsplit("/", 1)[-1].lower())
    )


def _spelled(beside: h5py.Group, axis: str) -> h5py.Dataset | None:
    """A data set by the name of an axis, in upper or lower case."""
    names = {key.lower().replace("_", ""): key for key in beside}
    return beside.get(names.get(axis, ""), None) if axis in names else None


def detector_of(path: Path, signal: Signal, frames: int | None) -> Fields:
    """Distance and pixel sizes of the detector, and angles of a rocking scan, as far as the file has them.

    Parameters
    ----------
    path:
        The file.
    signal:
        The intensities.
    frames:
        Points of the rocking scan; None for a single frame.

    Returns
    -------
    :
        ``detector``: distance, pixel size along y and x [angstrom]; ``rocking``: an angle per frame [degree], where
        exactly one motor moves; ``two_theta`` [degree]. Lengths without a unit are in metre, as in CXI and NeXus.

    Raises
    ------
    InputError
        A unit that is no length or angle.
    """
    single = {
        name: one for name, one in signal.items.items() if isinstance(one, h5py.Dataset) and one.dtype.kind in "iuf"
    }
    found: Fields = {}
    sizes = [_detector_value(path, single, names) for names in _DETECTOR.values()]
    if all(size is not None for size in sizes):
        found["detector"] = np.array(sizes, dtype=float)
    if frames is None:
        return found
    angles: dict[str, np.ndarray] = {}
    for pattern in _POSITIONS:
        for name, item in single.items():
            if fnmatchcase(name, pattern) and name.rsplit("/", 1)[-1].lower() in _ROCKED and item.shape == (frames,):
                values = np.asarray(in_unit(path, item, "angle", "degree"))
                if np.ptp(values) > 0:
                    angles.setdefault(name.rsplit("/", 1)[-1].lower(), values)
    if len(angles) == 1:
        found["rocking"] = next(iter(angles.values()))
        arms = [_position(path, single, name) for name in ("delta", "nu")]
        if None not in arms:
            cosines = np.cos(np.radians(np.array(arms, dtype=float)))
            found["two_theta"] = float(np.degrees(np.arccos(np.prod(cosines))))
    return found


def _detector_value(path: Path, items: dict[str, h5py.Dataset], names: Sequence[str]) -> float | None:
    """A length that the detector's group has under one of several names [angstrom]."""
    for name in names:
        for where, item in items.items():
            if fnmatchcase(where, f"instrument*/*/{name}") and item.size == 1:
                return float(np.ravel(in_unit(path, item, "length", "m"))[0])
    return None


def _position(path: Path, items: dict[str, h5py.Dataset], motor: str) -> float | None:
    """Where a motor stands [degree]; None where the file does not say, or it moves."""
    for where, item in items.items():
        if fnmatchcase(where, f"instrument*/positioners/{motor}") and item.size == 1:
            return float(np.ravel(in_unit(path, item, "angle", "degree"))[0])
    return None
