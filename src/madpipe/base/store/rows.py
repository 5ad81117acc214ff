"""Arrays of a file cut into ranges of rows, for what is larger than memory."""

import dataclasses
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py

from madpipe.base.errors import InputError
from madpipe.base.store.reading import Record, datasets, opened, read_record, row_axes

_log = logging.getLogger("madpipe")
_CACHE_BYTES = 5 * 2**27  # 0.6 GiB per array: eight chunks, one per energy, of 256^3 float32 each


def read_slabs(path: str | Path, record: type[Record], slabs: Iterable[slice]) -> Iterator[Record]:
    """Read one range of rows after another; each chunk of the file is decompressed once if the ranges rise.

    Raises
    ------
    InputError
        As :func:`read`.
    """
    with opened(path) as file:
        kept_open = _with_chunk_cache(file, record)
        for rows in slabs:
            yield read_record(file, record, "", rows)
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
    with opened(path) as file:
        counts = {name: dataset.shape[axis] for name, (dataset, axis) in _row_datasets(file, record).items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"{path}: needs arrays with equally many rows; they have {counts}; crop them alike.")
        shapes = {name: dataset.shape or () for name, dataset in datasets(file, record).items()}
        return Layout(shapes, max(counts.values(), default=0))


def _row_datasets(file: h5py.File, record: type) -> dict[str, tuple[h5py.Dataset, int]]:
    """Datasets that can be cut into rows, each with the axis of its rows, by field name."""
    found = datasets(file, record)
    return {name: (found[name], axis) for name, axis in row_axes(found, record).items()}
