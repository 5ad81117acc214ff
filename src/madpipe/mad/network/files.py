"""The network's answer to a stack's file, as a file: what a rule, a command and a script of one's own call.

A large frame goes through in bands of rows, so that memory does not grow with it. Each band is read with the rows about
it that its prediction depends on. What split counts say is learnt first, from the rows about the brightest point.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base import store, warned
from madpipe.base.runtime import device, progress
from madpipe.mad.config import FitConfig, InferConfig
from madpipe.mad.fit.explained import explained_by
from madpipe.mad.fit.slabs import (
    axes_of,
    finish,
    require_photons,
    sample_rows,
    write_outline,
    write_points,
)
from madpipe.mad.fit.telling import tell
from madpipe.mad.measured.oversampling import photons_of
from madpipe.mad.network.design import Network
from madpipe.mad.network.infer import answered, as_fit, infer_and_tell, learn_and_tell, rising
from madpipe.mad.network.predict import gathered, margin, predict_rows
from madpipe.mad.network.split import LARGEST
from madpipe.mad.network.trust import calibrated
from madpipe.mad.network.weights import TrainedNetwork
from madpipe.mad.records import Fit, Passes, Split, Stack

_WHOLE = 2**20  # points of a frame that goes through in one piece, in little more than 1 GB
_BAND_VALUES = 2**23  # intensities of a band, as it is read: its answer fits into 1 GB too
_LEAST_ROWS = 32  # that a band answers, a multiple of four: fewer would mostly repeat what is about them
_LIST = {"axis_names": "reflection"}  # the points of a band, as yet without axes


def infer_file(
    path: str | Path,
    output: str | Path,
    trained: TrainedNetwork,
    config: InferConfig,
    process: Mapping[str, str] | None = None,
    *,
    parts: Sequence[str | Path] = (),
) -> None:
    """Let a trained network answer a stack's file, and write the answer, whole or not at all.

    Parameters
    ----------
    path, output:
        stack.h5 and inferred.h5.
    trained, config:
        As in :func:`madpipe.mad.network.infer.infer_and_tell`, whose answer this is; up to rounding where the frame is
        large.
    process:
        As in :func:`madpipe.base.store.write`.
    parts:
        Files of all parts of the network's passes, where other jobs ran them.

    Raises
    ------
    InputError
        As :func:`madpipe.mad.network.infer.infer`; the disk has no room.

    Notes
    -----
    Memory still grows with volumes, whose passes along three axes cross everywhere; with stacks of stated errors, whose
    error model rests on all points; with networks of attention; and with parts.
    """
    layout = store.layout(path, Stack)
    if parts or not _is_cut(layout, trained):
        found = [store.read(file, Passes) for file in parts]
        store.write(output, infer_and_tell(store.read(path, Stack), trained, config, found), process=process)
        return
    with warned.heard() as said:
        _infer_by_bands(path, Path(output), trained, config, process, said)


def _is_cut(layout: store.Layout, trained: TrainedNetwork) -> bool:
    """Say whether a stack is answered in bands."""
    shape = layout.shapes.get("data", ())[1:]
    is_frame = len(shape) == 2 and layout.rows > 0 and "data_errors" not in layout.shapes
    return is_frame and math.prod(shape) > _WHOLE and not trained.config.attention


class _Band(NamedTuple):
    """Rows of a frame: those that are answered, and those that are read for it."""

    kept: slice
    read: slice

    @property
    def inner(self) -> slice:
        """The kept ones among those read."""
        return slice(self.kept.start - self.read.start, self.kept.stop - self.read.start)


def _bands(shape: Sequence[int], around: int) -> list[_Band]:
    """Cut a frame (energy, row, point) into bands that fit into memory, read with so many rows around."""
    energies, rows, width = shape
    size = max(_LEAST_ROWS, (_BAND_VALUES // (energies * width) - 2 * around) // 4 * 4)
    kept = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    return [_Band(one, slice(max(0, one.start - around), min(rows, one.stop + around))) for one in kept]


@dataclass(frozen=True)
class _Asked:
    """What all bands of a frame share."""

    trained: TrainedNetwork
    network: Network
    config: InferConfig
    f0: Float[Tensor, ""]  # median [electron]
    split: Split | None  # what split counts say of the network's answers


def _infer_by_bands(
    path: str | Path,
    output: Path,
    trained: TrainedNetwork,
    config: InferConfig,
    process: Mapping[str, str] | None,
    said: Sequence[str],
) -> None:
    """Answer a frame band by band; the answer keeps what is ``said``."""
    layout = store.layout(path, Stack)
    network, (f0, brightest) = trained.network().to(device()), _look(path, layout, trained)
    asked = _Asked(trained, network, config, f0, _split(path, brightest, trained, network, config))
    shape, bands = layout.shapes["data"], _bands(layout.shapes["data"], margin(asked.network))
    axes: dict[str, Any] = {**axes_of(path), "axis_names": "qy,qx"}
    rows, squares = list[np.ndarray](), list[Tensor]()
    with store.whole_file(output) as grown:
        stacks = store.read_slabs(path, Stack, [band.read for band in bands])
        for band, stack in progress(zip(bands, stacks, strict=True), "network", len(bands)):
            fit, explained_rows, both = _answered(stack, band, asked)
            if not rows:
                write_outline(grown, replace(fit, **axes), shape[1:], process)
            write_points(grown, fit, band.kept.start * shape[2])
            rows.append(explained_rows.cpu().numpy())
            squares += [] if both is None else [both]
        split = calibrated(asked.split, torch.stack(squares).sum(0)) if asked.split and squares else asked.split
        explained = explained_by(np.concatenate(rows), math.prod(shape))
        tell(explained, None, fit.method, lambda: sample_rows(path), FitConfig())
        finish(grown, explained=explained, split=split, warnings=warned.kept(said))


def _split(
    path: str | Path, brightest: int, trained: TrainedNetwork, network: Network, config: InferConfig
) -> Split | None:
    """Learn from the rows about the brightest point how far the network is to be trusted."""
    rows = slice(max(0, brightest - LARGEST[2] // 2), brightest + LARGEST[2] // 2)
    (stack,) = store.read_slabs(path, Stack, [rows])
    return learn_and_tell(network, rising(stack, device()), stack.shape, trained, config)


def _look(path: str | Path, layout: store.Layout, trained: TrainedNetwork) -> tuple[Float[Tensor, ""], int]:
    """Look through a stack for what only all of it tells: whether it fits the network; median f0, brightest row."""
    require_photons(path, layout)
    rows = [band.kept for band in _bands(layout.shapes["data"], 0)]
    photons, f0 = torch.empty(layout.shapes["data"][1:], dtype=torch.float64), list[np.ndarray]()
    for some, stack in zip(rows, store.read_slabs(path, Stack, rows), strict=True):
        photons[some] = photons_of(stack)
        f0.append(np.ravel(stack.f0))
    trained.check_fits(stack, photons)
    median = torch.as_tensor(np.concatenate(f0), dtype=torch.float64, device=device()).median()
    return median, int(photons.amax(1).argmax())


def _answered(stack: Stack, band: _Band, asked: _Asked) -> tuple[Fit, Tensor, Tensor | None]:
    """Answer a band as a list of points; with it the sums that :func:`madpipe.mad.network.infer.answered` gives."""
    around, width = rising(stack, device()), stack.shape[1]
    found = predict_rows(asked.network, around, stack.shape, band.inner, asked.config.points, asked.f0)
    measurement = around.part(slice(band.inner.start * width, band.inner.stop * width))
    shape = (band.inner.stop - band.inner.start, width)
    prediction, photons = gathered([found], measurement, shape, asked.f0)
    columns, rows, squares = answered(
        measurement, prediction, photons, asked.split, asked.trained, asked.config, volume=False
    )
    return as_fit(columns, asked.config, photons.shape, _LIST), rows, squares
