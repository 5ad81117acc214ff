"""The network's answer to a stack: whole frames in one pass, volumes along three axes, errors calibrated."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import device
from madpipe.base.warned import keeping, warn
from madpipe.mad import limits
from madpipe.mad.config import FitConfig, InferConfig
from madpipe.mad.fit.belief import Belief
from madpipe.mad.fit.explained import explained_by
from madpipe.mad.fit.telling import told
from madpipe.mad.measured.checks import screened
from madpipe.mad.measurement import Measurement, measurement_from_stack
from madpipe.mad.network.answer import answer
from madpipe.mad.network.calibration import Columns, Layers, Setting, apply, at_least, circumstances, unpacked
from madpipe.mad.network.design import Network
from madpipe.mad.network.predict import Pass, gathered, passes, predict
from madpipe.mad.network.split import NEVER, are_counts, learn
from madpipe.mad.network.trust import calibrated, least, spread, squares_by_shell, usual, widened, widening
from madpipe.mad.network.weights import TrainedNetwork
from madpipe.mad.records import Fit, Passes, Split, Stack, axis_fields


@keeping
def infer_and_tell(stack: Stack, trained: TrainedNetwork, config: InferConfig, parts: Sequence[Passes] = ()) -> Fit:
    """Let a trained network answer, as :func:`infer`, and say how well the answer explains the stack."""
    return told(infer(stack, trained, config, parts), lambda: stack, FitConfig())


@keeping
def infer(stack: Stack, trained: TrainedNetwork, config: InferConfig, parts: Sequence[Passes] = ()) -> Fit:
    """Let a trained network answer for every point of a stack.

    Parameters
    ----------
    stack:
        A frame or a volume.
    trained:
        The network, from :func:`madpipe.mad.network.weights.load_network`.
    config:
        Whether the counts of each point correct its prediction; points per pass.
    parts:
        All parts of the network's passes, from :func:`infer_part`, where other jobs ran them; the answer is the same.

    Returns
    -------
    :
        Structure factors in sqrt(photons at unit exposure), in the layout of the classical fit: means and standard
        deviations under the prediction of the network and, where refined, the Poisson likelihood of the counts. Errors
        are calibrated on particles that the network was not trained on, and hold for particles like those. Nothing is
        certified. Points that lack an energy are predicted from their surroundings, and corrected by what they have.

    Raises
    ------
    InputError
        A kind of data, a sampling or, for the reference design, energies that the network was not trained for;
        parts that are not all of one prediction.
    """
    trained.check_fits(stack)
    stack = screened(stack)
    place = device()
    measurement = rising(stack, place)
    network = trained.network().to(place)
    if parts:
        prediction, photons = gathered(_restored(parts, stack.shape), measurement, stack.shape)
    else:
        prediction, photons = predict(network, measurement, stack.shape, config.points)
    split = learn_and_tell(network, measurement, stack.shape, trained, config)
    columns, sums, squares = answered(measurement, prediction, photons, split, trained, config, len(stack.shape) == 3)
    if split is not None and squares is not None:
        split = calibrated(split, squares)
    explained = explained_by(sums.cpu().numpy(), stack.data.size)
    return as_fit(columns, config, stack.shape, {**axis_fields(stack), "explained": explained, "split": split})


def answered(
    measurement: Measurement,
    prediction: Belief,
    photons: Float[Tensor, "point"],
    split: Split | None,
    trained: TrainedNetwork,
    config: InferConfig,
    volume: bool,
) -> tuple[Columns, Float[Tensor, "batch column"], Float[Tensor, "two shell 3"] | None]:
    """Answer some points from the network's prediction, and calibrate the errors.

    Parameters
    ----------
    measurement, prediction, photons:
        Of these points; the latter two from :func:`madpipe.mad.network.predict.gathered`.
    split:
        What split counts say of the whole stack.
    trained, config:
        As in :func:`infer`.
    volume:
        Whether they are of a volume.

    Returns
    -------
    :
        The answer; sums of how well counts are explained (:func:`madpipe.mad.fit.explained.sums_of`); squared errors
        before and after calibration (:func:`madpipe.mad.network.trust.squares_by_shell`), where there are both.
    """
    energies = len(measurement.exposure)
    raw, shares, sums = trusted(measurement, prediction, photons / energies, split, refine=config.refine)
    layers = layers_of(trained, config)
    columns = apply(raw, circumstances(raw, shares, Setting(photons, energies, volume, split)), layers)
    if split is None or layers is None:
        return columns, sums, None
    columns = at_least(columns, raw, least(split, photons / energies))
    return columns, sums, squares_by_shell(split, photons / energies, raw, columns)


def trusted(
    measurement: Measurement,
    prediction: Belief,
    photons: Float[Tensor, "point"],
    split: Split | None,
    *,
    refine: bool,
) -> tuple[Columns, Columns, Float[Tensor, "batch column"]]:
    """Answer as far as split counts trust the prediction: widened, errors times what they found over what was stated.

    Photons are per energy; the answer is as of :func:`madpipe.mad.network.answer.answer`.
    """
    return answer(
        measurement,
        widened(prediction, widening(split, photons)),
        refine=refine,
        spread=lambda covariance, tile: spread(covariance, split, photons[tile]),
    )


def learn_and_tell(
    network: Network, measurement: Measurement, shape: tuple[int, ...], trained: TrainedNetwork, config: InferConfig
) -> Split | None:
    """Learn from split counts how far the network is to be trusted, and warn where it knows less than it states."""
    if not config.refine:
        return None  # a prediction alone is given as the network states it
    split = learn(lambda half, block: predict(network, half, block, config.points), measurement, shape)
    if not are_counts(measurement):
        warn(
            "the values are no photon counts (whole numbers, Poisson noise): they cannot be split to tell how wrong "
            "the network is here; give counts, or compare with `madpipe fit`"
        )
    if split is None:  # no counts, or too few points have photons enough
        return None
    split = replace(split, usual=usual(split, trained.calibration))
    widest = float(split.widened.max())
    if split.usual < limits.UNUSUAL:
        never = " where photons are many the answer is the fit's;" if widest >= NEVER else ""
        words = "without limit" if widest >= NEVER else f"up to {widest:.2g} times"
        warn(
            f"a particle unlike those that the network was trained on: predictions were widened {words}, which "
            f"{split.usual:.1%} of the training's kind need;{never} compare with `madpipe fit`"
        )
    return split


def layers_of(trained: TrainedNetwork, config: InferConfig) -> Layers | None:
    """Layers that calibrate the errors of this kind of answer, on the device; none where there are none."""
    kept = {name: layer.to(device()) for name, layer in trained.calibration.items()}
    return unpacked(kept, refine=config.refine)


def as_fit(columns: Columns, config: InferConfig, shape: tuple[int, ...], others: Mapping[str, Any]) -> Fit:
    """Answers of points as a record with these axes and other fields."""
    arrays: dict[str, Any] = {name: column.reshape(shape).cpu().numpy() for name, column in columns.items()}
    return Fit(**arrays, n_iterations=0, method="network, refined" if config.refine else "network", **others)


def infer_part(stack: Stack, trained: TrainedNetwork, config: InferConfig, part: int, parts: int) -> Passes:
    """Run one of several parts of the network's passes, nearly all the work of :func:`infer`.

    Parameters
    ----------
    stack, trained, config:
        As in :func:`infer`.
    part, parts:
        Which part, counted from 0, of how many; where there are fewer passes, some parts have none.

    Raises
    ------
    InputError
        As :func:`infer`.
    """
    trained.check_fits(stack)
    place = device()
    stack = screened(stack)
    measurement = rising(stack, place)
    network = trained.network().to(place)
    found = list(passes(network, measurement, stack.shape, config.points, part, parts))
    places = [(one.axis, one.slices.start, one.slices.stop, one.rows.start, one.rows.stop) for one in found]
    answers = [one.answer.flatten(1).cpu().numpy() for one in found]
    return Passes(
        np.array(places, dtype=np.int64).reshape(-1, 5), np.concatenate([np.zeros((10, 0), np.float32), *answers], 1)
    )


def _restored(parts: Sequence[Passes], shape: tuple[int, ...]) -> Iterator[Pass]:
    """Passes of all parts in the order in which one job runs them."""
    found = []
    for part in parts:
        start = 0
        for axis, first, last, top, bottom in part.place.tolist():
            size = (last - first, bottom - top, shape[1 if axis == 2 else -1])
            stop = start + math.prod(size)
            answer = torch.as_tensor(part.answer[:, start:stop], device=device()).reshape(10, *size)
            found.append(Pass(axis, slice(first, last), slice(top, bottom), answer))
            start = stop
    points = sum(one.answer[0].numel() for one in found)
    needed = math.prod(shape) * (3 if len(shape) == 3 else 1)
    if points != needed:
        raise InputError(f"parts of a prediction need {needed} values; {points} came; make all of them again.")
    yield from sorted(found, key=lambda one: (one.axis, one.slices.start, one.rows.start))


def rising(stack: Stack, place: torch.device) -> Measurement:
    """Arrange a stack on a device as channels with energies rising, as the reference design learnt them."""
    measurement = measurement_from_stack(stack, place)
    order = torch.as_tensor(np.argsort(stack.energy), device=measurement.f0.device)
    names = ("intensity", "background", "good", "exposure", "f_prime", "f_double_prime", "energy_of_channel")
    kept = {name: getattr(measurement, name) for name in names if getattr(measurement, name) is not None}
    return replace(measurement, **{name: values[order] for name, values in kept.items()})
