"""Events where the network's marks have a peak."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.kinetics.events.network.design import EventNetwork
from madpipe.kinetics.events.network.features import features_of

_APART = 4  # frames on either side of which a peak is the highest


@dataclass(frozen=True)
class Mark:
    """A frame that the network takes for an event."""

    frame: int
    kind: str
    probability: float


def marks_by(network: EventNetwork, curves: Curves, programme: bool, threshold: float) -> list[Mark]:
    """Mark the events of a series.

    Parameters
    ----------
    programme:
        As in the network's training.
    threshold:
        Least probability.
    """
    with torch.no_grad():
        logits = network(torch.from_numpy(features_of(curves, programme))[None].float())[0]
    return peaks_of(torch.sigmoid(logits).numpy(), threshold)


def peaks_of(chances: Float[np.ndarray, "2 frame"], threshold: float) -> list[Mark]:
    """Take the peaks of the larger of both chances."""
    either = chances.max(axis=0)
    found: list[Mark] = []
    for frame in np.flatnonzero(either >= threshold):
        near = either[max(frame - _APART, 0) : frame + _APART + 1]
        if either[frame] == near.max() and not (found and frame - found[-1].frame <= _APART):
            kind = "step" if chances[0, frame] >= chances[1, frame] else "kink"
            found.append(Mark(int(frame), kind, float(either[frame])))
    return found
