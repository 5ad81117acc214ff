"""Photon energies of an HDF5 file, from wherever CXI, NeXus and bliss put them."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.hdf5.places import Signal
from madpipe.mad.measured.readers.hdf5.units import factor_of
from madpipe.mad.measured.readers.hdf5.values import attribute, axis_names, in_unit, value_of
from madpipe.physics.crystal import HC

_BESIDE = (  # the signal, with the unit that holds where the file states none
    *(("energy", "eV"), ("photon_energy", "eV"), ("incident_energy", "eV"), ("energy_ev", "eV"), ("mononrj", "keV")),
    *(("wavelength", "angstrom"), ("incident_wavelength", "angstrom")),
)
_BELOW_ENTRY = (  # in lower case; * goes through groups; CXI is in SI units, NeXus' own source is the storage ring
    ("instrument_*/source_*/energy", "J"),
    ("*beam*/incident_energy", "eV"),
    ("*mono*/energy", "eV"),
    ("*/positioners/mononrj", "keV"),
    ("*/mononrj/value", "keV"),
    ("measurement/mononrj", "keV"),
    ("*/positioners/nrj", "keV"),
    ("*/positioners/*energy*", "eV"),
    ("*snapshot*/energy", "eV"),
    ("*beam*/incident_wavelength", "angstrom"),
    ("*mono*/wavelength", "angstrom"),
    ("instrument_*/source_*/wavelength", "m"),
    ("instrument*/*/photon_energy", "eV"),
    ("instrument*/*/wavelength", "angstrom"),
)
_OF_A_RING = ("gev", "mev")
_JOULE = 1e-10  # a photon energy below it is in joule, whatever eV or keV might be meant
_KEV = 200.0  # eV: softer than any crystal diffracts, harder in keV than any beamline
_METRE = 1e-6  # a wavelength below it is in metre
_JITTER = 3e-5  # relative: energies of a scan closer than this are one energy, read back at each of its points


def energy_of(path: Path, signal: Signal, shape: tuple[int, ...], wanted: str | None) -> Any:
    """Photon energies in eV: at the path that is named, beside the signal, or in the instrument.

    Parameters
    ----------
    path:
        The file.
    signal, shape:
        The intensities; a scan of as many frames as energies that are all the same has one energy.
    wanted:
        Path of the energy or the wavelength from the file's root, or below the entry; None looks for it.

    Returns
    -------
    :
        [eV], None where the file has none. Where it states no unit, CXI's source is in joule, bliss's monochromator
        ``mononrj`` in keV, a wavelength in angstrom, all else in eV; what cannot be (1e-15 eV, 8333 keV) is taken for
        the unit in which it can.

    Raises
    ------
    InputError
        Nothing at that path, a unit that is neither an energy nor a length, or not a positive number.
    """
    dataset, unstated = _named(path, signal.entry, wanted) if wanted else next(_known(signal), (None, ""))
    if dataset is None:
        return None
    values = np.asarray(_in_ev(path, dataset, unstated), dtype=float)
    if values.size > 1 and values.shape == shape[:1] and np.ptp(values) < _JITTER * np.mean(values):
        return float(values.mean())
    return values if values.ndim else float(values)


def _named(path: Path, entry: h5py.Group, wanted: str) -> tuple[h5py.Dataset, str]:
    """The data set at a path, and its unit by its name."""
    places = [group[wanted] for group in (entry, entry.file) if wanted in group]
    found = next((item for item in places if isinstance(item, h5py.Dataset)), None)
    if found is None:
        raise InputError(
            f"{path}: needs the photon energy at {wanted!r}; there is none; check --energy-path (energy_path: in the "
            "configuration), a path from the file's root or below the scan."
        )
    name = wanted.rsplit("/", 1)[-1].lower()
    length = "wave" in name or "lambda" in name
    return found, "angstrom" if length else "keV" if "mononrj" in wanted else "eV"


def _known(signal: Signal) -> Iterator[tuple[h5py.Dataset, str]]:
    """Data sets that hold the photon energy, the surest first, each with its unit where it states none."""
    beside, root = signal.beside, signal.entry.file
    for name, unit in _BESIDE:
        if isinstance(beside.get(name), h5py.Dataset):
            yield beside[name], unit
    for axis in axis_names(beside, signal.name)[:1]:
        unit = attribute(beside[axis], "units") if isinstance(beside.get(axis), h5py.Dataset) else ""
        if factor_of(unit, "energy") or factor_of(unit, "length"):
            yield beside[axis], unit
    items = {name.lower(): item for name, item in signal.items.items()}
    for pattern, unit in _BELOW_ENTRY:
        for name, item in items.items():
            number = isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and len(item.shape or ()) < 2
            if number and fnmatchcase(name, pattern) and attribute(item, "units").lower() not in _OF_A_RING:
                yield item, unit
    for name, unit in _BESIDE:
        if isinstance(root.get(name), h5py.Dataset):
            yield root[name], unit


def _in_ev(path: Path, dataset: h5py.Dataset, unstated: str) -> Any:
    """Photon energies of a data set, which may hold wavelengths."""
    unit = attribute(dataset, "units")
    values = np.asarray(value_of(path, dataset), dtype=float)
    if not (np.isfinite(values).all() and (values > 0).all() and values.size):
        raise InputError(f"{path}: {dataset.name} needs photon energies above zero; it has {values}; mend it.")
    unstated = _likely(float(values.flat[0]), unstated)
    if factor_of(unit or unstated, "length"):
        return HC / np.asarray(in_unit(path, dataset, "length", unstated))
    return in_unit(path, dataset, "energy", unstated)


def _likely(value: float, unstated: str) -> str:
    """Unit of a number that states none."""
    if factor_of(unstated, "length"):
        return "m" if value < _METRE else unstated
    if value < _JOULE:
        return "J"
    if unstated == "J" or (unstated == "keV" and value > _KEV):
        return "eV"
    return unstated
