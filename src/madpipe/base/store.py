"""One record, one HDF5/NeXus file: written whole or not at all, read back with its axes and units checked.

A record is a frozen dataclass. Each field made with :func:`entry` says where it lives in the file and in which
unit; a field made with :func:`part` is a record of its own below a group. The record's ``nexus_groups()`` gives the
attributes of the groups, so that a NeXus or CXI reader finds the signal and its axes.
"""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.errors import InputError

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
    """Give a temporary name beside path; it takes path's place when the block ends well and vanishes when not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    try:
        with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
            _write_root(file)
            _write_record(file, record, "")
            if process is not None:
                _write_process(file, process)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path}: needs a writable disk with room for the whole file; got: {_one_line(error)}; "
            "free some space or choose another place. A file that was there before is unchanged."
        ) from error


def read(path: str | Path, record: type[Record]) -> Record:
    """Read a record from a file.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated, a required dataset missing, or a dataset in another unit.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: needs an existing HDF5 file; there is none; check the path.")
    try:
        with h5py.File(path, "r") as file:
            return _read_record(file, record, "", path)
    except OSError as error:
        raise InputError(
            f"{path}: needs a complete HDF5 file; got: {_one_line(error)}; "
            "it may be truncated or of another format: make it again, or run `madpipe convert`."
        ) from error


def read_process(path: str | Path) -> dict[str, str]:
    """Read who made a file and how: the NXprocess group as text."""
    with h5py.File(path, "r") as file:
        group = file.get(_PROCESS, {})
        return {name: group[name][()].decode() for name in group}


def _one_line(error: BaseException) -> str:
    """Shorten a library's message to its first line."""
    return " ".join(str(error).split())[:200]


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
    """One dataset; arrays beyond a few kilobytes are chunked along their first axis and compressed without loss."""
    array = value if isinstance(value, str) else np.asarray(value)
    options: dict[str, Any] = {}
    if not isinstance(array, str) and array.nbytes > 65536:
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        options["chunks"] = (1, *array.shape[1:]) if array.ndim > 1 else True
    dataset = file.create_dataset(path, data=array, **options)
    if metadata["unit"]:
        dataset.attrs["units"] = metadata["unit"]
    dataset.attrs.update(metadata["attributes"])


def _read_record(file: h5py.File, record: type[Record], prefix: str, path: Path) -> Record:
    """Read every field that the file has; fail on a required one that it lacks."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        where = prefix + field.metadata["path"]
        if "record" in field.metadata:
            inner = field.metadata["record"]
            values[field.name] = _read_record(file, inner, where + "/", path) if where in file else None
        elif where in file:
            values[field.name] = _read_dataset(file[where], field.metadata["unit"], path)
        elif not field.metadata["optional"]:
            raise InputError(
                f"{path}: a {record.__name__} needs the dataset /{where}; the file has none; "
                "see docs/format.md, or make it with `madpipe convert`."
            )
    return record(**values)


def _read_dataset(dataset: h5py.Dataset, unit: str, path: Path) -> Any:
    """Read a dataset as text, scalar or array, after comparing its unit."""
    came = dataset.attrs.get("units", unit)
    if came != unit:
        raise InputError(f"{path}: {dataset.name} is required in {unit!r}; it is in {came!r}; convert it.")
    value = dataset[()]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if np.ndim(value) == 0 else value


def tree(path: str | Path, visit: Callable[[str, str], None]) -> None:
    """Call visit(name, description) for every dataset in a file, in the file's order."""
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: visit(name, f"{item.shape} {item.dtype} {item.attrs.get('units', '')}")
            if isinstance(item, h5py.Dataset)
            else None
        )
