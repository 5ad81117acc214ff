"""Run a network over a frame in one pass, or over a volume along its three axes; tiles only bound the memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import progress, reproducible
from madpipe.mad.fit.belief import Belief, product
from madpipe.mad.fit.likelihood import solved
from madpipe.mad.measurement import Measurement
from madpipe.mad.network.design import Network
from madpipe.mad.network.design.sums import WINDOWS, Seen, beside_each, design_rows, mean_normal, own_sums, windowed
from madpipe.physics.sums import added

_POOLED = 4  # rows that the reference design pools into one: its tiles must start where the whole frame's do


def predict(
    network: Network, measurement: Measurement, shape: tuple[int, ...], points: int
) -> tuple[Belief, Float[Tensor, "point"]]:
    """Predict every point of a frame or volume.

    A volume goes through as slices along each of its axes, whose sums reach across slices; the three predictions of a
    point are averaged as information, so that no axis is special and none shows as stripes.

    Parameters
    ----------
    network:
        Trained, in evaluation mode, on the measurement's device.
    measurement:
        Points in the order of the shape; channels with energies rising.
    shape:
        (y, x) or (z, y, x).
    points:
        Of a frame, with what it is padded by, in one pass; bounds the memory, not the result.

    Returns
    -------
    :
        Prediction of x, p, q at unit exposure [sqrt(photon)], float64; and the photons of every point over all energies
        that the errors are calibrated by.
    """
    return gathered(passes(network, measurement, shape, points), measurement, shape)


class Pass(NamedTuple):
    """What the network said in one pass: of some slices along an axis, the rows that are kept."""

    axis: int
    slices: slice
    rows: slice
    answer: Float[Tensor, "10 slice y x"]  # precision (6), mean (3), in units of r, and r^2


def passes(
    network: Network, measurement: Measurement, shape: tuple[int, ...], points: int, part: int = 0, parts: int = 1
) -> Iterator[Pass]:
    """Run the passes of a prediction, or one of several parts of them, whose bits do not depend on the others.

    Parameters
    ----------
    network, measurement, shape, points:
        As in :func:`predict`.
    part, parts:
        Which part, counted from 0, of how many; where there are fewer passes some parts have none.
    """
    own, normal, counts, dispersion = _read(measurement, shape)
    sums = windowed(own)
    volume = len(shape) == 3
    seen = Seen((), normal, volume, dispersion=dispersion)
    jobs = [(axis, where) for axis in range(3 if volume else 1) for where in _tiles(shape, axis, network.reach, points)]
    for axis, (slices, rows, inner) in progress(jobs[part::parts], "network"):
        frames = [_frames(one, axis, len(shape))[slices, :, rows] for one in sums]
        beside = beside_each(_frames(own, axis, len(shape))[:, :, rows], slices) if volume else None
        patch = None if counts is None else counts[slices, :, rows]
        found, level = _run(network, seen._replace(sums=tuple(frames), beside=beside, counts=patch))
        yield Pass(axis, slices, inner, _together(found, level)[:, :, _within(inner, rows)])


def margin(network: Network) -> int:
    """How far from a point of a frame the counts lie that its prediction depends on [point]."""
    return cast("int", network.reach) + max(WINDOWS[2]) // 2


def predict_rows(
    network: Network,
    measurement: Measurement,
    shape: tuple[int, ...],
    kept: slice,
    points: int,
    f0: Float[Tensor, ""],
) -> Pass:
    """Predict some rows of a frame from its counts in a few more.

    Parameters
    ----------
    network, points:
        As in :func:`predict`; the network without attention, which would ask for all rows.
    measurement:
        Of all points of the rows that are there.
    shape:
        Number of these rows, and of points in each.
    kept:
        Which of them to predict, from a multiple of four on: those that lie :func:`margin` from the others' ends, where
        these are not the frame's.
    f0:
        Median over the whole frame [electron].

    Returns
    -------
    :
        For :func:`gathered`, as if there were no other rows.
    """
    own, normal, counts, dispersion = _read(measurement, shape, f0)
    reach, (height, width) = cast("int", network.reach), shape
    rows = slice(max(0, kept.start - reach), min(height, kept.stop + reach))
    sums = [one[:, :, rows] for one in windowed(own)]
    answers = []
    for _, columns, inner in _tiles((width, rows.stop - rows.start), 0, reach, points):
        patch = None if counts is None else counts[:, :, rows, columns]
        frames = tuple(one[..., columns] for one in sums)
        found, level = _run(network, Seen(frames, normal, False, counts=patch, dispersion=dispersion))
        answers.append(_together(found, level)[:, :, _within(kept, rows), _within(inner, columns)])
    return Pass(0, slice(0, 1), slice(0, kept.stop - kept.start), torch.cat(answers, 3))


def _together(found: Belief, level: Float[Tensor, "slice y x"]) -> Float[Tensor, "10 slice y x"]:
    """What the network said of frames, as an array of their shape."""
    return torch.cat([found.precision, found.mean, level.reshape(1, -1)]).reshape(10, *level.shape)


def _within(inner: slice, outer: slice) -> slice:
    """Where a range lies in a larger one."""
    return slice(inner.start - outer.start, inner.stop - outer.start)


def gathered(
    found: Iterable[Pass],
    measurement: Measurement,
    shape: tuple[int, ...],
    f0: Float[Tensor, ""] | None = None,
) -> tuple[Belief, Float[Tensor, "point"]]:
    """Put the passes of a prediction together, as information; those along the first axis come first.

    Parameters
    ----------
    found:
        All of them (:func:`passes`), on the measurement's device.
    measurement, shape:
        As in :func:`predict`, whose return value this is.
    f0:
        Median over the whole frame, where these are some rows of it [electron].
    """
    place = measurement.f0.device
    precision = torch.zeros(6, *shape, dtype=torch.float64, device=place)
    pull = torch.zeros(3, *shape, dtype=torch.float64, device=place)
    intensity = torch.zeros(shape, dtype=torch.float32, device=place)
    for axis, slices, rows, answer in found:
        known, mean = answer[:6].flatten(1).double(), answer[6:9].flatten(1).double()
        for whole, part in ((precision, known), (pull, product(known, mean))):
            target = _frames(whole[None], axis, len(shape))[slices, :, rows]
            target += part.reshape(-1, *answer.shape[1:]).movedim(0, 1) / (3 if len(shape) == 3 else 1)
        _frames(intensity[None, None], axis, len(shape))[slices, 0, rows] = answer[9]
    known = precision.flatten(1)
    mean = solved(known.unbind(0), pull.flatten(1))[0]
    typical = measurement.f0.median() if f0 is None else f0
    return _in_photons(mean, known, intensity.flatten().double(), measurement, typical)


@torch.no_grad()
def _run(network: Network, seen: Seen) -> tuple[Belief, Float[Tensor, "batch y x"]]:
    """One pass: the last prediction, in units of r, and r^2."""
    frames = len(seen.sums[0])
    dispersion = None if seen.dispersion is None else seen.dispersion.expand(frames, -1)
    with reproducible():
        return network(seen._replace(normal=seen.normal.expand(frames, -1, -1), dispersion=dispersion))[-1]


def _linear_form(
    measurement: Measurement, f0: Float[Tensor, ""] | None = None
) -> tuple[Float[Tensor, "1 energy 4"], Float[Tensor, "1 4 4"]]:
    """Rows of the linear form at the median f0, and the mean of their products over the exposures."""
    typical = measurement.f0.median() if f0 is None else f0
    rows = design_rows(measurement.f_prime[None], measurement.f_double_prime[None], typical[None])
    return rows, mean_normal(rows, measurement.exposure[None])


def _read(
    measurement: Measurement, shape: tuple[int, ...], f0: Float[Tensor, ""] | None = None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """What networks read of a measurement: own sums, mean normal matrix, and counts and dispersion as they are."""
    exposure = measurement.exposure[None]
    rows, normal = _linear_form(measurement, f0)
    complete = measurement.channels() == len(measurement.exposure)
    net = measurement.net().float().reshape(1, -1, *shape)
    background = torch.zeros(shape) if measurement.background is None else added(measurement.background).reshape(shape)
    good = complete.float().reshape(1, *shape)
    own = own_sums(net, good, background.float().to(net)[None], exposure, rows)
    counts = (net / exposure.float().reshape(1, -1, *[1] * len(shape))) if len(shape) == 2 else None
    return own, normal, counts, torch.cat([measurement.f_prime, measurement.f_double_prime])[None].float()


def _frames(array: Float[Tensor, "1 c *axes"], axis: int, ndim: int) -> Float[Tensor, "frame c y x"]:
    """A view of a frame or volume as frames, its slices along one axis."""
    return array if ndim == 2 else array[0].movedim(1 + axis, 0)


def _tiles(shape: Sequence[int], axis: int, reach: int | None, points: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices, rows read and rows kept of each pass: whole slices while they fit, else rows with what they depend on."""
    rest = [size for other, size in enumerate(shape) if len(shape) == 2 or other != axis]
    slices, (height, width) = 1 if len(shape) == 2 else shape[axis], rest
    together = max(1, points // (height * width))
    rows = height
    if reach is not None and height * width > points:
        rows = max(_POOLED, (points // width - 2 * reach) // _POOLED * _POOLED)
    for first in range(0, slices, together):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            read = slice(max(0, top - (reach or 0)), min(height, bottom + (reach or 0)))
            yield slice(first, min(first + together, slices)), read, slice(top, bottom)


def _in_photons(
    mean: Float[Tensor, "3 point"],
    precision: Float[Tensor, "6 point"],
    intensity: Float[Tensor, "point"],
    measurement: Measurement,
    f0: Float[Tensor, ""],
) -> tuple[Belief, Float[Tensor, "point"]]:
    """From x, a, b in units of r to x, p, q [sqrt(photon)]."""
    root = intensity.sqrt()
    units = torch.stack([root, root / f0, root / f0])
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    scale = torch.stack([1 / (units[i] * units[j]) for i, j in pairs])
    return Belief(mean * units, precision * scale), intensity * float(measurement.exposure.sum())
