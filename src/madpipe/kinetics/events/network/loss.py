"""Targets of the network, and its loss."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from madpipe.kinetics.simulate_events import TrueEvent

_NARROWEST, _SHARE = 0.7, 0.2  # width of a mark [frame]; of the frames until an ideal observer has seen the event


class Batch(NamedTuple):
    """Series of one length, filled up at the end."""

    seen: Float[Tensor, "series channel frame"]
    marks: Float[Tensor, "series 2 frame"]
    there: Float[Tensor, "series frame"]  # 0 where a series was filled up


def marks_of(events: tuple[TrueEvent, ...], frames: int) -> Float[np.ndarray, "2 frame"]:
    """Give 1 at each event, less beside it: steps in the first row, kinks in the second."""
    marks = np.zeros((2, frames), dtype=np.float32)
    place = np.arange(frames)
    for one in events:
        width = max(_NARROWEST, _SHARE * (one.seen - one.frame))
        row = 0 if one.kind == "step" else 1
        marks[row] = np.maximum(marks[row], np.exp(-0.5 * ((place - one.frame) / width) ** 2))
    return marks


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the marks, per event-like frame; frames that are surely none count less.

    References
    ----------
    Law & Deng, CornerNet, ECCV (2018), eq. 1 (the weighting).
    """
    logits = model(batch.seen)
    chance = torch.sigmoid(logits)
    at = batch.marks > 0.99
    missed = -(1 - chance).square() * nn.functional.logsigmoid(logits) * at
    false = -(1 - batch.marks).pow(4) * chance.square() * nn.functional.logsigmoid(-logits) * ~at
    each = (missed + false) * batch.there[:, None]
    value = each.sum() / at.sum().clamp(min=1)
    return value, {"marks": value}
