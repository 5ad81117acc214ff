"""Training of the network: a table of smooth curves, measured anew in every step, one loop, then the calibration."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from madpipe.base import training
from madpipe.base.runtime import generator_for, log, require_threads
from madpipe.base.training import History, Schedule
from madpipe.saxs.network.classes import CLASSES, NAMES
from madpipe.saxs.network.design import ShapeNetwork
from madpipe.saxs.network.foreign_head import ForeignHead, told, train_head
from madpipe.saxs.network.loss import Loss
from madpipe.saxs.network.novelty import Calibration, calibrated
from madpipe.saxs.network.pretraining import pretrain
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import draw
from madpipe.saxs.network.table import Table, simulated_table
from madpipe.saxs.network.weights import TrainedShapeNetwork

_OTHERS = 10  # a table of this share of the training's, 1 in so many, serves validation and calibration
_STANDARD = 8192  # curves that centres and units of the parameters come from
_CHUNK = 256


def run(
    config: Mapping[str, Any], *, seed: int, checkpoint: Path | None, code: str
) -> tuple[TrainedShapeNetwork, History]:
    """Train as the workflow does: a section of the configuration in plain values, a generator of the job's own name."""
    section = SaxsTrainConfig(**config)
    return train_and_keep(section, generator_for(seed, "saxs_train"), checkpoint=checkpoint, code=code)


def train_and_keep(
    config: SaxsTrainConfig,
    generator: torch.Generator,
    *,
    checkpoint: Path | None = None,
    code: str = "",
    tables: tuple[Table, Table] | None = None,
) -> tuple[TrainedShapeNetwork, History]:
    """Train a network, calibrate it on other draws, and give it as it is kept.

    Parameters
    ----------
    config:
        Curves, network, loss, schedule.
    generator:
        Draws everything; the result is the same to the bit on one machine with one number of threads.
    checkpoint:
        Where to keep the state, and to go on from; see :func:`madpipe.base.training.train`.
    code:
        Fingerprint of the code; a checkpoint of other code is not gone on from.
    tables:
        Smooth curves for the training and for validation and calibration, where they are at hand; else simulated.

    Raises
    ------
    InputError
        The training diverges, no checkpoint of a training, or torch runs with another number of threads.
    """
    require_threads(config.threads)
    name = training.name_of(config, generator, code)
    own, others = tables or tables_of(config, generator)
    network = ShapeNetwork(config.width, config.blocks, generator).float()
    sample = draw(own, config, _STANDARD, generator)
    network.standardise(sample.truth, sample.label)
    if config.pretraining:
        pretrain(network, own, config, generator)
    own = with_known_class(own, config.known, generator)
    log.info("%d weights, %d smooth curves", sum(p.numel() for p in network.parameters()), len(own.label))
    batches = [draw(others, config, _CHUNK, generator) for _ in range(math.ceil(config.validation_curves / _CHUNK))]
    history = training.train(
        network,
        lambda _, step: draw(own, config, config.batch, step),
        Loss(config),
        batches,
        Schedule.of(config),
        generator,
        checkpoint=checkpoint,
        fingerprint=name,
        label="training",
    )
    head = train_head(network.eval(), own, config, generator)
    calibration = calibrate(network, head, others, config, generator)
    return TrainedShapeNetwork.of(network, head, calibration, config, code, history), history


def tables_of(config: SaxsTrainConfig, generator: torch.Generator) -> tuple[Table, Table]:
    """Simulate the smooth curves of a training and those of its validation, without the classes that are left out."""
    names = tuple(one for one in NAMES if one not in config.left_out)
    own = simulated_table(config.table, generator, names)
    return own, simulated_table(max(config.table // _OTHERS, 16), generator, names)


def with_known_class(table: Table, known: int | None, generator: torch.Generator) -> Table:
    """Give the curves whose class is told: so many random ones, or all."""
    if known is None:
        return table
    pick = torch.randperm(len(table.label), generator=generator)[:known]
    return Table(*(one[pick] for one in table))


def calibrate(
    network: ShapeNetwork, head: ForeignHead, table: Table, config: SaxsTrainConfig, generator: torch.Generator
) -> Calibration:
    """Calibrate a network and its head on curves that no training saw."""
    found = []
    with torch.no_grad():
        for _ in range(math.ceil(config.calibration_curves / _CHUNK)):
            example = draw(table, config, _CHUNK, generator)
            answer = network(example.seen)
            found.append((answer.common, answer.logits, example.label, head(told(answer))))
    features, logits, label, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
    return calibrated(features, logits, label, len(CLASSES), scores)
