"""Arrays of one Bragg peak from HDF5 as NeXus or CXI, ours and others'."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.arrays import AXES, Fields, plain_array, with_energy_axis
from madpipe.mad.records import Stack

_EV = {"ev": 1.0, "kev": 1e3, "j": 1 / 1.602176634e-19, "joule": 1 / 1.602176634e-19}
_PER_ANGSTROM = {"1/angstrom": 1.0, "angstrom^-1": 1.0, "1/a": 1.0, "a^-1": 1.0, "1/å": 1.0, "å^-1": 1.0}
_PER_ANGSTROM |= {"1/nm": 0.1, "nm^-1": 0.1, "1/m": 1e-10, "m^-1": 1e-10}
_ENERGY_PLACES = {  # below the entry, with the unit that holds where the file states none
    "instrument_1/source_1/energy": "J",  # CXI: SI throughout
    "instrument_1/beam_1/incident_energy": "eV",
    "instrument_1/monochromator_1/energy": "eV",
    "instrument/beam/incident_energy": "eV",
    "instrument/monochromator/energy": "eV",
}
_MASK_PLACES = ("instrument_1/detector_1/mask", "instrument/detector/pixel_mask")


def read_hdf5(path: Path) -> list[Fields]:
    """Read a stack of ours, or the signal of a CXI or NeXus file with what lies beside it.

    Of others' files are read: the signal, ``entry_1/data_1/data`` or the default plot's; energy, mask, background
    and errors beside it or in CXI's places; qz, qy, qx beside it. Units are converted.

    Raises
    ------
    InputError
        Not HDF5 or truncated, no signal, or a unit that is not known.
    """
    with store.opened(path) as file:
        ours = "entry_1/anomalous" in file
        found = {} if ours else _of_others(path, file)
    if ours:
        stack = store.read(path, Stack)
        values = {field.name: getattr(stack, field.name) for field in fields(stack)}
        return [{name: value for name, value in values.items() if value is not None}]
    return [with_energy_axis(path, found)]


def _of_others(path: Path, file: h5py.File) -> Fields:
    """Signal, energy, mask, errors and axes of a CXI or NeXus file."""
    signal = _signal(path, file)
    beside, entry = signal.parent, signal.parent.parent
    found: Fields = {"data": plain_array(path, signal.name, store.values(signal))}
    energy = _energy(path, beside, entry)
    if energy is not None:
        found["energy"] = energy
    masks = [beside[name] for name in ("mask",) if name in beside]
    masks += [entry[place] for place in _MASK_PLACES if place in entry]
    if masks:
        found["mask"] = plain_array(path, "mask", _values(path, masks[0]))
    for name, ours in (("background", "background"), ("data_errors", "data_errors"), ("errors", "data_errors")):
        if name in beside:
            found[ours] = plain_array(path, name, _values(path, beside[name]))
    for axis in (*AXES, "q_bragg"):
        if axis in beside:
            found[axis] = _in_unit(path, beside[axis], _PER_ANGSTROM, "1/angstrom")
    return found


def _signal(path: Path, file: h5py.File) -> h5py.Dataset:
    """CXI's first data set, else the one that NeXus' default attributes lead to."""
    found = file.get("entry_1/data_1/data")
    group: Any = file
    while found is None and isinstance(group, h5py.Group):
        signal, default = store.attribute(group, "signal"), store.attribute(group, "default")
        found = group.get(signal) if signal else None
        inner = group.get(signal or default) if signal or default else None
        group = inner if inner != group else None  # "." leads back
    if not isinstance(found, h5py.Dataset):
        raise InputError(
            f"{path}: needs a data set entry_1/data_1/data (CXI) or a default signal (NeXus); it has neither; "
            "name it so, or write the arrays as .npz (docs/format.md)."
        )
    return found


def _energy(path: Path, beside: h5py.Group, entry: h5py.Group) -> Any:
    """Photon energies in eV, from beside the signal or from the instrument; None where the file has none."""
    if "energy" in beside:
        return _in_unit(path, beside["energy"], _EV, "eV")
    for place, unit in _ENERGY_PLACES.items():
        if place in entry:
            return _in_unit(path, entry[place], _EV, unit)
    return None


def _in_unit(path: Path, dataset: h5py.Dataset, factors: dict[str, float], unstated: str) -> Any:
    """Numbers of a data set in our unit."""
    unit = store.attribute(dataset, "units", unstated).strip()
    if unit.lower() not in factors:
        raise InputError(
            f"{path}: {dataset.name} needs one of the units {', '.join(factors)}; it is in {unit!r}; convert it."
        )
    came = np.asarray(plain_array(path, dataset.name, _values(path, dataset)), dtype=float)
    return plain_array(path, dataset.name, came * factors[unit.lower()])


def _values(path: Path, item: h5py.HLObject) -> Any:
    """Numbers of a data set."""
    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{path}: {item.name} needs to be a data set; it is a group; name the numbers so.")
    return store.values(item)
