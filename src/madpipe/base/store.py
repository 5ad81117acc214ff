"""One record, one HDF5/NeXus file: written whole or not at all, read back with its axes and units checked.

A record is a frozen dataclass. Each field made with :func:`entry` says where it lives in the file and in
which unit; a field made with :func:`part` is a record of its own below a group. The record's
``nexus_groups()`` gives the attributes of the groups, so that a NeXus or CXI reader finds signal and axes.
"""

import csv
import dataclasses
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.errors import InputError, one_line

Record = TypeVar("Record")
_PROCESS = "entry_1/process_1"


def entry(path: str, unit: str = "", *, optional: bool = False, **attributes: Any) -> Any:
    """Declare a dataclass field that is one dataset at path, in unit."""
    metadata = {"path": path, "unit": unit, "optional": optional, "attributes": attributes}
    return dataclasses.field(metadata=metadata, **({"default": None} if optional else {}))


def part(path: str, record: type) -> Any:
    """Declare an optional dataclass field that is a record of its own, kept below the group at path."""
    return dataclasses.field(default=None, metadata={"path": path, "record": record})


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside path; it takes path's place when the block ends well, else it vanishes.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        with _temporary_file(path) as temporary:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: needs a writable disk with room for the whole file; got: {one_line(error)}; "
            "free some space or choose another place. A file that was there before is unchanged."
        ) from error


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """Make an empty file beside path, removed at the end unless it was moved away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """Permissions that new files lack; it can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write(path: str | Path, record: Any, *, process: Mapping[str, str] | None = None) -> None:
    """Write a record; an existing file stays as it was unless the new one is complete.

    Parameters
    ----------
    path:
        The file; missing folders are made.
    record:
        A dataclass whose fields come from :func:`entry` and :func:`part`.
    process:
        Program, version, date and note_1 for NXprocess (see :func:`madpipe.base.provenance.process`).

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    image = _hdf5_image(record, process)
    with whole_file(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def _hdf5_image(record: Any, process: Mapping[str, str] | None) -> io.BytesIO:
    """Make the whole file in memory: HDF5 can crash the process when the disk fills up under an open file."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        _write_root(file)
        _write_record(file, record, "")
        if process is not None:
            _write_process(file, process)
    return image


def read(path: str | Path, record: type[Record]) -> Record:
    """Read a record from a file.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated, a required dataset missing, a dataset in another unit, or values
        that the record refuses.
    """
    with _opened(path) as file:
        return _read_record(file, record, "")


@contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
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


def read_process(path: str | Path) -> dict[str, str]:
    """Read who made a file and how: the NXprocess group as text, empty where the file has none.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated.
    """
    with _opened(path) as file:
        group = file.get(_PROCESS, {})
        return {name: _plain(group[name][()]) for name in group}


def _write_root(file: h5py.File) -> None:
    """Root attributes and the two CXI datasets."""
    file.attrs.update({"NX_class": "NXroot", "default": "entry_1", "creator": "madpipe"})
    file["cxi_version"] = 160
    file["number_of_entries"] = 1


def _write_process(file: h5py.File, process: Mapping[str, str]) -> None:
    """NXprocess of the first entry."""
    group = file.require_group(_PROCESS)
    group.attrs["NX_class"] = "NXprocess"
    for name, text in process.items():
        group[name] = text


def _write_record(file: h5py.File, record: Any, prefix: str) -> None:
    """Groups with their attributes first, then every dataset, then the records below."""
    for path, attributes in record.nexus_groups().items():
        file.require_group(prefix + path).attrs.update(attributes)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None:
            continue
        if "record" in field.metadata:
            _write_record(file, value, prefix + field.metadata["path"] + "/")
        else:
            _write_dataset(file, prefix + field.metadata["path"], value, field.metadata)
    for path, target in getattr(record, "nexus_links", dict)().items():
        file[prefix + path] = h5py.SoftLink("/" + prefix + target)


def _write_dataset(file: h5py.File, path: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """One dataset; large arrays are chunked along their first axis and compressed without loss."""
    array = value if isinstance(value, str) else np.asarray(value)
    options: dict[str, Any] = {}
    if not isinstance(array, str) and array.nbytes > 65536:
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        options["chunks"] = (1, *array.shape[1:]) if array.ndim > 1 else True
    dataset = file.create_dataset(path, data=array, **options)
    if metadata["unit"]:
        dataset.attrs["units"] = metadata["unit"]
    dataset.attrs.update(metadata["attributes"])


def _read_record(file: h5py.File, record: type[Record], prefix: str) -> Record:
    """Read every field that the file has; fail on a required one that it lacks."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        where = prefix + field.metadata["path"]
        if "record" in field.metadata:
            inner = field.metadata["record"]
            values[field.name] = _read_record(file, inner, where + "/") if where in file else None
        elif where in file and isinstance(file[where], h5py.Dataset):
            values[field.name] = _read_dataset(file[where], field.metadata["unit"])
        elif not field.metadata["optional"]:
            raise InputError(
                f"{file.filename}: a {record.__name__} needs the dataset /{where}; the file has none; "
                "see docs/format.md, or make it with `madpipe convert`."
            )
    try:
        return record(**values)
    except InputError as error:
        raise InputError(f"{file.filename}: {error}") from error


def _read_dataset(dataset: h5py.Dataset, unit: str) -> Any:
    """Read a dataset as text, scalar or array, after comparing its unit; without one it is trusted."""
    came = _plain(dataset.attrs.get("units", unit))
    if came != unit:
        raise InputError(
            f"{dataset.file.filename}: {dataset.name} is required in {unit!r}; it is in {came!r}; convert it."
        )
    return _plain(dataset[()])


def _plain(value: Any) -> Any:
    """Text of bytes, a Python number of a scalar, an array as it is."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value


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

    with _opened(path) as file:
        file.visititems(note)
    for name, description in found:
        visit(name, description)


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as JSON, whole or not at all; numbers that JSON cannot hold are refused."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one table as CSV, whole or not at all; the first row names the columns."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
