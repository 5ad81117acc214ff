"""Training of the network of events on simulated series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from madpipe.base import training
from madpipe.base.training import History, Schedule
from madpipe.kinetics.events.network.design import EventNetwork
from madpipe.kinetics.events.network.features import features_of
from madpipe.kinetics.events.network.loss import Batch, loss, marks_of
from madpipe.kinetics.events.network.settings import EventsTrainConfig
from madpipe.kinetics.simulate_events import EventPrior, EventSeries, draw_series


@dataclass(frozen=True)
class Seen:
    """A series as the network sees it, and its marks."""

    features: Tensor
    marks: Tensor


def seen_of(series: EventSeries, programme: bool) -> Seen:
    """Prepare a series."""
    frames = len(series.curves.intensity)
    return Seen(
        torch.from_numpy(features_of(series.curves, programme)), torch.from_numpy(marks_of(series.events, frames))
    )


def train(
    config: EventsTrainConfig, generator: torch.Generator, *, checkpoint: Path | None = None, code: str = ""
) -> tuple[EventNetwork, History]:
    """Train on series drawn before the first step.

    Parameters
    ----------
    config:
        Series, network, schedule.
    generator:
        Draws everything.
    checkpoint, code:
        See :func:`madpipe.base.training.train`.

    Raises
    ------
    InputError
        The training diverges, or the checkpoint is none.
    """
    name = training.name_of(config, generator, code)
    numbers = np.random.default_rng(int(torch.randint(1 << 62, (), generator=generator)))
    prior = EventPrior(frames=(80, config.frames))
    known = [seen_of(draw_series(numbers, prior), config.programme) for _ in range(config.series)]
    held = [seen_of(draw_series(numbers, prior), config.programme) for _ in range(config.validation_series)]
    network = EventNetwork(config, generator).float()
    batches = [together(held[place : place + config.batch]) for place in range(0, len(held), config.batch)]
    history = training.train(
        network,
        _drawing(known, config.batch),
        loss,
        batches,
        Schedule.of(config),
        generator,
        checkpoint=checkpoint,
        fingerprint=name,
        label="training",
    )
    return network.eval(), history


def _drawing(known: Sequence[Seen], count: int) -> Callable[[int, torch.Generator], Batch]:
    """Make what draws a batch."""

    def draw(_: int, generator: torch.Generator) -> Batch:
        places = torch.randint(len(known), (count,), generator=generator)
        return together([known[int(place)] for place in places])

    return draw


def together(series: Sequence[Seen]) -> Batch:
    """Fill series up to one length."""
    longest = max(one.features.shape[1] for one in series)
    shape = (len(series), series[0].features.shape[0], longest)
    seen, marks, there = torch.zeros(shape), torch.zeros(len(series), 2, longest), torch.zeros(len(series), longest)
    for place, one in enumerate(series):
        frames = one.features.shape[1]
        seen[place, :, :frames], marks[place, :, :frames], there[place, :frames] = one.features, one.marks, 1.0
    return Batch(seen.float(), marks.float(), there.float())
