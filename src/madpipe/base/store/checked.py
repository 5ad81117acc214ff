"""HDF5 files of any program, read without harm: arrays that fit into memory, and nothing from outside their folder.

An HDF5 file may take its data from any other file of the machine: by external links, virtual datasets and external raw
storage. Who sends a file does not say which files of ours stand in it; hence only the file's own folder is followed.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.errors import InputError, is_control, one_line
from madpipe.base.files import require_file, require_memory

_TROUBLE = (  # that HDF5 and h5py find in a damaged file
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, NotImplementedError),
    SystemError,
)
_NUMBERS = "biufc"
_UNWRITTEN = 2**20  # bytes from which zeros that nobody wrote are a fault


def opened_file(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading, after a look at where its links lead.

    Raises
    ------
    InputError
        No such file, it may not be read, it is no HDF5 file or damaged, or a link leads out of its folder.
    """
    path = require_file(path, "HDF5 file")
    try:
        file = h5py.File(path, "r")
    except _TROUBLE as error:
        raise damaged(path, error) from error
    try:
        _require_links_inside(file, _folders(path), {path.resolve()})
    except BaseException:
        file.close()
        raise
    return file


def damaged(path: str | Path, error: Exception) -> InputError:
    """What to say of a file that HDF5 cannot read."""
    return InputError(
        f"{path}: needs a complete HDF5 file; got: {one_line(error)}; "
        "it may be truncated or of another format: make it again, or run `madpipe convert`."
    )


def _folders(path: Path) -> tuple[Path, ...]:
    """The folder of a file, and where a link to the file leads."""
    return path.absolute().parent.resolve(), path.resolve().parent


def _require_links_inside(file: h5py.File, folders: Iterable[Path], seen: set[Path]) -> None:
    """Follow every external link of a file, and those of the files that it leads to, without opening a dataset."""
    links: list[tuple[str, str]] = []

    def note(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            links.append((name, link.filename))

    try:
        file.visititems_links(note)
    except _TROUBLE as error:
        raise damaged(file.filename, error) from error
    for name, target in links:
        found = _inside(file.filename, name, target, folders)
        if found not in seen and found.is_file() and h5py.is_hdf5(found):
            seen.add(found)
            with h5py.File(found, "r") as other:
                _require_links_inside(other, folders, seen)


def _inside(source: str, name: str, target: str, folders: Iterable[Path]) -> Path:
    """Where a link leads; refused where that is not below the folder of the file."""
    found = (Path(source).absolute().parent / target).resolve()
    if not any(found.is_relative_to(folder) for folder in folders):
        raise InputError(
            f"{source}: needs data of its own or from its own folder; {name} takes them from {target!r}; "
            "copy the data into the file, or that file beside it."
        )
    return found


def require_own(dataset: h5py.Dataset, above: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Refuse a dataset whose numbers lie outside the file's folder, or in a file that is not HDF5.

    Parameters
    ----------
    dataset:
        Of an open file.
    above:
        File and name of the virtual datasets that this one is a part of.

    Raises
    ------
    InputError
        External raw storage, a virtual dataset over files elsewhere, or one that is a part of itself, without end.
    """
    source, name = dataset.file.filename, str(dataset.name)
    if dataset.external:
        raise InputError(
            f"{source}: needs data of its own; {name} takes them from the file {dataset.external[0][0]!r} (external "
            "storage), which may be anything; copy the data into the HDF5 file."
        )
    if not dataset.is_virtual:
        return
    here = str(Path(source).resolve()), name
    if here in above:
        raise InputError(f"{source}: needs data of its own; {name} is virtual and a part of itself; write it again.")
    folders = _folders(Path(source))
    for target, inner in {(one.file_name, one.dset_name) for one in dataset.virtual_sources()}:
        if target == ".":
            _require_part_own(dataset.file, inner, above | {here})
            continue
        found = _inside(source, name, target, folders)
        if found.is_file() and h5py.is_hdf5(found):
            with h5py.File(found, "r") as other:
                _require_part_own(other, inner, above | {here})


def _require_part_own(file: h5py.File, name: str, above: frozenset[tuple[str, str]]) -> None:
    """The same of a dataset that a virtual one is made of."""
    part = file.get(name)
    if isinstance(part, h5py.Dataset):
        require_own(part, above)


def values(dataset: h5py.Dataset, part: tuple[Any, ...] = ()) -> Any:
    """Read a dataset, or a part of it, as text, number or array.

    Parameters
    ----------
    dataset:
        Of a file from :func:`opened_file`.
    part:
        Slices of its first axes.

    Returns
    -------
    :
        Text without control characters other than line breaks; a Python number; an array as it is.

    Raises
    ------
    InputError
        It holds neither numbers nor text, or nothing; it does not fit into memory; it lies outside the file's folder;
        it is damaged.
    """
    source = f"{dataset.file.filename}: {dataset.name}"
    if dataset.shape is None:
        raise InputError(f"{source}: needs numbers or text; it is empty; leave it out, or write its values.")
    if not is_plain(dataset.dtype):
        raise InputError(f"{source}: needs numbers or text; it holds {_told(dataset.dtype)}; write plain numbers.")
    require_own(dataset)
    if dataset.nbytes > _UNWRITTEN and not dataset.is_virtual and dataset.id.get_storage_size() == 0:
        raise InputError(f"{source}: needs values; it was given a place but none were ever written; write it again.")
    require_memory(source, _size(dataset, part))
    try:
        return plain(dataset[part])
    except _TROUBLE as error:
        raise damaged(dataset.file.filename, error) from error


def is_plain(dtype: np.dtype) -> bool:
    """Say whether a type is numbers or text."""
    return dtype.kind in _NUMBERS + "SU" or h5py.check_string_dtype(dtype) is not None


def _told(dtype: np.dtype) -> str:
    """A type in words."""
    if dtype.names:
        return f"a table of {', '.join(dtype.names)}"[:100]
    return "references" if h5py.check_ref_dtype(dtype) is not None else f"values of type {dtype}"


def _size(dataset: h5py.Dataset, part: tuple[Any, ...]) -> int:
    """Bytes of a part of a dataset."""
    sizes = [
        len(range(size)[cut]) if isinstance(cut, slice) else 1 for size, cut in zip(dataset.shape, part, strict=False)
    ]
    return int(math.prod([*sizes, *dataset.shape[len(part) :]]) * dataset.dtype.itemsize)


def plain(value: Any) -> Any:
    """Text of bytes, a Python number of a scalar, an array in the machine's byte order."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))  # torch knows no other byte order
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return without_controls(value) if isinstance(value, str) else value


def without_controls(text: str) -> str:
    """Text that figures, JSON and HTML can hold: no control characters but line breaks and tabs, no lone surrogates."""
    text = text.encode("utf-8", errors="replace").decode()
    return "".join(one if one in "\n\t" or not is_control(one) else " " for one in text.rstrip("\0"))


def attribute(item: h5py.HLObject, name: str, default: str = "") -> str:
    """Read an attribute that is text, or an array of one text; what is of another type counts as absent."""
    try:
        found = item.attrs.get(name, default)
    except _TROUBLE:
        return default
    if isinstance(found, np.ndarray) and found.size == 1:
        found = found.ravel()[0]
    found = plain(found)
    return found if isinstance(found, str) else default
