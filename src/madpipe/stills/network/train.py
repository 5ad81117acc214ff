"""Training of the network: crystals drawn and exposed anew in every step, one loop, then the size of its errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base import training
from madpipe.base.provenance import file_digest
from madpipe.base.runtime import device, generator_for, log, reproducible, require_threads, rounding
from madpipe.base.shipped import shipped_weights
from madpipe.base.training import History, Schedule
from madpipe.stills.config import StillsTrainConfig
from madpipe.stills.network.design import BRIGHTNESSES, StartNetwork, covariances, ln_densities, off, photons_seen
from madpipe.stills.network.exposures import Batch, Exposures
from madpipe.stills.network.loss import Loss
from madpipe.stills.network.weights import TrainedStartNetwork, load_network, take_weights

_CALIBRATION = 4  # times as many images as decide which weights are kept
_WITHIN = math.erf(math.sqrt(0.5))  # share of a Gaussian within one standard error


def run(
    config: Mapping[str, Any], *, seed: int, checkpoint: Path | None, code: str
) -> tuple[TrainedStartNetwork, History]:
    """Train as the workflow does: a section of the configuration in plain values, a generator of the job's own name."""
    section = StillsTrainConfig(**config)
    return train_and_keep(section, generator_for(seed, "stills_train"), checkpoint=checkpoint, code=code)


def train_and_keep(
    config: StillsTrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[TrainedStartNetwork, History]:
    """Train a network, see :func:`train`, and give it as it is kept."""
    network, history = train(config, generator, checkpoint=checkpoint, code=code)
    return TrainedStartNetwork.of(network, config, code, history), history


def train(
    config: StillsTrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[StartNetwork, History]:
    """Train a network on images drawn on the fly.

    Parameters
    ----------
    config:
        Images, network, loss, schedule.
    generator:
        Draws first weights, crystals, noise: everything random here. The result is the same to the bit on one machine
        with one number of threads.
    checkpoint:
        Where to keep the state, and to go on from; see :func:`madpipe.base.training.train`.
    code:
        Fingerprint of the code; a checkpoint of other code is not gone on from.

    Returns
    -------
    :
        The network of the least validation loss, its errors widened to cover 68 % of images drawn anew, and the
        history of the training.

    Raises
    ------
    InputError
        No checkpoint of a training, the training diverges, torch runs with another number of threads than the
        configuration's, or madpipe's own weights are of another design.
    """
    require_threads(config.threads)
    if config.begin == "shipped":
        code += file_digest(shipped_weights("stills"))
    name = training.name_of(config, generator, code)
    place = device()
    source = Exposures(config, place)
    network = StartNetwork(config, generator)
    if config.begin == "shipped":
        take_weights(network, load_network(shipped_weights("stills")))
    network = network.to(place)
    log.info("%d weights, %d images a step", sum(p.numel() for p in network.parameters()), config.batch)
    count = math.ceil(config.validation_images / config.batch)
    batches = [source.draw(0, generator) for _ in range(count)]
    with reproducible() if config.precision == "full" else rounding():
        history = training.train(
            network,
            source.draw,
            Loss(config.absolute),
            batches,
            Schedule.of(config),
            generator,
            checkpoint=checkpoint,
            fingerprint=name,
            label="training",
        )
        network.eval()
        fresh = [source.draw(0, generator) for _ in range(_CALIBRATION * count)]
        network.widening.copy_(widening(network, fresh))
    return network, history


def widening(network: StartNetwork, batches: Sequence[Batch]) -> Float[Tensor, "brightness 4"]:
    """Factors on the standard errors with which 68 % of the truths lie within one: of turns, and of ln spread.

    At each of :data:`madpipe.stills.network.design.BRIGHTNESSES` from the quarter of the images that are nearest in
    ln photons.
    """
    ratios = torch.cat([pulls(network, batch) for batch in batches]).abs()
    bright = torch.cat([photons_seen(batch.seen) for batch in batches]).log()
    factors = []
    for photons in BRIGHTNESSES:
        near = (bright - math.log(photons)).abs().argsort()[: max(1, len(bright) // 4)]
        turn, spread = (torch.quantile(one, _WITHIN) for one in (ratios[near, :3].flatten(), ratios[near, 3]))
        factors.append(torch.stack([turn, turn, turn, spread]))
    return torch.stack(factors).float()


def pulls(network: StartNetwork, batch: Batch) -> Float[Tensor, "image 4"]:
    """Truth less the hypothesis that favours it most, over its standard errors."""
    with torch.no_grad():
        answer = network(batch.seen, batch.told)
        apart = off(answer, batch.rotation, batch.ln_spread)
        best = ln_densities(answer, apart).argmax(1)
        which = torch.arange(len(best), device=best.device)
        errors = covariances(answer).diagonal(dim1=-2, dim2=-1).sqrt()
    return apart[which, best] / errors[which, best]
