"""The fit of a stack larger than memory: one slab after another, each saved when it is done, the answer the same.

A slab is a range of the points in the file's order, a multiple of those that the fit takes at once: so the points meet
the same arithmetic as in one piece, to the bit. While one slab is fitted the next is read and the one before is
written. The answer grows in a hidden folder beside the output, in a file that has room for all of it from the start; a
journal names the slabs that are in it. An interrupted run is taken up there.
"""

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import torch

from madpipe.base import provenance, runtime, store, warned
from madpipe.base.errors import InputError
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.explained import explained_by
from madpipe.mad.fit.fit import fit_points, fit_with_nuisances
from madpipe.mad.fit.refine import refine_nuisances
from madpipe.mad.fit.telling import tell, told
from madpipe.mad.measured.checks import screened
from madpipe.mad.records import Fit, Nuisance, PointAxes, Stack, check_photons, joined, listed

_SLAB_VALUES = 2**22  # intensities of one slab: few enough for its fit to stay below 1 GB with all it needs
_SAMPLE_POINTS = 200_000
_ENDS = 2**20  # bytes of the input's beginning and end that tell whether it is the same file
_HEADERS = 2**20  # bytes, more than enough for what HDF5 says about the arrays of an answer
_AT_THE_END = ("warnings", "explained", "explained_sums", "split")  # known when every point is done
INTERVALS = tuple(field.name for field in fields(Fit) if field.name.endswith("_errors_95"))  # of a network alone
_TEXTS_AND_AXES = ("n_iterations", "method", "axis_names", "qz", "qy", "qx", "reflection", "nuisance", *_AT_THE_END)
ARRAYS = tuple(  # one value per point, in every answer
    field.name for field in fields(Fit) if field.name not in (*_TEXTS_AND_AXES, *INTERVALS)
)
_BYTES_PER_POINT = 8 * (len(ARRAYS) - 2)  # of an answer, at least
_Item = TypeVar("_Item")


def fit_by_slabs(
    path: str | Path,
    output: str | Path,
    config: FitConfig,
    refine: Sequence[str],
    process: Mapping[str, str] | None,
) -> None:
    """Fit a stack's file slab by slab; :func:`madpipe.mad.fit.files.fit_file` says what the arguments are.

    Raises
    ------
    InputError
        The input is at fault, the disk has no room, or another run is writing the same output.

    Notes
    -----
    A list of reflections, whose mates stay together, and a stack with stated errors, whose error model rests on all
    points, are one slab.
    """
    layout = store.layout(path, Stack)
    _require_room(output, _BYTES_PER_POINT * math.prod(layout.shapes.get("data", ())[1:]))
    slabs = slabs_of(layout, config)
    if len(slabs) == 1:
        store.write(output, _whole_fit(store.read(path, Stack), config, refine), process=process)
        return
    require_photons(path, layout)
    key = key_of(path, slabs, config, {"refine": list(refine)}, process)
    with work_file(Path(output), key) as work, warned.heard() as said:
        nuisance = refine_nuisances(sample_rows(path), refine, config) if refine else None
        sums = fit_slabs(path, work, slabs, config, nuisance, process, axes_of(path))
        explained = explained_by(sums, math.prod(layout.shapes["data"]))
        tell(explained, nuisance, config.method, lambda: sample_rows(path), config)
        finish(work, explained=explained, warnings=warned.kept(said))


@warned.keeping
def _whole_fit(stack: Stack, config: FitConfig, refine: Sequence[str]) -> Fit:
    """Fit a stack that is one slab, once it was looked at."""
    seen = screened(stack)
    return told(fit_with_nuisances(seen, config, refine), lambda: seen, config)


def slabs_of(layout: store.Layout, config: FitConfig, points: range | None = None) -> list[range]:
    """Cut the points of a stack, or a range of them, into ranges whose fit fits into memory."""
    energies, *shape = layout.shapes.get("data") or (1, 1)
    points = range(math.prod(shape)) if points is None else points
    if layout.rows == 0 or "data_errors" in layout.shapes:
        return [points]
    size = max(1, _SLAB_VALUES // (energies * config.chunk_points)) * config.chunk_points
    return [range(start, min(start + size, points.stop)) for start in range(points.start, points.stop, size)]


def read_points(path: str | Path, slabs: Sequence[range]) -> Iterator[Stack]:
    """Read one range of points after another, each as a list.

    Raises
    ------
    InputError
        As :func:`madpipe.base.store.read`.
    """
    line = math.prod(store.layout(path, Stack).shapes["data"][2:])
    rows = [slice(slab.start // line, -(-slab.stop // line)) for slab in slabs]
    for stack, slab, part in zip(store.read_slabs(path, Stack, rows), slabs, rows, strict=True):
        yield listed(stack, slab.start - part.start * line, slab.stop - part.start * line)


def sample_rows(path: str | Path, points: int = _SAMPLE_POINTS) -> Stack:
    """Take rows of a stack, half of them the brightest and half evenly spread, as a stack of their own.

    Parameters
    ----------
    path:
        stack.h5; it is read once, to find the brightest rows.
    points:
        About how many points are wanted; one row of each half comes at least.

    Raises
    ------
    InputError
        As :func:`madpipe.base.store.read`, also where the whole stack has no photons.
    """
    layout = store.layout(path, Stack)
    brightness = np.concatenate([_brightness(stack) for stack in _ahead(store.read_slabs(path, Stack, _rows(layout)))])
    half = max(1, points // (2 * math.prod(layout.shapes["data"][2:])))
    spread = np.linspace(0, layout.rows - 1, half + 2)[1:-1].round().astype(int)
    brightest = np.argsort(-brightness, kind="stable")[:half]
    rows = np.union1d(spread, brightest).tolist()
    return joined(list(store.read_slabs(path, Stack, [slice(row, row + 1) for row in rows])))


def _rows(layout: store.Layout) -> list[slice]:
    """Cut a stack into ranges of whole rows that fit into memory."""
    energies, rows, *across = layout.shapes["data"]
    size = max(1, _SLAB_VALUES // (energies * math.prod(across)))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _brightness(stack: Stack) -> np.ndarray:
    """Photons of every row, all energies together."""
    photons = np.where(stack.good, stack.data, 0)
    return photons.sum(axis=(0, *range(2, photons.ndim)), dtype=float)


def require_photons(path: str | Path, layout: store.Layout) -> None:
    """Refuse a stack that is dark or masked throughout; the middle, where the peak is, is looked at first."""
    from_the_middle = sorted(_rows(layout), key=lambda rows: abs(rows.start + rows.stop - layout.rows))
    parts = store.read_slabs(path, Stack, from_the_middle)
    try:
        check_photons(parts)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error


def fit_slabs(
    path: str | Path,
    work: Path,
    slabs: Sequence[range],
    config: FitConfig,
    nuisance: Nuisance | None,
    process: Mapping[str, str] | None,
    axes: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Fit the slabs that the journal does not name, reading the next and writing the last one meanwhile.

    The answer has these axes; its first point is the first slab's. What comes back are the sums of all batches
    (:func:`madpipe.mad.fit.explained.sums_of`), in the order of the points.
    """
    done = _journal(work)
    left = [slab for slab in slabs if slab.start not in done]
    if done:
        runtime.log.info("fit: %d of %d slabs are there from an earlier run", len(done), len(slabs))
    counted: dict[str, Any] = {
        "unit": "points",
        "amount": lambda item: len(item[0]),
        "done": sum(map(len, slabs)) - sum(map(len, left)),
    }
    stacks = zip(left, _ahead(read_points(path, left)), strict=True)
    iterations = max((count for count, _ in done.values()), default=0)
    sums = {start: rows for start, (_, rows) in done.items()}
    with ThreadPoolExecutor(1) as writer:
        saved: Future[None] | None = None
        for slab, stack in runtime.progress(stacks, "fit", sum(map(len, slabs)), **counted):
            with runtime.without_progress():
                fit, sums[slab.start] = fit_points(stack, config, nuisance)
            iterations = max(iterations, fit.n_iterations)
            if saved is not None:
                saved.result()
            else:
                _prepare(work, fit, axes, process)
            fit = replace(fit, n_iterations=iterations)
            saved = writer.submit(_save, work, fit, sums[slab.start], slab.start, slabs[0].start)
        if saved is not None:
            saved.result()
    return np.concatenate([sums[slab.start] for slab in slabs])


def _ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Fetch the next item in a thread while the present one is used; h5py lets other threads run meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item


# -- the answer so far ----------------------------------------------------------------------------------------


@contextmanager
def work_file(output: Path, key: str) -> Iterator[Path]:
    """Name the file that the answer grows in; it takes the output's place when the block ends well.

    What runs with another key left is cleared away; a run that ends early leaves the slabs that are done.
    """
    folder = output.with_name(f".{output.name}.parts")
    with store.room_for(output):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{output}: needs to be written by one run at a time; another is; wait for it.") from error
        work = folder / f"{key}.h5"
        for other in folder.iterdir():
            if other.name != "lock" and other.stem != key:
                other.unlink()
        try:
            yield work
            with store.room_for(output):
                work.replace(output)
        finally:
            if not _journal(work):
                shutil.rmtree(folder)


def key_of(
    path: str | Path,
    slabs: Sequence[range],
    config: FitConfig,
    refined: Mapping[str, str | list[str]],
    process: Mapping[str, str] | None,
) -> str:
    """Hash all that the answer's bytes depend on: input, settings, code, libraries, threads."""
    status = os.stat(path)
    words = {
        "input": [str(Path(path).resolve()), status.st_size, status.st_mtime_ns],
        "slabs": [(slab.start, slab.stop) for slab in slabs],
        "config": config.model_dump(mode="json"),
        **refined,
        "process": dict(process or {}),
        "code": provenance.fingerprint("madpipe.mad.fit.slabs"),
        "versions": provenance.versions(),
        "threads": torch.get_num_threads(),
        "device": str(runtime.device()),
    }
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    with Path(path).open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, status.st_size - _ENDS))
        digest.update(file.read())
    return digest.hexdigest()[:16]


def _journal(work: Path) -> dict[int, tuple[int, np.ndarray]]:
    """First points of the slabs that are in the work file, with iterations and sums; a line cut short does not count.

    Numbers are written with all their digits.
    """
    journal = work.with_suffix(".done")
    if not (work.exists() and journal.exists()):
        return {}
    lines = (line.split(maxsplit=2) for line in journal.read_text(encoding="ascii").split("\n")[:-1])
    return {int(start): (int(iterations), np.array(json.loads(sums))) for start, iterations, sums in lines}


def axes_of(path: str | Path) -> dict[str, np.ndarray]:
    """Axes of a stack's points, by name."""
    return {name: axis for name, axis in vars(store.read(path, PointAxes)).items() if axis is not None}


def _prepare(work: Path, fit: Fit, axes: Mapping[str, np.ndarray], process: Mapping[str, str] | None) -> None:
    """Make the work file, if it is not there, with these axes and room for every point."""
    if not work.exists():
        known: dict[str, Any] = {"reflection": None, "axis_names": ",".join(axes), **axes}
        whole = replace(fit, **known)
        write_outline(work, whole, tuple(map(len, axes.values())), process)


def _save(work: Path, fit: Fit, sums: np.ndarray, start: int, first: int) -> None:
    """Put one slab into the work file, whose first point is this one, then a line into its journal."""
    write_points(work, fit, start - first)
    with store.room_for(work), work.with_suffix(".done").open("a", encoding="ascii") as journal:
        journal.write(f"{start} {fit.n_iterations} {json.dumps(sums.tolist())}\n")


def finish(work: Path, **known: Any) -> None:
    """Put what is known only when every point is done into an answer: its fields by name; None is left out.

    Raises
    ------
    InputError
        The disk is full.
    """
    with store.room_for(work):
        with work.open("r+b") as file:  # before HDF5 opens it: no disk can fill up under it
            sizes = [np.asarray(value).nbytes for value in known.values() if isinstance(value, np.ndarray | str)]
            os.posix_fallocate(file.fileno(), work.stat().st_size, _HEADERS + sum(sizes))
        with h5py.File(work, "r+") as file:
            store.add(file, Fit, known)


def arrays_of(fit: Fit) -> tuple[str, ...]:
    """Fields of an answer that have one value per point."""
    return (*ARRAYS, *(name for name in INTERVALS if getattr(fit, name) is not None))


def write_outline(path: Path, fit: Fit, shape: tuple[int, ...], process: Mapping[str, str] | None = None) -> None:
    """Write an answer with room on the disk for arrays of this shape but without their values.

    :func:`write_points` fills them, in any order and without HDF5. For that each array lies in one piece, uncompressed:
    fitted values are noise in their last digits, deflate takes 14 % off them at 44 MB/s, slower than the fit.

    Parameters
    ----------
    path, process:
        As in :func:`madpipe.base.store.write`.
    fit:
        Some of the points, for the types of the arrays, with the axes of all.
    shape:
        Of all points.

    Raises
    ------
    InputError
        The disk has no room for all points, or the folder cannot be written.
    """
    arrays = arrays_of(fit)
    image = store.hdf5_image(fit, process, leave_out=arrays).getbuffer()
    size = len(image) + _HEADERS + math.prod(shape) * sum(getattr(fit, name).itemsize for name in arrays)
    with store.whole_file(path) as temporary, temporary.open("w+b") as file:
        _require_room(path, size)
        file.write(image)
        os.posix_fallocate(file.fileno(), 0, size)  # before HDF5 opens the file: no disk can fill up under it
        with h5py.File(file, "r+") as outline:
            store.reserve(outline, fit, dict.fromkeys(arrays, shape))


def _require_room(path: str | Path, size: int) -> None:
    """Refuse an answer of so many bytes where the disk has less room, which is told before an hour's work."""
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"{folder}: needs {size / 1e9:.2f} GB for the answer; {free / 1e9:.2f} GB are free on its disk; "
            "free some space or choose another place."
        )


def write_points(path: Path, fit: Fit, start: int) -> None:
    """Put an answer's points into an outline from point start on, and its iterations in place of those there.

    Raises
    ------
    InputError
        The disk fails.
    """
    paths = {field.name: field.metadata["path"] for field in fields(Fit)}
    arrays = arrays_of(fit)
    with store.room_for(path), h5py.File(path, "r") as outline, path.open("r+b") as file:
        for name in (*arrays, "n_iterations"):
            place = outline[paths[name]]
            values = np.asarray(getattr(fit, name), dtype=place.dtype)
            file.seek(place.id.get_offset() + (start * values.itemsize if name in arrays else 0))
            file.write(values.tobytes())
        file.flush()
        os.fdatasync(file.fileno())
