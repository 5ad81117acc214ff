"""Which data set of an HDF5 file holds the intensities: CXI's, NeXus', a detector's, or the one that is named."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import h5py

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.hdf5.values import attribute

Place = tuple[str, ...]  # paths of one data set, or of its parts along the first axis
_CXI = re.compile(r"entry_\d+/data_\d+/data")
_DETECTOR = re.compile(r"(^|/)(instrument|measurement|detector)", re.IGNORECASE)
_PART = re.compile(r"(.*\D)\d{6}")  # Eiger's files: data_000001, data_000002, ...
_NOT_COUNTS = re.compile(
    r"mask|flat|dark|back|err|sigma|corr|offset|basis|vector|orient|transl|geom|trim|position|weight|calib|window|"
    r"(^|_)q[xyz]?(_|$)|twotheta|polar|azimuth|support|object|probe|image_key|solid",
    re.IGNORECASE,
)
_SHOWN = 8  # candidates that a message lists


@dataclass(frozen=True)
class Signal:
    """Intensities and what surrounds them in their file."""

    place: str  # their path
    entry: h5py.Group  # of the measurement, below which all of it lies
    beside: h5py.Group  # their own group
    name: str  # theirs there
    items: Mapping[str, h5py.Group | h5py.Dataset | None]  # all below the entry, by their paths from there


def signal_at(file: h5py.File, place: str) -> Signal:
    """Look around the data set at a path."""
    parent, name = f"/{place}".rsplit("/", 1)
    top = place.split("/")[0]
    entry = file[top] if isinstance(file[top], h5py.Group) else file
    prefix = entry.name.strip("/")
    items = {where.removeprefix(prefix).strip("/"): item for where, item in walk(entry)}
    return Signal(place, entry, file[parent or "/"], name, items)


def find_signals(path: Path, file: h5py.File, wanted: Sequence[str]) -> list[Place]:
    """Find the data sets of intensities: the ones that are named, else the only one that may be meant.

    Parameters
    ----------
    path, file:
        The file.
    wanted:
        Paths of data sets, or of groups with one below them, or patterns such as ``*/measurement/eiger2M``; each data
        set is one energy, or all of them.

    Returns
    -------
    :
        Without ``wanted`` the first of these that the file has: CXI's ``entry_1/data_1/data``; NeXus' default plot;
        signals of other plots, by the group's attribute or the data set's ``signal=1``; arrays below an instrument, a
        detector or a bliss scan's ``measurement``; any array of two dimensions or more. Links to one data set count
        once, and so do the parts ``data_000001``, ``data_000002`` ... of Eiger's files.

    Raises
    ------
    InputError
        None there, or several; then the message names them with their shapes.
    """
    if wanted:
        return [place for name in wanted for place in _named(path, file, name)]
    for places in _kinds(file):
        if len(places) == 1:
            return places
        if places:
            raise InputError(
                f"{path}: needs one data set of intensities; it may be any of {_listed(file, places)}; name it, or "
                "one per photon energy joined by commas, with --dataset (dataset: in the configuration)."
            )
    broken = [name for name, item in walk(file) if item is None]
    came = f"links to what is not there: {', '.join(broken[:3])}" if broken else _listed(file, everything(file))
    raise InputError(
        f"{path}: needs a data set entry_1/data_1/data (CXI), a default signal (NeXus) or one array of counts; it has "
        f"{came or 'none'}; {'put the linked files beside it' if broken else 'name it with --dataset'}, or write the "
        "arrays as .npz (docs/format.md)."
    )


def walk(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset | None]]:
    """Every item below a group by its path from the file's root, soft links' data sets too; None: a broken link."""
    todo, seen = [(group.name.strip("/"), group)], set[tuple[int, int]]()
    while todo:
        prefix, here = todo.pop(0)
        for name in here:
            where = f"{prefix}/{name}".lstrip("/")
            item = _item(here, name)
            is_below = isinstance(item, h5py.Group) and isinstance(here.get(name, getlink=True), h5py.HardLink)
            if is_below and _identity(item) not in seen:
                seen.add(_identity(item))
                todo.append((where, item))
            if item is None or isinstance(item, h5py.Group | h5py.Dataset):
                yield where, item


def everything(file: h5py.File) -> list[Place]:
    """Every array of real numbers with two dimensions or more, masks and calibrations left out."""
    return _distinct(file, [name for name, item in walk(file) if _may_be_counts(name, item)])


def _kinds(file: h5py.File) -> Iterator[list[Place]]:
    """Data sets that may be meant, kind by kind, the surest kind first."""
    cxi = [f"{entry}/{data}/data" for entry in file for data in _members(file, entry)]
    yield _distinct(file, [name for name in cxi if _CXI.fullmatch(name) and is_array(_item(file, name))])
    yield _distinct(file, _default(file))
    items = list(walk(file))
    signals = [signal for name, item in items for signal in _signal_of(name, item)]
    yield _distinct(file, [name for name in signals if is_array(_item(file, name))])
    arrays = [name for name, item in items if _may_be_counts(name, item)]
    yield _distinct(file, [name for name in arrays if _DETECTOR.search(name)])
    yield _distinct(file, arrays)


def _members(file: h5py.File, name: str) -> Sequence[str]:
    """Names below a group; none below anything else."""
    item = _item(file, name)
    return list(item) if isinstance(item, h5py.Group) else []


def _item(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a group has under a name; None where a link leads nowhere."""
    try:
        item: h5py.Group | h5py.Dataset | None = group[name]
    except (KeyError, OSError):
        return None
    return item


def _default(file: h5py.File) -> list[str]:
    """The default plot's signal, following NeXus' attributes from the root."""
    names: list[str] = []
    group: object = file
    while isinstance(group, h5py.Group) and len(names) < 10:
        signal, default = attribute(group, "signal"), attribute(group, "default")
        if signal:
            name = "/".join([*names, signal])
            return [name] if is_array(_item(file, name)) else []
        names.append(default)
        group = _item(group, default) if default else None
    return []


def _signal_of(name: str, item: h5py.Group | h5py.Dataset | None) -> list[str]:
    """The signal that a group names, or a data set that calls itself its group's signal."""
    if isinstance(item, h5py.Group) and attribute(item, "signal"):
        return [f"{name}/{attribute(item, 'signal')}"]
    return [name] if isinstance(item, h5py.Dataset) and attribute(item, "signal") == "1" else []


def is_array(item: h5py.Group | h5py.Dataset | None, kinds: str = "iuf") -> bool:
    """Tell whether an item is a data set of two dimensions or more with numbers of these kinds."""
    return isinstance(item, h5py.Dataset) and len(item.shape or ()) > 1 and item.dtype.kind in kinds


def _may_be_counts(name: str, item: h5py.Group | h5py.Dataset | None) -> bool:
    """An array that no name tells to be anything else; at least two by two points."""
    is_frame = isinstance(item, h5py.Dataset) and is_array(item) and min(item.shape[-2:]) > 1
    return is_frame and not _NOT_COUNTS.search(name.rsplit("/", 1)[-1])


def _identity(item: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    """What is the same for all links to an item."""
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def same_item(one: h5py.Group | h5py.Dataset, other: h5py.Group | h5py.Dataset) -> bool:
    """Tell whether two links lead to one item."""
    return _identity(one) == _identity(other)


def _distinct(file: h5py.File, names: Sequence[str]) -> list[Place]:
    """Each data set once, under the first of its names; the parts of one together."""
    known, parts = dict[tuple[int, int], str](), dict[str, list[str]]()
    for name in names:
        known.setdefault(_identity(file[name]), name)
    for name in known.values():
        match = _PART.fullmatch(name)
        parts.setdefault(match[1] if match else name, []).append(name)
    whole: list[Place] = []
    for several in parts.values():
        alike = len({file[name].shape[1:] for name in several}) == 1
        whole += [tuple(sorted(several))] if alike else [(name,) for name in several]
    return whole


def _listed(file: h5py.File, places: Sequence[Place]) -> str:
    """Data sets with their shapes and types."""
    named = [f"/{place[0]} {file[place[0]].shape} {file[place[0]].dtype}" for place in places[:_SHOWN]]
    return ", ".join(named) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")


def _named(path: Path, file: h5py.File, wanted: str) -> list[Place]:
    """Data sets that a path or a pattern names."""
    name = wanted.strip("/")
    if any(sign in name for sign in "*?["):
        names = [where for where, item in walk(file) if fnmatchcase(where, name) and is_array(item)]
    else:
        item = _item(file, name) if name else file
        names = [name] if isinstance(item, h5py.Dataset) else []
        if isinstance(item, h5py.Group):
            names = [where for where, one in walk(item) if _may_be_counts(where, one)]
    found = _distinct(file, names)
    if not found or (len(found) > 1 and "*" not in name):
        came = f"there are {_listed(file, found or everything(file)) or 'none'}"
        raise InputError(f"{path}: needs a data set of intensities at {wanted!r}; {came}; check --dataset.")
    return found
