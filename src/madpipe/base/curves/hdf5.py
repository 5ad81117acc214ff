"""Curves of HDF5 files: NXcanSAS, other NeXus data with q, BioXTAS RAW's series, REGALS' .mat, plain arrays."""

import re
from collections.abc import Iterator
from dataclasses import replace

import h5py
import numpy as np
from jaxtyping import Shaped

from madpipe.base import store
from madpipe.base.curves.arrays import NAMES, curves_of_arrays, named
from madpipe.base.curves.raw import RawCurves
from madpipe.base.errors import InputError

_FRAME = re.compile(r"[0-9]{1,8}")
_MOST_GROUPS = 20000
_TEXTS = ("title", "name", "run")
_SAME = 1e-9  # relative, between axes that are one


def read_hdf5(path: str, name: str, place: str | None = None) -> list[RawCurves]:
    """Read every group of a file that holds curves.

    Parameters
    ----------
    path:
        The file, of any ending.
    name:
        Of the file, without its ending.
    place:
        A group to read alone, or the datasets: q=/a/q,intensity=/a/I,sigma=/a/error.

    Raises
    ------
    InputError
        No such file or damaged, no curves in it, datasets that do not fit together.
    """
    with store.opened(path) as file:
        if place and "=" in place:
            return [_told(file, place, name)]
        root = file if not place else file.get(place)
        if not isinstance(root, h5py.Group):
            raise InputError(f"needs a group at {place!r}; the file has none; see `madpipe info` for what it holds.")
        if store.attribute(file, "file_type") == "RAW_Series" or isinstance(root.get("profiles"), h5py.Group):
            found = list(_raw_series(root))
            if found:
                return found
        groups = [group for group in _groups(root) if _holds_curves(group)]
        marked = [group for group in groups if store.attribute(group, "canSAS_class") == "SASdata"]
        found = [_group(group, name) for group in marked or groups]
        if not found:
            raise InputError(
                "needs datasets of q and intensity in one group; none are so named; name them with --path "
                "q=/a/q,intensity=/a/I,sigma=/a/error (the key path)."
            )
        return found


def _groups(root: h5py.Group) -> Iterator[h5py.Group]:
    """A group and those below it, each once."""
    waiting, seen = [root], set[tuple[str, int]]()
    while waiting and len(seen) < _MOST_GROUPS:
        group = waiting.pop(0)
        mark = (group.file.filename, h5py.h5o.get_info(group.id).addr)
        if mark in seen:
            continue
        seen.add(mark)
        yield group
        waiting += [item for item in map(group.get, group) if isinstance(item, h5py.Group)]


def _datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Datasets right in a group."""
    found = {key: group.get(key) for key in group}
    return {key: item for key, item in found.items() if isinstance(item, h5py.Dataset) and item.shape is not None}


def _roles(group: h5py.Group) -> dict[str, str]:
    """Datasets of a group by what they are: by NeXus' attributes, else by their names."""
    known = _datasets(group)
    roles = {kind: key for kind in NAMES if (key := named(list(known), kind)) is not None}
    signal = store.attribute(group, "signal")
    axes = _texts(group, "I_axes") + _texts(group, "axes")
    axis = [key for key in axes if key in known and re.fullmatch(r"(?i)q(_?(vec|vector|values?|axis))?|s|x", key)]
    if signal in known:
        roles["intensity"] = signal
    if axis:
        roles["q"] = axis[-1]
    if "intensity" in roles:
        item = known[roles["intensity"]]
        said = _texts(item, "uncertainties") + _texts(item, "uncertainty") + _texts(group, "I_uncertainties")
        said += [*_texts(group, "I_uncertainty"), f"{roles['intensity']}_errors"]
        roles["sigma"] = next((key for key in said if key in known), roles.get("sigma", ""))
    if "q" in roles:
        for key in _texts(known[roles["q"]], "resolutions") + _texts(known[roles["q"]], "resolution"):
            if key in known and key.lower() not in ("dql", "dqw"):
                roles["dq"] = key
    return {kind: key for kind, key in roles.items() if key}


def _texts(item: h5py.HLObject, name: str) -> list[str]:
    """An attribute's words: one text, parted by commas or blanks, or several."""
    try:
        value = item.attrs.get(name)
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return []
    some = np.ravel(np.asarray(value if value is not None else [], dtype=object))
    words = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in some]
    return [part for word in words if isinstance(word, str) for part in re.split(r"[\s,]+", word.strip()) if part]


def _holds_curves(group: h5py.Group) -> bool:
    """Whether q and an intensity that fits to it stand in a group."""
    roles, known = _roles(group), _datasets(group)
    if not {"q", "intensity"} <= set(roles) or roles["q"] == roles["intensity"]:
        return False
    if store.attribute(group, "canSAS_class") == "SASdata":
        return True
    sizes = [one for one in known[roles["q"]].shape if one > 1]
    return bool(sizes) and sizes[0] in known[roles["intensity"]].shape


def _values(dataset: h5py.Dataset) -> Shaped[np.ndarray, "..."]:
    """Numbers of a dataset."""
    return np.atleast_1d(np.asarray(store.values(dataset)))


def _group(group: h5py.Group, name: str) -> RawCurves:
    """Curves of one group."""
    roles, known = _roles(group), _datasets(group)
    numbers = {key: item for key, item in known.items() if item.dtype.kind in "biuf"}
    arrays = {kind: _values(numbers[key]) for kind, key in roles.items() if key in numbers}
    where = str(group.name).strip("/")
    entry = group.parent if group.name != "/" else group
    title = next((text for key in _TEXTS if (text := _text(entry, key))), "")
    units = {f"unit_{kind}": _unit(known[key]) for kind, key in roles.items() if kind != "sigma"}
    for kind in ("time", "energy"):
        if (
            kind in roles
            and not units[f"unit_{kind}"]
            and roles[kind].lower() in ("ms", "us", "ns", "time_ms", "energy_kev")
        ):
            units[f"unit_{kind}"] = roles[kind].lower().removeprefix("time_").replace("energy_kev", "keV")
    one = curves_of_arrays(where or name, _apart(arrays), units | {"title": title})
    frames = known.get("frame")
    if len(one.intensity) > 1 and frames is not None and frames.shape == (len(one.intensity),):
        one = replace(one, names=tuple(f"frame {number}" for number in _values(frames)))
    return one


def _apart(arrays: dict[str, Shaped[np.ndarray, "..."]]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Leave out times and energies of another length than there are curves: exposures, detectors' frames."""
    size = max(arrays["q"].shape, default=1) if "q" in arrays else 1
    curves = max(int(arrays["intensity"].size // max(size, 1)), 1) if "intensity" in arrays else 1
    return {
        kind: array for kind, array in arrays.items() if kind not in ("time", "energy") or array.size in (1, curves)
    }


def _unit(dataset: h5py.Dataset) -> str:
    """A dataset's unit."""
    return store.attribute(dataset, "units") or store.attribute(dataset, "unit")


def _text(group: h5py.Group, key: str) -> str:
    """A text in a group, or an array of one."""
    item = group.get(key)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind in "biufc" or item.size != 1:
        return ""
    value = store.values(item)
    value = store.plain(np.ravel(value)[0]) if isinstance(value, np.ndarray) else value
    return " ".join(str(value).split())[:100]


def _told(file: h5py.File, place: str, name: str) -> RawCurves:
    """Curves of the datasets that the person names."""
    words = [part.partition("=") for part in place.split(",")]
    paths = {key.strip().lower(): path.strip() for key, _, path in words}
    kinds = {kind: path for key, path in paths.items() for kind in NAMES if key == kind or key in NAMES[kind]}
    unknown = [key for key in paths if not any(key == kind or key in NAMES[kind] for kind in NAMES)]
    if unknown or not {"q", "intensity"} <= set(kinds):
        raise InputError(
            f"--path needs q=..., intensity=... and any of sigma, dq, slit_length, slit_width, time, energy; {place!r} "
            "came; name the datasets so."
        )
    known = {kind: file.get(path) for kind, path in kinds.items()}
    for kind, item in known.items():
        if not isinstance(item, h5py.Dataset):
            raise InputError(f"needs a dataset at {kinds[kind]!r} for {kind}; the file has none; see `madpipe info`.")
    units = {f"unit_{kind}": _unit(item) for kind, item in known.items()}
    return curves_of_arrays(name, {kind: _values(item) for kind, item in known.items()}, units)


def _raw_series(root: h5py.Group) -> Iterator[RawCurves]:
    """Entries of BioXTAS RAW's series: as measured, subtracted, with corrected baselines."""
    for key in ("profiles", "subtracted_profiles", "baseline_subtracted_profiles"):
        group = root.get(key)
        if isinstance(group, h5py.Group):
            frames = sorted((one for one in _datasets(group) if _FRAME.fullmatch(one)), key=int)
            if frames:
                yield _frames(root, group, frames, key)


def _frames(root: h5py.Group, group: h5py.Group, frames: list[str], key: str) -> RawCurves:
    """Numbered frames of two or three columns, with q in its own dataset where it is the same for all."""
    shared = _datasets(group).get("q")
    axis = None if shared is None else _values(shared)
    tables = [_values(group[frame]) for frame in frames]
    if any(one.ndim != 2 or one.shape[1] < 2 or one.shape != tables[0].shape for one in tables):
        raise InputError(f"{key}: needs frames of equally many points in columns; other shapes came; rebin them.")
    stack = np.asarray(tables, dtype=np.float64)
    if axis is None:
        axis = stack[0, :, 0]
        if np.abs(stack[:, :, 0] - axis).max() > _SAME * np.abs(axis).max():
            raise InputError(f"{key}: needs frames on one axis of q; they have several; rebin them on one.")
        stack = stack[:, :, 1:]
    arrays = {"q": axis, "intensity": stack[:, :, 0]}
    if stack.shape[2] > 1:
        arrays["sigma"] = stack[:, :, 1]
    times = _datasets(root).get("times")
    if times is not None and times.dtype.kind in "iuf" and times.shape == (len(frames),):
        values = _values(times).astype(np.float64)
        if (np.diff(values) > 0).all() and values.min() >= 0:
            arrays["time"] = values
    one = curves_of_arrays(key, arrays, {"unit_q": "1/angstrom", "unit_time": "s"})
    return replace(one, names=tuple(f"frame {int(frame)}" for frame in frames))
