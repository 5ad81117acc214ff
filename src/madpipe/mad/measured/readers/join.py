"""One set of fields from several files, each of one photon energy or more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.arrays import Fields, with_energy_axis
from madpipe.mad.measured.readers.reflections import ReflectionList

NOT_MEASURED = np.uint32(0x200)  # CXI_PIXEL_IS_MISSING
_PER_ENERGY = (
    *("data", "energy", "f_prime", "f_double_prime", "background"),
    *("data_errors", "monitor", "monitor_sigma", "exposures"),
)
_FIRST_WILL_DO = ("title", "name")
_SAME_CELL = 0.005  # relative difference between cells of one crystal at several wavelengths
_SAME = 1e-6  # relative difference between numbers that files repeat


def join_arrays(parts: list[Fields], energies: Sequence[float] | None) -> Fields:
    """Join arrays of one Bragg peak, one file with every energy or one file per energy, along the energy.

    Parameters
    ----------
    parts:
        What the files hold, in their order; they are emptied, so that memory does not have to hold arrays twice.
    energies:
        Photon energies in that order, for files that have none, or in place of theirs [eV].

    Raises
    ------
    InputError
        No energies, other shapes or other q axes from file to file, or an array that only some files have.
    """
    if energies is not None:
        _put_energies(parts, energies)
    if any("energy" not in part for part in parts):
        raise InputError(
            "The photon energy of every frame or volume is required; a file has none; "
            "add energies_ev in the files' order, or --energies 8313,8318,... [eV]."
        )
    shapes = [np.shape(part["data"])[1:] for part in parts]
    if len(set(shapes)) > 1:
        odd = next(number for number, shape in enumerate(shapes) if shape != shapes[0])
        raise InputError(
            f"Every energy must have the same shape; it is {shapes[0]} in the first file and {shapes[odd]} in file "
            f"{odd + 1}; crop or regrid them to one q grid."
        )
    if len(parts) == 1:
        only = parts[0]
        mask = {"mask": _mask_of_points(only["mask"], np.shape(only["data"]))} if "mask" in only else {}
        return {**only, **mask}
    names = dict.fromkeys(name for part in parts for name in part)
    mask = {"mask": _joined_mask(parts, [np.shape(part["data"]) for part in parts])} if "mask" in names else {}
    return {name: _joined(name, parts) for name in names if name != "mask"} | mask


def _put_energies(parts: list[Fields], energies: Sequence[float]) -> None:
    """Give the parts the energies of the configuration: all to one file, or one to each."""
    if len(parts) > 1 and len(parts) != len(energies):
        raise InputError(
            f"One energy per file is required; {len(energies)} energies and {len(parts)} files came; give as many."
        )
    shares = [np.asarray(energies)] if len(parts) == 1 else [np.atleast_1d(energy) for energy in energies]
    for number, share in enumerate(shares):
        parts[number] = with_energy_axis(f"file {number + 1}", {**parts[number], "energy": share})


def _joined(name: str, parts: Sequence[Fields]) -> Any:
    """Join one field, taken out of the parts: along the energy, or once where every file repeats it."""
    if name in _PER_ENERGY:
        return _end_to_end(name, parts)
    present = [part.pop(name) for part in parts if name in part]
    if name not in _FIRST_WILL_DO and not all(_is_same(value, present[0]) for value in present):
        raise InputError(f"{name} must be the same in every file; it differs; regrid the energies alike, or mend it.")
    return present[0]


def _end_to_end(name: str, parts: Sequence[Fields]) -> np.ndarray:
    """Join one field along the energy; each part gives its own up once it is copied."""
    here = sum(name in part for part in parts)
    if here < len(parts):
        raise InputError(f"{name} is required in every file or in none; {here} of {len(parts)} have it.")
    values = [np.atleast_1d(part.pop(name)) for part in parts]
    shapes = [value.shape[1:] for value in values]
    if len(set(shapes)) > 1:
        raise InputError(f"{name} must have the same shape in every file; the shapes are {shapes}; crop them alike.")
    whole = np.empty((sum(map(len, values)), *shapes[0]), np.result_type(*values))
    start = 0
    while values:
        value = values.pop(0)
        whole[start : start + len(value)] = value
        start += len(value)
    return whole


def _is_same(value: Any, other: Any) -> bool:
    """Tell whether two files repeat a text or numbers, these up to rounding."""
    if isinstance(value, str) or isinstance(other, str):
        return value == other
    return np.shape(value) == np.shape(other) and np.allclose(value, other, rtol=_SAME, atol=0)


def _joined_mask(parts: Sequence[Fields], shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """One mask where every file repeats it, else one per energy; a file without one has every point good."""
    masks = []
    for part, shape in zip(parts, shapes, strict=True):
        mask = _mask_of_points(part.pop("mask", np.uint32(0)), shape)
        if mask.shape not in ((), shape[1:], shape):
            raise InputError(
                f"mask must have the shape of one energy {shape[1:]} or of data {shape}; it has {mask.shape}; "
                "crop or transpose it as the data."
            )
        masks.append(mask)
    first = masks[0]
    if first.shape == shapes[0][1:] and all(np.array_equal(mask, first) for mask in masks[1:]):
        return first
    return np.concatenate([np.broadcast_to(mask, shape) for mask, shape in zip(masks, shapes, strict=True)])


def _mask_of_points(came: Any, of_data: tuple[int, ...]) -> np.ndarray:
    """A mask of each frame of a volume for all of them; any other as it is."""
    mask, shape = np.asarray(came), of_data[1:]
    is_of_frames = mask.ndim == len(shape) - 1 and mask.ndim > 1 and mask.shape == shape[1:]
    return np.broadcast_to(mask, shape).copy() if is_of_frames else mask


def join_lists(lists: Sequence[ReflectionList], energies: Sequence[float] | None) -> Fields:
    """Join lists of reflections: an entry per Friedel mate, masked at the energies where it was not measured.

    Parameters
    ----------
    lists:
        One per photon energy.
    energies:
        Their photon energies, for files that have none, or in place of theirs [eV].

    Raises
    ------
    InputError
        No energies, cells of different crystals, a reflection twice, or none measured at three energies.
    """
    energy = _energies_of(lists, energies)
    if len(set(energy.tolist())) < 3:
        raise InputError(
            f"MAD needs at least 3 distinct photon energies, for |F_T|, |F_A| and their phase difference in each "
            f"reflection; {len(set(energy.tolist()))} came ({', '.join(f'{one:.6g}' for one in energy)} eV); add "
            "wavelengths; one (SAD) or two are for a phasing program."
        )
    cells = np.array([one.unit_cell for one in lists])
    if not np.allclose(cells, cells[0], rtol=_SAME_CELL, atol=0):
        odd = int(np.argmax(np.abs(cells / cells[0] - 1).max(1)))
        raise InputError(
            f"Every energy must be of the same crystal, cells alike within {_SAME_CELL:.1%}; {lists[0].source} has "
            f"{cells[0].tolist()}, {lists[odd].source} {cells[odd].tolist()}; check the files."
        )
    keys = np.concatenate([np.column_stack([one.miller_indices, -one.friedel_sign]) for one in lists])
    entries, place = np.unique(keys, axis=0, return_inverse=True)
    data, errors = np.full((2, len(lists), len(entries)), np.nan)
    for k, where in enumerate(np.split(place.ravel(), np.cumsum([len(one.intensity) for one in lists])[:-1])):
        _check_merged(lists[k], where)
        data[k, where], errors[k, where] = lists[k].intensity, lists[k].sigma
    measured = np.isfinite(data)
    if measured.sum(0).max() < min(3, len(lists)):
        raise InputError(
            "Reflections measured at three energies are required; there is none; index and merge the files alike."
        )
    values = {
        "data": data,
        "data_errors": errors,
        "energy": energy,
        "mask": np.where(measured, np.uint32(0), NOT_MEASURED),
        "miller_indices": entries[:, :3],
        "friedel_sign": -entries[:, 3],
        "unit_cell": cells[0],
    }
    groups = {one.space_group for one in lists}
    if len(groups) == 1 and None not in groups:
        values["space_group"] = groups.pop()
    return values


def _energies_of(lists: Sequence[ReflectionList], energies: Sequence[float] | None) -> Float[np.ndarray, "energy"]:
    """Photon energies of the configuration, else the files' [eV]."""
    if energies is not None:
        if len(energies) != len(lists):
            raise InputError(
                f"One energy per list of reflections is required; {len(energies)} energies and {len(lists)} lists "
                "came; give as many."
            )
        return np.array(energies, dtype=float)
    silent = [one.source for one in lists if one.energy is None]
    if silent:
        raise InputError(
            f"The photon energy of every list is required; {silent[0]} has none; add energies_ev in the files' order, "
            "or --energies [eV]; nominal ones will do where f', f'' are refined."
        )
    return np.array([one.energy for one in lists], dtype=float)


def _check_merged(one: ReflectionList, where: np.ndarray) -> None:
    """A reflection's mate stands in a list once."""
    if len(np.unique(where)) < len(where):
        raise InputError(f"{one.source}: needs merged intensities; it has a reflection twice; merge it first.")
