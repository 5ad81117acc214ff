"""Single values of an HDF5 file: attributes as text, data sets as numbers in our units."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.arrays import plain_array
from madpipe.mad.measured.readers.hdf5.units import SPELLINGS, factor_of


def attribute(item: h5py.HLObject, name: str) -> str:
    """Text of an attribute, a whole number too, several words joined by colons as old NeXus does; else empty."""
    try:
        came = np.atleast_1d(np.asarray(item.attrs.get(name, ""))).ravel().tolist()
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return ""  # of a type that has no Python counterpart
    words = [word.decode(errors="replace") if isinstance(word, bytes) else word for word in came]
    return ":".join(str(word) for word in words if isinstance(word, str | int)).strip()


def axis_names(group: h5py.Group, signal: str) -> list[str]:
    """Names of the data sets along the axes of a signal, by NeXus' attributes, old and new; empty where it has none."""
    text = attribute(group, "axes") or attribute(group[signal], "axes")
    if text:
        return [word.strip() for word in re.split("[:,]", text.strip("[]"))]
    numbers = {attribute(group[key], "axis"): key for key in group if isinstance(group.get(key), h5py.Dataset)}
    names = [numbers.get(str(number), ".") for number in range(1, len(group[signal].shape) + 1)]
    return names if set(names) != {"."} else []


def value_of(path: Path, dataset: h5py.Dataset) -> Any:
    """Numbers of a data set as they came."""
    return plain_array(path, dataset.name, store.values(dataset))


def in_unit(path: Path, dataset: h5py.Dataset, kind: str, unstated: str) -> Any:
    """Numbers of a data set in our unit of its kind (:func:`madpipe.mad.measured.readers.hdf5.units.factor_of`).

    Raises
    ------
    InputError
        A unit that is none of that kind.
    """
    unit = attribute(dataset, "units") or unstated
    factor = factor_of(unit, kind)
    if factor is None:
        raise InputError(
            f"{path}: {dataset.name} needs a unit of {kind} ({SPELLINGS[kind]}); it is in {unit!r}; convert it."
        )
    return plain_array(path, dataset.name, np.asarray(value_of(path, dataset), dtype=float) * factor)
