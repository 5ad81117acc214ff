"""Training of the network: curves of the prior, measured anew in every step, one loop."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from madpipe.base import training
from madpipe.base.provenance import file_digest
from madpipe.base.runtime import device, generator_for, log, reproducible, require_threads, rounding
from madpipe.base.shipped import shipped_weights
from madpipe.base.training import History, Schedule
from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.fit.information import Pool
from madpipe.rocking.network.design import CurveNetwork
from madpipe.rocking.network.exposures import Exposures, curves_at
from madpipe.rocking.network.loss import Loss
from madpipe.rocking.network.weights import TrainedCurveNetwork, load_network, take_weights
from madpipe.rocking.profiles import draw_implanted
from madpipe.rocking.simulate.scan import Setup

_POOL = 400  # layers whose information is measured
_THINNED = 3  # every so many angles are compared in a reconstruction


def run(
    config: Mapping[str, Any], *, seed: int, checkpoint: Path | None, code: str
) -> tuple[TrainedCurveNetwork, History]:
    """Train as the workflow does: a section of the configuration in plain values, a generator of the job's own name."""
    section = RockingTrainConfig(**config)
    return train_and_keep(section, generator_for(seed, "rocking_train"), checkpoint=checkpoint, code=code)


def train_and_keep(
    config: RockingTrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[TrainedCurveNetwork, History]:
    """Train a network, see :func:`train`, and give it as it is kept."""
    network, history = train(config, generator, checkpoint=checkpoint, code=code)
    return TrainedCurveNetwork.of(network, config, code, history), history


def train(
    config: RockingTrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[CurveNetwork, History]:
    """Train a network on curves drawn on the fly.

    Parameters
    ----------
    config:
        Scan, curves, network, loss, schedule.
    generator:
        Draws first weights, layers, noise: everything random here. The result is the same to the bit on one machine
        with one number of threads.
    checkpoint:
        Where to keep the state, and to go on from; see :func:`madpipe.base.training.train`.
    code:
        Fingerprint of the code; a checkpoint of other code is not gone on from.

    Returns
    -------
    :
        The network of the least validation loss, and the history of the training.

    Raises
    ------
    InputError
        Unknown crystal, no checkpoint of a training, the training diverges, torch runs with another number of
        threads than the configuration's, or madpipe's own weights are of another design.
    """
    require_threads(config.threads)
    if config.begin == "shipped":
        code += file_digest(shipped_weights("rocking"))
    name = training.name_of(config, generator, code)
    place = device()
    pool = _pool(config, generator)
    source = Exposures(config, place, pool)
    network = CurveNetwork(config, generator)
    if config.begin == "shipped":
        take_weights(network, load_network(shipped_weights("rocking")))
    network = network.to(place)
    log.info("%d weights, %d curves a step", sum(p.numel() for p in network.parameters()), config.batch)
    batches = [
        source.measured(draw_implanted(config.batch, generator), config.steps, generator)
        for _ in range(math.ceil(config.validation_curves / config.batch))
    ]
    loss = _loss(config, source, pool)
    with reproducible() if config.precision == "full" else rounding():
        history = training.train(
            network,
            source.draw,
            lambda model, batch: loss(model(batch.seen), batch),
            batches,
            Schedule.of(config),
            generator,
            checkpoint=checkpoint,
            fingerprint=name,
            label="training",
        )
    return network.eval(), history


def _pool(config: RockingTrainConfig, generator: torch.Generator) -> Pool | None:
    """Layers with their information, where a remedy needs them."""
    if not config.sensitive_share and config.sensitivity == "even":
        return None
    counts, floor = (math.sqrt(math.prod(ends)) for ends in (config.peak_counts, config.background))
    return Pool(Setup(config.scan, "training"), _POOL, counts, floor, generator)


def _loss(config: RockingTrainConfig, source: Exposures, pool: Pool | None) -> Loss:
    """The loss, with what its terms need."""
    weights = torch.ones(7)
    if config.sensitivity != "even" and pool is not None:
        weights = pool.sensitivity() if config.sensitivity == "measured" else 1 / pool.sensitivity()
        weights = weights / weights.mean()
    setup = source.setup
    curves = curves_at(setup.theta[::_THINNED], setup, source.place)
    return Loss(config, weights.to(source.place), curves)
