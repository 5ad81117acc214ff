"""Records from HDF5/NeXus files, whole or some rows of them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.errors import InputError, one_line

PROCESS = "entry_1/process_1"  # the group of NXprocess
Record = TypeVar("Record")


def read(path: str | Path, record: type[Record], rows: slice | None = None) -> Record:
    """Read a record from a file, or only some rows of it, without the records below it.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated, a required dataset missing, a dataset in another unit, or values
        that the record refuses.
    """
    with opened(path) as file:
        return read_record(file, record, "", rows)


def read_process(path: str | Path) -> dict[str, str]:
    """Read who made a file and how: the NXprocess group as text, empty where the file has none.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    with opened(path) as file:
        group = file.get(PROCESS, {})
        return {name: _plain(group[name][()]) for name in group}


def holds(path: str | Path, item: str) -> bool:
    """Say whether a file is HDF5 and holds an item; what is no HDF5 file is left to the reader's message."""
    if not (Path(path).is_file() and h5py.is_hdf5(path)):
        return False
    with h5py.File(path, "r") as file:
        return item in file


def text_at(path: str | Path, item: str) -> str | None:
    """Read a text from an HDF5 file; None where it has none there.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    with opened(path) as file:
        found = file.get(item)
        text = _plain(found[()]) if isinstance(found, h5py.Dataset) else None
    return text if isinstance(text, str) else None


def tree(path: str | Path, visit: Callable[[str, str], None]) -> None:
    """Call visit(name, description) for every dataset in a file, in the file's order.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    found: list[tuple[str, str]] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((name, f"{item.shape} {item.dtype} {_plain(item.attrs.get('units', ''))}".rstrip()))

    with opened(path) as file:
        file.visititems(note)
    for name, description in found:
        visit(name, description)


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """Open a file for reading; damage found at once, or while the block reads, becomes an InputError."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: needs an existing HDF5 file; there is none; check the path.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{path}: needs a complete HDF5 file; got: {one_line(error)}; "
            "it may be truncated or of another format: make it again, or run `madpipe convert`."
        ) from error


def read_record(file: h5py.File, record: type[Record], prefix: str, rows: slice | None = None) -> Record:
    """Read every field that the file has; fail on a required one that it lacks."""
    axes = {} if rows is None else row_axes(datasets(file, record), record)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        if "path" not in field.metadata:
            values[field.name] = rows is None
            continue
        where = prefix + field.metadata["path"]
        if "record" in field.metadata:
            inner = field.metadata["record"]
            here = where in file and rows is None
            values[field.name] = read_record(file, inner, where + "/") if here else None
        elif where in file and isinstance(file[where], h5py.Dataset):
            part = (slice(None),) * axes[field.name] + (rows,) if rows is not None and field.name in axes else ()
            values[field.name] = _read_dataset(file[where], field.metadata["unit"], part)
        elif not field.metadata["optional"]:
            raise InputError(
                f"{file.filename}: a {record.__name__} needs the dataset /{where}; the file has none; "
                "see docs/format.md, or make it with `madpipe convert`."
            )
    try:
        return record(**values)
    except InputError as error:
        raise InputError(f"{file.filename}: {error}") from error


def _read_dataset(dataset: h5py.Dataset, unit: str, part: tuple[slice, ...] = ()) -> Any:
    """Read a dataset as text, scalar or array, after comparing its unit; without one it is trusted."""
    came = _plain(dataset.attrs.get("units", unit))
    if came != unit:
        raise InputError(
            f"{dataset.file.filename}: {dataset.name} is required in {unit!r}; it is in {came!r}; convert it."
        )
    return _plain(dataset[part])


def _plain(value: Any) -> Any:
    """Text of bytes, a Python number of a scalar, an array as it is."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value


def datasets(file: h5py.File, record: type) -> dict[str, h5py.Dataset]:
    """Datasets that a file has of a record, by field name."""
    found = {field.name: file.get(field.metadata.get("path", "")) for field in dataclasses.fields(record)}
    return {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}


def row_axes(found: Mapping[str, h5py.Dataset], record: type) -> dict[str, int]:
    """Axis of the rows in each dataset that can be cut."""
    shapes = {name: dataset.shape for name, dataset in found.items()}
    return getattr(record, "row_axes", lambda _: {})(shapes)
