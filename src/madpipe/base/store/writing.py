"""Records to HDF5/NeXus files."""

import dataclasses
import io
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the detectors' compression filters with h5py
import numpy as np

from madpipe.base.store.reading import PROCESS
from madpipe.base.store.whole import whole_file

_CHUNK_BYTES = 2**20


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
    with whole_file(path) as temporary, _Patient(temporary, "r+") as place:
        _fill(place, record, process)
        place.require_written()


def hdf5_image(record: Any, process: Mapping[str, str] | None, leave_out: Container[str] = ()) -> io.BytesIO:
    """Make the whole file in memory."""
    image = io.BytesIO()
    _fill(image, record, process, leave_out)
    return image


class _Patient(io.FileIO):
    """A file for HDF5, which can crash the process when a write fails: what the disk refuses is told at the end."""

    _refused: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or take note that the disk has no room."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self._refused is None:
                left = left[super().write(left) :]
        except OSError as error:
            self._refused = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Change the size, or take note that the disk has no room."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._refused = error
            return size or 0

    def require_written(self) -> None:
        """Raise what the disk said, if it refused anything."""
        if self._refused is not None:
            raise self._refused


def _fill(place: io.IOBase, record: Any, process: Mapping[str, str] | None, leave_out: Container[str] = ()) -> None:
    """Write a record into an empty file or memory."""
    with h5py.File(place, "w") as file:
        _write_root(file)
        _write_record(file, record, "", leave_out)
        if process is not None:
            write_process(file, process)


def reserve(file: h5py.File, record: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give arrays of a record, by field name, a place of this shape in the file, in one piece, without any values."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    for field in dataclasses.fields(record):
        if field.name in shapes:
            form = shapes[field.name], getattr(record, field.name).dtype
            _describe(file.create_dataset(field.metadata["path"], *form, dcpl=settings), field.metadata)


def add(file: h5py.File, record: type, values: Mapping[str, Any]) -> None:
    """Put some fields of a record, by name, into a file that holds the others; None is left out."""
    for field in dataclasses.fields(record):
        value = values.get(field.name)
        if value is None:
            continue
        path = field.metadata["path"]
        if path in file:  # from a run that ended before its file was named
            del file[path]
        if "record" in field.metadata:
            _write_record(file, value, path + "/")
        else:
            _write_dataset(file, path, value, field.metadata)


def _write_root(file: h5py.File) -> None:
    """Root attributes and the two CXI datasets."""
    file.attrs.update({"NX_class": "NXroot", "default": "entry_1", "creator": "madpipe"})
    file["cxi_version"] = 160
    file["number_of_entries"] = 1


def write_process(file: h5py.File, process: Mapping[str, str]) -> None:
    """Write NXprocess of the first entry (see :func:`madpipe.base.provenance.process`)."""
    group = file.require_group(PROCESS)
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
