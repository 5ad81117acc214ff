"""The network's answer to a stack: whole frames in one pass, volumes slice by slice, with measured error bars."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.base.runtime import device, progress
from madpipe.mad.config import InferConfig
from madpipe.mad.forward import dispersion_ratio, in_resonant_gauge, mad_intensity
from madpipe.mad.measurement import Measurement, measurement_from_stack
from madpipe.mad.network import Measured, Network, reproducible
from madpipe.mad.records import Fit, Stack, axis_fields
from madpipe.mad.weights import TrainedNetwork

_NOTHING_KNOWN = 10.0  # error of a modulus where nothing was measured, over its scale
_UNDETERMINED = math.pi / math.sqrt(3)  # rms of a phase of which nothing is known [radian]
_PHASES = ("delta_phi", "delta_phi_na")


def infer(stack: Stack, trained: TrainedNetwork, config: InferConfig) -> Fit:
    """Let a trained network answer for every point of a stack.

    Parameters
    ----------
    stack:
        A frame, or a volume that goes through as slices along its first axis.
    trained:
        The network, from :func:`madpipe.mad.weights.load_network`.
    config:
        Slices per pass.

    Returns
    -------
    :
        Structure factors in sqrt(photons at unit exposure), in the layout of the classical fit. The errors are the
        rms errors that the network made on validation particles at the same brightness; they hold for particles
        like those it was trained on. Nothing is certified. Points that lack an energy are answered from their
        surroundings with errors that say so.

    Raises
    ------
    InputError
        Energies, element or kind of data that the network was not trained for.
    """
    trained.check_fits(stack)
    measurement = measurement_from_stack(stack)
    frames = _as_frames(stack, measurement)
    network, place = trained.network().to(device()), device()
    parts = [
        _answers(network, Measured(*(each[start : start + config.batch].to(place) for each in frames)))
        for start in progress(range(0, len(frames.counts), config.batch), "network")
    ]
    columns = {name: torch.cat([part[name] for part in parts]).double().flatten() for name in parts[0]}
    scale = columns.pop("scale")
    brightness = (columns["f_total"] * scale).square()
    errors = error_bars(brightness, _complete(measurement), trained)
    for name in errors:
        if name not in _PHASES:
            columns[name], errors[name] = columns[name] * scale, errors[name] * scale
    columns |= {f"{name}_errors": error for name, error in errors.items()}
    columns |= goodness(measurement, columns["f_total"], columns["f_resonant"], columns["delta_phi"])
    arrays = {name: column.reshape(stack.shape).numpy() for name, column in columns.items()}
    return Fit(**arrays, n_iterations=0, method="network", **axis_fields(stack))


def error_bars(
    brightness: Float[Tensor, "point"], good: Bool[Tensor, "point"], trained: TrainedNetwork
) -> dict[str, Float[Tensor, "point"]]:
    r"""Errors by quantity, moduli in units of r, from the table kept with the weights.

    Interpolated linearly in the logarithm of the brightness, \|F_T\|^2 as answered [photon], and constant beyond the
    table's ends.
    """
    logarithm = np.log(brightness.clamp(min=1e-12).numpy())
    table = np.log(trained.error_photons.double().numpy())
    errors = {}
    for name, column in trained.errors.items():
        known = torch.as_tensor(np.interp(logarithm, table, column.double().numpy()))
        unknown = _UNDETERMINED if name in _PHASES else _NOTHING_KNOWN
        errors[name] = torch.where(good, known, unknown)
    return errors


def goodness(
    measurement: Measurement,
    f_total: Float[Tensor, "point"],
    f_resonant: Float[Tensor, "point"],
    delta_phi: Float[Tensor, "point"],
) -> dict[str, Tensor]:
    r"""Chi-square of the counts against the MAD equation at the answer, with its degrees of freedom.

    .. math:: \chi^2 = \sum_E (n_E - \mu_E)^2 / v(\mu_E),\quad \mu_E = \tau_E I_E + b_E

    The expected variance has a floor at a thousandth of the point's mean count, as in the classical fit. The network
    fits no point, yet the three unknowns are taken off the degrees of freedom to make both comparable.
    """
    ratio = dispersion_ratio(measurement.f_prime[:, None], measurement.f_double_prime[:, None], measurement.f0)
    gauged = in_resonant_gauge(f_total, delta_phi)
    intensity = mad_intensity(gauged, f_resonant.to(gauged.dtype), ratio)
    expected = measurement.with_background(intensity * measurement.exposure[:, None])
    chi2 = (measurement.weights(expected) * (measurement.intensity - expected).square()).sum(0)
    dof = (measurement.channels() - 3).clamp(min=0)
    return {"chi2": chi2, "dof": dof, "certified": torch.zeros_like(dof, dtype=torch.bool)}


def _complete(measurement: Measurement) -> Bool[Tensor, "point"]:
    """Points measured in every channel."""
    return measurement.channels() == len(measurement.exposure)


def _as_frames(stack: Stack, measurement: Measurement) -> Measured:
    """Counts at unit exposure, less background, as a batch of frames with energies rising, as the network learnt."""
    order = torch.as_tensor(np.argsort(stack.energy))
    shape = (-1, *stack.shape[-2:])
    counts = (measurement.net() / measurement.exposure[:, None]).clamp(min=0)[order]
    frames = counts.reshape(len(order), *shape).movedim(0, 1)

    def per_frame(values: Float[Tensor, "energy"]) -> Float[Tensor, "frame energy"]:
        return values[order].expand(len(frames), -1)

    return Measured(
        frames.float(),
        _complete(measurement).reshape(shape),
        per_frame(measurement.f_prime).float(),
        per_frame(measurement.f_double_prime).float(),
        measurement.f0.reshape(shape).float(),
    )


@torch.no_grad()
def _answers(network: Network, measured: Measured) -> dict[str, Tensor]:
    """Moduli in units of r, phases, and r, for some frames."""
    with reproducible():
        unknowns = network(measured)
    return {name: each.cpu() for name, each in (unknowns.structure_factors() | {"scale": unknowns.scale}).items()}
