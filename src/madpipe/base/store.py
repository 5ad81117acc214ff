"""One record, one HDF5/NeXus file: written whole or not at all, read back with its axes and units checked.

A record is a frozen dataclass. Each field made with :func:`entry` says where it lives in the file and in
which unit; a field made with :func:`part` is a record of its own below a group. The record's
``nexus_groups()`` gives the attributes of the groups, so that a NeXus or CXI reader finds signal and axes.
Its ``row_axes(shapes)``, where it has one, says which arrays can be read a few rows at a time, along which axis.
"""

import dataclasses
import io
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.base.plain import to_plain

Record = TypeVar("Record")
Groups = dict[str, dict[str, str | list[str]]]  # attributes of a record's groups, by path
_log = logging.getLogger("madpipe")
_PROCESS = "entry_1/process_1"
_CHUNK_BYTES = 2**20
_CACHE_BYTES = 5 * 2**27  # 0.6 GiB per array: eight chunks, one per energy, of 256^3 float32 each


def entry(path: str, unit: str = "", *, optional: bool = False, **attributes: Any) -> Any:
    """Declare a dataclass field that is one dataset at path, in unit."""
    metadata = {"path": path, "unit": unit, "optional": optional, "attributes": attributes}
    return dataclasses.field(metadata=metadata, **({"default": None} if optional else {}))


def part(path: str, record: type) -> Any:
    """Declare an optional dataclass field that is a record of its own, kept below the group at path."""
    return dataclasses.field(default=None, metadata={"path": path, "record": record})


def is_whole() -> Any:
    """Declare the field that says whether a record holds every row of its file; it is not in the file itself."""
    return dataclasses.field(default=True)


@contextmanager
def room_for(path: str | Path) -> Iterator[None]:
    """Turn what the system says when something cannot be written for path into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: needs a writable disk with room for the whole file; got: {one_line(error)}; "
            "free some space or choose another place. A file that was there before is unchanged."
        ) from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside path; it takes path's place when the block ends well, else it vanishes.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    path = Path(path)
    with room_for(path), _temporary_file(path) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)


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
    image = hdf5_image(record, process)
    with whole_file(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def hdf5_image(record: Any, process: Mapping[str, str] | None, leave_out: Container[str] = ()) -> io.BytesIO:
    """Make the whole file in memory: HDF5 can crash the process when the disk fills up under an open file."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        _write_root(file)
        _write_record(file, record, "", leave_out)
        if process is not None:
            _write_process(file, process)
    return image


def reserve(file: h5py.File, record: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give arrays of a record, by field name, a place of this shape in the file, in one piece, without any values."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    for field in dataclasses.fields(record):
        if field.name in shapes:
            form = shapes[field.name], getattr(record, field.name).dtype
            _describe(file.create_dataset(field.metadata["path"], *form, dcpl=settings), field.metadata)


def read(path: str | Path, record: type[Record], rows: slice | None = None) -> Record:
    """Read a record from a file, or only some rows of it, without the records below it.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated, a required dataset missing, a dataset in another unit, or values
        that the record refuses.
    """
    with _opened(path) as file:
        return _read_record(file, record, "", rows)


def read_slabs(path: str | Path, record: type[Record], slabs: Iterable[slice]) -> Iterator[Record]:
    """Read one range of rows after another; each chunk of the file is decompressed once if the ranges rise.

    Raises
    ------
    InputError
        As :func:`read`.
    """
    with _opened(path) as file:
        kept_open = _with_chunk_cache(file, record)
        for rows in slabs:
            yield _read_record(file, record, "", rows)
        kept_open.clear()


def _with_chunk_cache(file: h5py.File, record: type) -> list[h5py.h5d.DatasetID]:
    """Open the arrays of rows with a cache for one row of chunks, which lives as long as they stay open."""
    caches, room = [], _CACHE_BYTES
    for name, count, size in _chunk_rows(file, record):
        if size > room:
            _log.info("%s: %s has large chunks, read many times over; h5repack them to 1 MB", file.filename, name)
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(4 * count + 1, min(size, room), 1.0)  # 1: a chunk that was read to its end goes first
        caches.append(h5py.h5d.open(file.id, name.encode(), access))
        room -= min(size, room)
    return caches


def _chunk_rows(file: h5py.File, record: type) -> list[tuple[str, int, int]]:
    """Name, number of chunks and bytes of one row of chunks of each chunked array of rows; none of them stays open."""
    found = []
    for dataset, axis in _row_datasets(file, record).values():
        if dataset.chunks is not None:
            grid = [-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
            count = math.prod(grid[:axis] + grid[axis + 1 :])
            found.append((dataset.name, count, count * math.prod(dataset.chunks) * dataset.dtype.itemsize))
    return found


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's arrays can be cut: their shapes by field name, and how many rows there are."""

    shapes: Mapping[str, tuple[int, ...]]
    rows: int  # 0 where nothing can be cut


def layout(path: str | Path, record: type) -> Layout:
    """Find how a record's arrays lie in a file without reading them.

    Raises
    ------
    InputError
        No such file, not HDF5 or truncated, or arrays with different numbers of rows.
    """
    with _opened(path) as file:
        counts = {name: dataset.shape[axis] for name, (dataset, axis) in _row_datasets(file, record).items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"{path}: needs arrays with equally many rows; they have {counts}; crop them alike.")
        shapes = {name: dataset.shape for name, dataset in _datasets(file, record).items()}
        return Layout(shapes, max(counts.values(), default=0))


def _row_datasets(file: h5py.File, record: type) -> dict[str, tuple[h5py.Dataset, int]]:
    """Datasets that can be cut into rows, each with the axis of its rows, by field name."""
    found = _datasets(file, record)
    return {name: (found[name], axis) for name, axis in _row_axes(found, record).items()}


def _row_axes(found: Mapping[str, h5py.Dataset], record: type) -> dict[str, int]:
    """Axis of the rows in each dataset that can be cut."""
    shapes = {name: dataset.shape for name, dataset in found.items()}
    return getattr(record, "row_axes", lambda _: {})(shapes)


def _datasets(file: h5py.File, record: type) -> dict[str, h5py.Dataset]:
    """Datasets that a file has of a record, by field name."""
    found = {field.name: file.get(field.metadata.get("path", "")) for field in dataclasses.fields(record)}
    return {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}


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


def _write_record(file: h5py.File, record: Any, prefix: str, leave_out: Container[str] = ()) -> None:
    """Groups with their attributes first, then every dataset, then the records below."""
    for path, attributes in record.nexus_groups().items():
        file.require_group(prefix + path).attrs.update(attributes)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None or field.name in leave_out or "path" not in field.metadata:
            continue
        if "record" in field.metadata:
            _write_record(file, value, prefix + field.metadata["path"] + "/")
        else:
            _write_dataset(file, prefix + field.metadata["path"], value, field.metadata)
    for path, target in getattr(record, "nexus_links", dict)().items():
        file[prefix + path] = h5py.SoftLink("/" + prefix + target)


def _write_dataset(file: h5py.File, path: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """One dataset; large arrays are cut into chunks and compressed without loss."""
    array = value if isinstance(value, str) else np.asarray(value)
    options: dict[str, Any] = {}
    if not isinstance(array, str) and array.nbytes > 65536:
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        options["chunks"] = _chunks(array.shape, array.itemsize) if array.ndim > 1 else True
    _describe(file.create_dataset(path, data=array, **options), metadata)


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """One step of the first axis and as much of the last ones as a chunk holds, so that few rows are quick to read."""
    chunk, room = [1] * len(shape), _CHUNK_BYTES // itemsize
    for axis in range(len(shape) - 1, 0, -1):
        chunk[axis] = min(shape[axis], room)
        room //= chunk[axis]
    return tuple(chunk)


def _describe(dataset: h5py.Dataset, metadata: Mapping[str, Any]) -> None:
    """Unit and further attributes of one dataset."""
    if metadata["unit"]:
        dataset.attrs["units"] = metadata["unit"]
    dataset.attrs.update(metadata["attributes"])


def _read_record(file: h5py.File, record: type[Record], prefix: str, rows: slice | None = None) -> Record:
    """Read every field that the file has; fail on a required one that it lacks."""
    axes = {} if rows is None else _row_axes(_datasets(file, record), record)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        if "path" not in field.metadata:
            values[field.name] = rows is None
            continue
        where = prefix + field.metadata["path"]
        if "record" in field.metadata:
            inner = field.metadata["record"]
            here = where in file and rows is None
            values[field.name] = _read_record(file, inner, where + "/") if here else None
        elif where in file and isinstance(file[where], h5py.Dataset):
            part = (slice(None),) * axes[field.name] + (rows,) if field.name in axes else ()
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


def write_json(path: str | Path, content: Any, *, process: Mapping[str, str] | None = None) -> None:
    """Write a record or plain values, a process as their key of this name, as JSON, whole or not at all; no NaN."""
    content = to_plain(content)
    content = {**content, "process": {**process, "note_1": json.loads(process["note_1"])}} if process else content
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
