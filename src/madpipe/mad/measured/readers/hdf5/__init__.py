"""Arrays of one Bragg peak from HDF5: stacks of ours, CXI, NeXus and detectors' files, and scans by bliss."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from madpipe.base import store
from madpipe.mad.measured.readers.arrays import Fields, plain_array, with_energy_axis
from madpipe.mad.measured.readers.hdf5.energy import energy_of
from madpipe.mad.measured.readers.hdf5.geometry import axes_of, detector_of
from madpipe.mad.measured.readers.hdf5.masks import mask_of
from madpipe.mad.measured.readers.hdf5.monitor import exposures_of
from madpipe.mad.measured.readers.hdf5.places import Place, find_signals, signal_at
from madpipe.mad.measured.readers.hdf5.values import value_of
from madpipe.mad.records import Stack

SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs")
_PER_POINT = (("background", "background"), ("data_errors", "data_errors"), ("errors", "data_errors"))


def read_hdf5(path: Path, wanted: Sequence[str] = (), energy: str | None = None) -> list[Fields]:
    """Read a stack of ours, or the intensities of a CXI, NeXus or bliss file with what lies beside them.

    Parameters
    ----------
    path:
        The file.
    wanted:
        Where its intensities are; several data sets are one energy each
        (:func:`madpipe.mad.measured.readers.hdf5.places.find_signals`).
    energy:
        Where their photon energy or wavelength is (:func:`madpipe.mad.measured.readers.hdf5.energy.energy_of`).

    Returns
    -------
    :
        Fields of each data set, in our units: energy, masks, background, errors, axes, and the detector that axes can
        be made of. What others' files hold beside these is left alone.

    Raises
    ------
    InputError
        Not HDF5, truncated or not safe to read (:func:`madpipe.base.store.opened`), no intensities or several that may
        be meant, or a unit that is not known.
    """
    with store.opened(path) as file:
        ours = "entry_1/anomalous" in file and not wanted
        places = [] if ours else find_signals(path, file, wanted)
        found = [_of_others(path, file, place, energy) for place in places]
    if ours:
        stack = store.read(path, Stack)
        values = {field.name: getattr(stack, field.name) for field in fields(stack)}
        return [{name: value for name, value in values.items() if value is not None}]
    return [with_energy_axis(path, one) for one in found]


def _of_others(path: Path, file: h5py.File, place: Place, wanted: str | None) -> Fields:
    """Intensities, energy, mask, errors, axes and detector of a CXI, NeXus or bliss file."""
    signal = signal_at(file, place[0])
    name, beside = signal.name, signal.beside
    parts = [value_of(path, file[one]) for one in place]
    found: Fields = {"data": plain_array(path, name, parts[0] if len(parts) == 1 else np.concatenate(parts))}
    shape = np.shape(found["data"])
    energy = energy_of(path, signal, shape, wanted)
    if energy is not None:
        found["energy"] = energy
    mask = mask_of(path, signal, shape)
    if mask is not None:
        found["mask"] = mask
    for theirs, ours in _PER_POINT:
        if isinstance(beside.get(theirs), h5py.Dataset):
            found[ours] = value_of(path, beside[theirs])
    is_one_energy = energy is not None and np.size(energy) == 1 and shape[:1] != (1,)
    count = 1 if is_one_energy or energy is None else len(np.atleast_1d(energy))
    exposures = exposures_of(path, signal, count, None if energy is None else shape[0])
    if exposures is not None:
        found["exposures"] = exposures
    dimensions = min(len(shape) - (0 if is_one_energy else 1), 3)
    found |= axes_of(path, beside, name, dimensions)
    return found | detector_of(path, signal, shape[-3] if dimensions == 3 else None)
