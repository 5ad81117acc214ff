"""One stack's fit shared by several jobs, the answer the same to the byte.

Each job fits a range of whole batches, which meet the same arithmetic as in one piece, into a file of its own: a list
of points. What they wrote is put together to the file that one job would have written. Nuisances, which all points
share, are refined once, before.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from madpipe.base import store, warned
from madpipe.base.errors import InputError
from madpipe.base.store import Groups, entry, part
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.explained import explained_by
from madpipe.mad.fit.refine import refine_nuisances
from madpipe.mad.fit.slabs import (
    ARRAYS,
    axes_of,
    finish,
    fit_slabs,
    key_of,
    require_photons,
    sample_rows,
    slabs_of,
    work_file,
    write_outline,
    write_points,
)
from madpipe.mad.fit.telling import tell, told
from madpipe.mad.records import Fit, Stack
from madpipe.mad.records.nuisance import Nuisance


@dataclass(frozen=True)
class Refined:
    """The nuisances of a fit alone, which its parts share."""

    nuisance: Nuisance | None = part("entry_1/fit_1/nuisance", Nuisance)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"entry_1": {"NX_class": "NXentry"}, "entry_1/fit_1": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class PointNumbers:
    """The numbers of the points of a list, to be read without what is known of them."""

    reflection: np.ndarray = entry("entry_1/data_1/reflection")


def refine_file(path: str | Path, output: str | Path, config: FitConfig, refine: Sequence[str]) -> None:
    """Refine the nuisances as :func:`madpipe.mad.fit.files.fit_file` would, and write them for the parts of a fit.

    Raises
    ------
    InputError
        As :func:`madpipe.mad.fit.files.fit_file`.
    """
    slabs = slabs_of(store.layout(path, Stack), config)
    stack = store.read(path, Stack) if len(slabs) == 1 else sample_rows(path)
    store.write(output, Refined(refine_nuisances(stack, refine, config)))


def fit_part(
    path: str | Path,
    output: str | Path,
    config: FitConfig,
    part: int,
    parts: int,
    nuisance: str | Path | None = None,
    process: Mapping[str, str] | None = None,
) -> None:
    """Fit one of several parts of a stack's file, and write it as a list of points.

    Parameters
    ----------
    path, output, config, process:
        As in :func:`madpipe.mad.fit.files.fit_file`; an interrupted part is taken up likewise.
    part, parts:
        Which part, counted from 0, of how many.
    nuisance:
        What :func:`refine_file` wrote, where nuisances are refined.

    Raises
    ------
    InputError
        As :func:`madpipe.mad.fit.files.fit_file`, or the stack cannot be cut into so many parts.
    """
    layout = store.layout(path, Stack)
    points = _points_of(path, layout, config, part, parts)
    slabs = slabs_of(layout, config, points)
    digest = "" if nuisance is None else hashlib.sha256(Path(nuisance).read_bytes()).hexdigest()
    key = key_of(path, slabs, config, {"nuisance": digest}, process)
    require_photons(path, layout)
    with work_file(Path(output), key) as work:
        refined = None if nuisance is None else store.read(nuisance, Refined).nuisance
        numbers = {"reflection": np.arange(points.start, points.stop)}
        finish(work, explained_sums=fit_slabs(path, work, slabs, config, refined, process, numbers))


def _points_of(path: str | Path, layout: store.Layout, config: FitConfig, part: int, parts: int) -> range:
    """Name the points of a part: whole batches, whose arithmetic depends on where they begin, evenly shared.

    Raises
    ------
    InputError
        The stack is a list or has stated errors, so that its points are not independent, or it has too few batches.
    """
    if layout.rows == 0 or "data_errors" in layout.shapes:
        raise InputError(
            f"{path}: needs a frame or volume of counts to be fitted in {parts} parts; it is a list of reflections or "
            "has stated errors, whose points depend on one another; set the sample's parts to 1."
        )
    size = math.prod(layout.shapes["data"][1:])
    batches = -(-size // config.chunk_points)
    if batches < parts:
        raise InputError(
            f"{path}: needs at least one batch of mad.fit.chunk_points points for each of {parts} parts; {size} points "
            f"are {batches} of {config.chunk_points}; lower the sample's parts, or the points of a batch."
        )
    first, last = (number * batches // parts * config.chunk_points for number in (part, part + 1))
    return range(first, min(last, size))


def gather(
    path: str | Path,
    parts: Sequence[str | Path],
    output: str | Path,
    config: FitConfig,
    nuisance: str | Path | None = None,
    process: Mapping[str, str] | None = None,
) -> None:
    """Put the parts of a fit together to the very file that :func:`madpipe.mad.fit.files.fit_file` would have written.

    Parameters
    ----------
    path, output, config, nuisance, process:
        As in :func:`fit_part`, of the whole stack.
    parts:
        Files of all parts, in any order.

    Raises
    ------
    InputError
        A part is missing or twice, or is no fit; the disk has no room.
    """
    layout = store.layout(path, Stack)
    axes, data = axes_of(path), layout.shapes["data"]
    shape = data[1:]
    fits = _in_order(parts, math.prod(shape))
    refined = None if nuisance is None else store.read(nuisance, Refined).nuisance
    common: dict[str, Any] = {"reflection": None, "axis_names": ",".join(axes), **axes, "nuisance": refined}
    common["explained_sums"] = None
    if len(slabs_of(layout, config)) == 1:
        found = [store.read(file, Fit) for file in fits.values()]
        whole = {name: np.concatenate([getattr(fit, name) for fit in found]).reshape(shape) for name in ARRAYS}
        common["n_iterations"] = max(fit.n_iterations for fit in found)
        common["explained"] = explained_by(np.concatenate([_sums_of(fit, path) for fit in found]), math.prod(data))
        answer = replace(found[0], **{**whole, **common})
        store.write(output, told(answer, lambda: store.read(path, Stack), config), process=process)
        return
    with store.whole_file(output) as temporary, warned.heard() as said:
        iterations, sums = 0, []
        for start, file in fits.items():
            fit = store.read(file, Fit)
            iterations = max(iterations, fit.n_iterations)
            sums.append(_sums_of(fit, path))
            if start == 0:
                write_outline(temporary, replace(fit, **common), shape, process)
            write_points(temporary, replace(fit, n_iterations=iterations), start)
        explained = explained_by(np.concatenate(sums), math.prod(data))
        tell(explained, refined, config.method, lambda: sample_rows(path), config)
        finish(temporary, explained=explained, warnings=warned.kept(said))


def _sums_of(part: Fit, path: str | Path) -> np.ndarray:
    """What a part says of how well its points are explained."""
    if part.explained_sums is None:
        raise InputError(f"{path}: needs parts of a fit, which fit_part made; a whole fit came; make the parts again.")
    return part.explained_sums


def _in_order(parts: Sequence[str | Path], points: int) -> dict[int, str | Path]:
    """First point and file of every part, rising; together they must hold every point once."""
    numbers = {str(file): store.read(file, PointNumbers).reflection for file in parts}
    files = sorted(parts, key=lambda file: tuple(numbers[str(file)][[0, -1]]))
    starts, ends = ([int(numbers[str(file)][place]) for file in files] for place in (0, -1))
    if [*starts, points] != [0, *(end + 1 for end in ends)]:
        raise InputError(
            f"parts of a fit need to hold all {points} points once; their first points are {starts}, their last ones "
            f"{ends}; make them again."
        )
    return dict(zip(starts, files, strict=True))
