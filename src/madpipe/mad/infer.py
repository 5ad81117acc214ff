"""The network's answer to a stack: whole frames in one pass, volumes along three axes, errors calibrated."""

from dataclasses import replace

import numpy as np
import torch

from madpipe.base.runtime import device
from madpipe.mad.answer import answer
from madpipe.mad.calibration import Setting, apply, circumstances, unpacked
from madpipe.mad.config import InferConfig
from madpipe.mad.measurement import Measurement, measurement_from_stack
from madpipe.mad.predict import contrast_of, predict
from madpipe.mad.records import Fit, Stack, axis_fields
from madpipe.mad.weights import TrainedNetwork


def infer(stack: Stack, trained: TrainedNetwork, config: InferConfig) -> Fit:
    """Let a trained network answer for every point of a stack.

    Parameters
    ----------
    stack:
        A frame or a volume.
    trained:
        The network, from :func:`madpipe.mad.weights.load_network`.
    config:
        Whether the counts of each point correct its prediction; points per pass.

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
        A kind of data, a sampling or, for the reference design, energies that the network was not trained for.
    """
    trained.check_fits(stack)
    place = device()
    measurement = _rising(measurement_from_stack(stack, place), stack)
    network = trained.network().to(place)
    prediction, photons = predict(network, measurement, stack.shape, config.points)
    columns, shares = answer(measurement, prediction, refine=config.refine)
    setting = Setting(photons, contrast_of(network, measurement), len(measurement.exposure), len(stack.shape) == 3)
    layers = unpacked({name: layer.to(place) for name, layer in trained.calibration.items()}, refine=config.refine)
    columns = apply(columns, circumstances(columns, shares, setting), layers)
    arrays = {name: column.reshape(stack.shape).cpu().numpy() for name, column in columns.items()}
    method = "network, refined" if config.refine else "network"
    return Fit(**arrays, n_iterations=0, method=method, **axis_fields(stack))


def _rising(measurement: Measurement, stack: Stack) -> Measurement:
    """Channels with energies rising, as the reference design learnt them."""
    order = torch.as_tensor(np.argsort(stack.energy), device=measurement.f0.device)
    names = ("intensity", "background", "good", "exposure", "f_prime", "f_double_prime", "energy_of_channel")
    kept = {name: getattr(measurement, name) for name in names if getattr(measurement, name) is not None}
    return replace(measurement, **{name: values[order] for name, values in kept.items()})
