"""Arrays of one Bragg peak from plain numpy .npz, and what every reader of arrays gives."""

import difflib
from pathlib import Path
from typing import Any

import numpy as np

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.archive import read_archive

Fields = dict[str, Any]  # those of a Stack that a file gives, by their names there
PER_POINT = ("data", "background", "data_errors")  # (energy, *point), or (*point) in a file of one energy
AXES = ("qz", "qy", "qx")
_NPZ_NAMES = {"intensity": "data", "energy_ev": "energy"}
_TEXTS = ("element", "edge", "table", "title", "name", "chemical_formula")
_NPZ_KEYS = (
    *_NPZ_NAMES,
    *("f_prime", "f_double_prime", "f0", "mask", "background", "data_errors", "monitor", "monitor_sigma"),
    *(*AXES, "q_bragg", "friedel_sign", "miller_indices", "unit_cell", *_TEXTS),
)


def read_npz(path: Path) -> list[Fields]:
    """Read ``intensity``, ``energy_ev`` and what else docs/format.md names from a numpy archive.

    Raises
    ------
    InputError
        Not a numpy archive or truncated, no intensity, a name that is not known, or not numbers.
    """
    arrays = read_archive(path)
    unknown = [name for name in arrays if name not in _NPZ_KEYS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], _NPZ_KEYS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_NPZ_KEYS)}"
        raise InputError(f"{path}: array {unknown[0]!r} is not known, so it would be lost; {advice}.")
    if "intensity" not in arrays:
        raise InputError(
            f"{path}: needs the array 'intensity' (energy, ...); got {', '.join(arrays) or 'none'}; add it."
        )
    named = {_NPZ_NAMES.get(name, name): plain_array(path, name, array) for name, array in arrays.items()}
    return [with_energy_axis(path, named)]


def plain_array(path: Path, name: str, came: Any) -> Any:
    """Text for the names, numbers as they came for all else."""
    array = np.asarray(came)
    if name in _TEXTS:
        if array.size != 1 or array.dtype.kind not in "US":
            raise InputError(f"{path}: {name} needs one text; got {array.dtype} of shape {array.shape}; correct it.")
        return " ".join(str(store.plain(array.ravel()[0])).split())
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} needs real numbers; got {array.dtype}; convert it.")
    if name == "mask":
        return _bits(path, array)
    return array.item() if array.ndim == 0 else array


def _bits(path: Path, mask: np.ndarray) -> np.ndarray:
    """A mask as CXI's bits; 0 is good."""
    if mask.dtype.kind == "f" and not np.isfinite(mask).all():
        raise InputError(f"{path}: mask needs whole numbers, 0 where a point is good; some are not finite; mend it.")
    bits = mask.astype(np.uint32) if mask.dtype.kind in "biu" else mask
    return bits if np.array_equal(bits, mask) and bits.dtype == np.uint32 else (mask != 0).astype(np.uint32)


def with_energy_axis(source: Path | str, found: Fields) -> Fields:
    """Give the arrays of a file with one energy an energy axis; elsewhere check that it has one entry per energy."""
    if "energy" not in found:
        return found
    energy = np.atleast_1d(np.asarray(found["energy"], dtype=float))
    data = np.asarray(found["data"])
    if len(energy) == 1 and data.shape[:1] != (1,):
        arrays = {name: np.asarray(found[name])[None] for name in PER_POINT if name in found}
        return {**found, **arrays, "energy": energy}
    if energy.ndim != 1 or data.shape[:1] != energy.shape:
        raise InputError(
            f"{source}: needs one frame or volume per energy, (energy, ...); got data {data.shape} and energies "
            f"{energy.shape}; give the intensities and energies in the same order and number."
        )
    return {**found, "energy": energy}
