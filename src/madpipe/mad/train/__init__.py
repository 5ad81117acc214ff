"""Training of the reference network: particles of the prior, patches with fresh noise, one loop, measured errors."""

import hashlib
import json
import math
from pathlib import Path

import torch
from torch import nn

from madpipe.base import training
from madpipe.base.runtime import device, log
from madpipe.base.training import History, Schedule
from madpipe.mad.config import TrainConfig
from madpipe.mad.loss import Target, patch_loss
from madpipe.mad.network import Measured, Network, reproducible
from madpipe.mad.train.errors import ErrorTable, measure_errors
from madpipe.mad.train.frames import Frames, draw_patches, simulate_frames
from madpipe.mad.weights import TrainedNetwork

_BRIGHT = 100.0  # least photons per point and energy of a patch at the first step
_VALIDATION_BATCHES = 6
_Batch = tuple[Measured, Target]


def train(
    config: TrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[TrainedNetwork, History]:
    """Simulate particles and train the network on them.

    Parameters
    ----------
    config:
        Network, particles, loss, schedule.
    generator:
        Draws particles, first weights, patches and noise: everything random here. The result is the same to the bit
        on one machine with one number of threads.
    checkpoint:
        Where to keep the state, and to go on from; see :func:`madpipe.base.training.train`.
    code:
        Fingerprint of the code, kept with the weights; a checkpoint of other code is not gone on from.

    Returns
    -------
    :
        The network of the least validation loss, with the errors that it makes on validation particles, and the
        history of the training.

    Raises
    ------
    InputError
        The prior names an impossible particle, the checkpoint is none, or the training diverges.
    """
    name = _fingerprint(config, generator, code)
    count = config.particles
    frames = simulate_frames(config, range(count), generator, "training particles")
    held_out = range(count, count + config.validation_particles)
    validation = simulate_frames(config, held_out, generator, "validation particles")
    network = Network(config.network, len(config.energies_ev), config.f0_channel, generator).to(device())
    log.info(
        "%s: %d parameters, %d frames",
        config.network,
        sum(p.numel() for p in network.parameters()),
        len(frames.particle),
    )
    photons = config.prior.photons_per_point
    batches = [
        draw_patches(validation, config.batch, config.patch, photons, generator) for _ in range(_VALIDATION_BATCHES)
    ]
    with reproducible():
        history = training.train(
            network,
            lambda step, source: draw_patches(frames, config.batch, config.patch, photons_at(step, config), source),
            lambda model, batch: _loss(model, batch, config),
            batches,
            _schedule(config),
            generator,
            checkpoint=checkpoint,
            fingerprint=name,
            label="training",
        )
        table = measure_errors(network, validation, photons, generator)
    return _trained(network, config, frames, table, code), history


def photons_at(step: int, config: TrainConfig) -> tuple[float, float]:
    """Least and largest mean photons of a patch at a step: bright ones first, the least after curriculum_steps."""
    least, largest = config.prior.photons_per_point
    done = min(1.0, step / config.curriculum_steps) if config.curriculum_steps else 1.0
    bright = min(max(_BRIGHT, least), largest)
    return math.exp((1 - done) * math.log(bright) + done * math.log(least)), largest


def _loss(model: nn.Module, batch: _Batch, config: TrainConfig) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of a batch, where the model is."""
    place = next(model.parameters()).device
    measured, target = Measured(*(each.to(place) for each in batch[0])), Target(*(each.to(place) for each in batch[1]))
    return patch_loss(model(measured), measured, target, config)


def _schedule(config: TrainConfig) -> Schedule:
    """The loop's part of the configuration."""
    return Schedule(
        config.steps,
        config.learning_rate,
        config.weight_decay,
        config.gradient_clip,
        config.validate_every,
        config.patience,
    )


def _fingerprint(config: TrainConfig, generator: torch.Generator, code: str) -> str:
    """Name of this very training: configuration, code, kind of device and the generator as it was handed over."""
    digest = hashlib.sha256(json.dumps([config.model_dump(mode="json"), code, device().type]).encode())
    digest.update(generator.get_state().numpy().tobytes())
    return digest.hexdigest()


def _trained(network: Network, config: TrainConfig, frames: Frames, table: ErrorTable, code: str) -> TrainedNetwork:
    """The network with all that is needed to use it, and to refuse to."""
    photons, errors = table
    dispersion = torch.stack([frames.f_prime, frames.f_double_prime], dim=1)
    return TrainedNetwork(
        architecture=config.network,
        energies_ev=tuple(sorted(config.energies_ev)),
        energy_shift_ev=config.prior.energy_shift_ev,
        element=config.element,
        edge=config.edge,
        f0_channel=config.f0_channel,
        state={name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()},
        error_photons=photons,
        errors=errors,
        dispersion=torch.stack([dispersion.amin(0), dispersion.amax(0)]),
        config=config.model_dump(mode="json"),
        fingerprint=code,
    )
