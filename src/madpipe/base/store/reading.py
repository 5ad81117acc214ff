"""Records from HDF5/NeXus files, whole or some rows of them."""

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.plain import kinds_of
from madpipe.base.store.checked import attribute, damaged, opened_file, values

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
        group = file.get(PROCESS)
        found = dict(group.items()) if isinstance(group, h5py.Group) else {}
        told = {name: values(item) for name, item in found.items() if isinstance(item, h5py.Dataset)}
        return {name: text for name, text in told.items() if isinstance(text, str)}


def holds(path: str | Path, item: str) -> bool:
    """Say whether a file is HDF5 and holds an item; what is no HDF5 file is left to the reader's message."""
    if not (Path(path).is_file() and h5py.is_hdf5(path)):
        return False
    with opened(path) as file:
        return item in file


def root_attribute(path: str | Path, name: str) -> str:
    """Read an attribute of a whole HDF5 file; empty where it has none.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    with opened(path) as file:
        return attribute(file, name)


def text_at(path: str | Path, item: str) -> str | None:
    """Read a text from an HDF5 file; None where it has none there.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    with opened(path) as file:
        found = file.get(item)
        text = values(found) if isinstance(found, h5py.Dataset) else None
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
            found.append((name, f"{item.shape} {item.dtype} {attribute(item, 'units')}".rstrip()))

    with opened(path) as file:
        file.visititems(note)
    for name, description in found:
        visit(name, description)


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """Open a file for reading; damage found at once, or while the block reads, becomes an InputError."""
    with opened_file(path) as file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:
            raise damaged(path, error) from error


def read_record(file: h5py.File, record: type[Record], prefix: str, rows: slice | None = None) -> Record:
    """Read every field that the file has; fail on a required one that it lacks."""
    axes = {} if rows is None else row_axes(datasets(file, record), record)
    kinds, found = kinds_of(record), dict[str, Any]()  # type: ignore[arg-type]
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        if "path" not in field.metadata:
            found[field.name] = rows is None
            continue
        where = prefix + field.metadata["path"]
        if "record" in field.metadata:
            inner = field.metadata["record"]
            here = where in file and rows is None
            found[field.name] = read_record(file, inner, where + "/") if here else None
        elif where in file and isinstance(file[where], h5py.Dataset):
            part = (slice(None),) * axes[field.name] + (rows,) if rows is not None and field.name in axes else ()
            came = _read_dataset(file[where], field.metadata["unit"], part)
            found[field.name] = _of_kind(came, kinds[field.name], f"{file.filename}: /{where}")
        elif not field.metadata["optional"]:
            raise InputError(
                f"{file.filename}: a {record.__name__} needs the dataset /{where}; the file has none; "
                "see docs/format.md, or make it with `madpipe convert`."
            )
    try:
        return record(**found)
    except InputError as error:
        raise InputError(f"{file.filename}: {error}") from error


def _read_dataset(dataset: h5py.Dataset, unit: str, part: tuple[slice, ...] = ()) -> Any:
    """Read a dataset as text, scalar or array, after comparing its unit; without one it is trusted."""
    came = attribute(dataset, "units", unit)
    if came != unit:
        raise InputError(
            f"{dataset.file.filename}: {dataset.name} is required in {unit!r}; it is in {came!r}; convert it."
        )
    return values(dataset, part)


def _of_kind(came: Any, kind: Any, where: str) -> Any:
    """A value that is what its field holds: text, an array of numbers, or a number."""
    kinds = {kind, *typing.get_args(kind)}
    is_number = isinstance(came, int | float | complex)
    if str in kinds:
        fits, needs = isinstance(came, str), "text"
    elif np.ndarray in kinds:
        fits, needs = isinstance(came, np.ndarray) and came.dtype.kind in "biufc", "an array of numbers"
    elif kinds & {float, int}:
        fits, needs = is_number and not isinstance(came, complex), "a number"
    else:
        fits, needs = True, ""
    if not fits:
        shape = f" of shape {came.shape}" if isinstance(came, np.ndarray) else ""
        raise InputError(f"{where}: needs {needs}; got {type(came).__name__}{shape}; see docs/format.md.")
    return came


def datasets(file: h5py.File, record: type) -> dict[str, h5py.Dataset]:
    """Datasets that a file has of a record, by field name."""
    found = {field.name: file.get(field.metadata.get("path", "")) for field in dataclasses.fields(record)}
    return {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}


def row_axes(found: Mapping[str, h5py.Dataset], record: type) -> dict[str, int]:
    """Axis of the rows in each dataset that can be cut."""
    shapes = {name: dataset.shape or () for name, dataset in found.items()}
    return getattr(record, "row_axes", lambda _: {})(shapes)
