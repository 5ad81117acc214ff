"""Training of a network: particles of the prior, measured anew in every step, one loop, calibrated errors."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from madpipe.base import training
from madpipe.base.errors import InputError
from madpipe.base.provenance import file_digest
from madpipe.base.runtime import device, generator_for, log, reproducible, require_threads
from madpipe.base.shipped import shipped_weights
from madpipe.base.training import History, Schedule
from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.network.design import build
from madpipe.mad.network.design.frames import Statistics
from madpipe.mad.network.design.sums import Moments, Seen
from madpipe.mad.network.loss import Target, network_loss
from madpipe.mad.network.train.calibrate import calibrate
from madpipe.mad.network.train.exposures import draw_batch
from madpipe.mad.network.train.scenes import Scenes, draw_frames, draw_slabs, draw_volumes
from madpipe.mad.network.weights import TrainedNetwork, load_network

_BRIGHT = 1e7  # least photons of a frame at the first step of a curriculum
_VALIDATION_BATCHES = 8
_STATISTICS_BATCHES = 40
_LARGEST = (25.0, 5.0)  # of z / r^2 and theta / r in the statistics: extinctions have a long tail
_PRECISIONS = {"full": torch.float32, "mixed": torch.bfloat16}
_CALIBRATED = 32  # points along each axis of the volumes that errors are calibrated on, at most: they cost most
_BEGINNINGS = {"shipped": "weights.safetensors", "first": "weights_first.safetensors"}
_DESIGN = ("network", "width", "dilations", "passes", "attention", "polar")  # what weights are shaped by
_Batch = tuple[Seen, Target]


class Source:
    """Batches of measured particles: frames, and now and then slices of volumes."""

    def __init__(self, config: TrainConfig, frames: Scenes, slabs: Scenes) -> None:
        self.config = config
        self.kinds = [(frames, self._share(frames)), (slabs, self._share(slabs))]
        self.volume_share = config.volume_share if len(slabs) and config.network == "frames" else 0.0

    def _share(self, scenes: Scenes) -> Float[Tensor, "frame"]:
        """How often each frame is drawn."""
        even = torch.ones(len(scenes), dtype=torch.float64)
        sensitive = self.config.sensitive_share
        if not (sensitive and len(scenes)):
            return even
        standing_out = scenes.standing_out().double()
        return (1 - sensitive) * even / len(scenes) + sensitive * standing_out / standing_out.sum()

    def draw(self, step: int, generator: torch.Generator) -> _Batch:
        """Draw the batch of a step."""
        is_volume = float(torch.rand((), generator=generator, dtype=torch.float64)) < self.volume_share
        scenes, share = self.kinds[int(is_volume)]
        return draw_batch(scenes, self.config, least_photons(step, self.config), share, generator)


def run(config: Mapping[str, Any], *, seed: int, checkpoint: Path | None, code: str) -> tuple[TrainedNetwork, History]:
    """Train as the workflow does: a section of the configuration in plain values, a generator of the job's own name."""
    section = TrainConfig(**config)
    return train(section, generator_for(seed, "mad_train", section.network), checkpoint=checkpoint, code=code)


def train(
    config: TrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[TrainedNetwork, History]:
    """Simulate particles and train a network on them.

    Parameters
    ----------
    config:
        Network, particles, loss, schedule.
    generator:
        Draws particles, first weights, measurements and noise: everything random here. The result is the same to the
        bit on one machine with one number of threads.
    checkpoint:
        Where to keep the state, and to go on from; see :func:`madpipe.base.training.train`.
    code:
        Fingerprint of the code, kept with the weights; a checkpoint of other code is not gone on from.

    Returns
    -------
    :
        The network of the least validation loss, its errors calibrated on particles that it never saw, and the history
        of the training.

    Raises
    ------
    InputError
        The prior names an impossible particle, the checkpoint is none, the training diverges, or torch runs with
        another number of threads than the configuration's.
    """
    require_threads(config.threads)
    began = "" if config.begin == "fresh" else file_digest(shipped_weights("mad", _BEGINNINGS[config.begin]))
    name = training.name_of(config, generator, code + began)
    source = _source(config, 0, config.particles, config.volumes, generator, "training")
    held_out = _source(
        config, config.particles, config.validation_particles, config.validation_volumes, generator, "validation"
    )
    network = build(config, generator)
    network.describe(statistics(source, generator))
    if config.begin != "fresh":
        begin_with(network, config)
    network.to(device())
    log.info("%s: %d parameters", config.network, sum(p.numel() for p in network.parameters()))
    batches = [held_out.draw(config.steps, generator) for _ in range(_VALIDATION_BATCHES)]
    with reproducible():
        history = training.train(
            network,
            source.draw,
            lambda model, batch: _loss(model, batch, config),
            batches,
            Schedule.of(config),
            generator,
            checkpoint=checkpoint,
            fingerprint=name,
            label="training",
        )
    trained = TrainedNetwork.of(network.eval(), config, code)
    frames = held_out.kinds[0][0]
    small = config.prior.model_copy(update={"volume_grid": min(config.prior.volume_grid, _CALIBRATED)})
    volumes = draw_volumes(small, range(config.validation_volumes), generator, "calibration volumes")
    return calibrate(trained, config, frames, volumes, generator), history


def begin_with(network: nn.Module, config: TrainConfig) -> None:
    """Give a network the weights, and what it was told of its particles, that a training is to go on from.

    Raises
    ------
    InputError
        They are of another design.
    """
    kept = load_network(shipped_weights("mad", _BEGINNINGS[config.begin]))
    differing = [name for name in _DESIGN if getattr(kept.config, name) != getattr(config, name)]
    if differing:
        wanted = ", ".join(f"{name}: {getattr(kept.config, name)}" for name in differing)
        raise InputError(
            f"mad.train.begin: {config.begin} needs the design of these weights ({wanted}); set it, or begin: fresh"
        )
    network.load_state_dict(kept.state)


def statistics(source: Source, generator: torch.Generator) -> Statistics:
    """Mean and covariance of z / r^2 and theta / r over bright measurements of the training particles."""
    linear, theta = [], []
    config = source.config.model_copy(update={"network": "frames"})
    bright = Source(config, *(scenes for scenes, _ in source.kinds))
    for _ in range(_STATISTICS_BATCHES):
        _, target = bright.draw(config.steps, generator)
        mean = target.expected.mean(1).flatten().double()
        lit = mean > 1e-3 * mean.mean()
        scaled = (target.theta.double() / mean.sqrt())[:, lit]
        linear.append(unknowns(scaled).clamp(-_LARGEST[0], _LARGEST[0]))
        theta.append(scaled.clamp(-_LARGEST[1], _LARGEST[1]))
    first, second = torch.cat(linear, 1), torch.cat(theta, 1)
    moments = [(each.mean(1), torch.linalg.cholesky(torch.cov(each))) for each in (first, second)]
    return Statistics(Moments(*moments[0]), *moments[1])


def least_photons(step: int, config: TrainConfig) -> float:
    """Least photons of a frame at a step: bright ones first, the prior's least once the curriculum is through."""
    least, largest = config.prior.photons
    done = min(1.0, step / (config.curriculum * config.steps)) if config.curriculum else 1.0
    bright = min(max(_BRIGHT, least), largest)
    return math.exp((1 - done) * math.log(bright) + done * math.log(least))


def _source(
    config: TrainConfig, first: int, particles: int, volumes: int, generator: torch.Generator, label: str
) -> Source:
    """Draw the particles of a part of the data, numbered so that no two parts share one."""
    frames = draw_frames(config.prior, range(first, first + particles), generator, f"{label} particles")
    number = volumes if config.network == "frames" else 0
    return Source(config, frames, draw_slabs(config.prior, range(number), generator, f"{label} volumes"))


def _loss(model: nn.Module, batch: _Batch, config: TrainConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch, where the model is."""
    place = next(model.parameters()).device
    seen, target = batch[0].to(place), batch[1].to(place)
    return network_loss(model(seen, _PRECISIONS[config.precision]), seen, target, config)
