"""Exposures of an HDF5 file: what a monitor of the incident beam counted."""

from pathlib import Path

import h5py
import numpy as np

from madpipe.base.warned import warn
from madpipe.mad.measured.readers.hdf5.places import Signal, same_item
from madpipe.mad.measured.readers.hdf5.values import attribute, value_of

_NAMES = ("data", "integral")


def exposures_of(path: Path, signal: Signal, energies: int, frames: int | None) -> np.ndarray | None:
    """What NeXus' monitor (a group of class NXmonitor) counted at each energy.

    Parameters
    ----------
    path, signal:
        The file and its intensities.
    energies, frames:
        How many energies they are of, and how many frames an energy has, where it is known.

    Returns
    -------
    :
        A number per energy in any unit, the mean over the frames of one; None where there is no monitor.

    Warns
    -----
    DataWarning
        Several monitors, or one with another number of values; none is used then.
    """
    found: dict[str, h5py.Dataset] = {}
    for name, group in signal.items.items():
        if not isinstance(group, h5py.Group) or attribute(group, "NX_class") != "NXmonitor":
            continue
        for key in _NAMES:
            item = group.get(key)
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
                if not any(same_item(item, other) for other in found.values()):
                    found[f"{name}/{key}"] = item
                break
    if not found:
        return None
    if len(found) == 1:
        values = np.ravel(np.asarray(value_of(path, next(iter(found.values()))), dtype=float))
        if len(values) == energies:
            return values
        if energies == 1 and len(values) == frames:
            return np.array([values.mean()])
    told = ", ".join(f"{name} {item.shape}" for name, item in found.items())
    warn(
        f"{path}: no monitor was used: {told} for {energies} energies; where the exposures differ, the scales of the "
        "energies and with them |F_A| are wrong; give monitor in the configuration, or refine scale"
    )
    return None
