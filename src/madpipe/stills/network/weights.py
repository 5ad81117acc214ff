"""A trained network: one file, refused where it is of another design."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from madpipe.base.errors import InputError, one_line
from madpipe.base.training import History
from madpipe.base.weights import half_of, load_trained, ready, save_trained
from madpipe.stills.config import StillsTrainConfig
from madpipe.stills.network.design import StartNetwork

_LAYOUT = "stills 2"  # 1 had one widening of the errors for all photons


@dataclass(frozen=True)
class TrainedStartNetwork:
    """A network as it is kept."""

    config: StillsTrainConfig
    state: dict[str, Tensor]
    about: Mapping[str, Any]  # plain: fingerprint of the code, history of the training

    @classmethod
    def of(cls, network: StartNetwork, config: StillsTrainConfig, code: str, history: History) -> "TrainedStartNetwork":
        """Take a network's weights, and how the training went."""
        return cls(config, half_of(network), {"fingerprint": code, "history": history.validation()})

    def network(self) -> StartNetwork:
        """Build the network, ready to answer."""
        return ready(StartNetwork(self.config, torch.Generator()), self.state)


def take_weights(network: StartNetwork, trained: TrainedStartNetwork) -> None:
    """Let a network begin with the weights of a trained one; its errors are widened anew.

    Raises
    ------
    InputError
        They are of another design.
    """
    given = trained.config
    try:
        network.load_state_dict({**trained.state, "widening": network.widening})
    except RuntimeError as error:
        raise InputError(
            f"stills.train.begin: shipped needs the design of madpipe's own weights (width {given.width}, hypotheses "
            f"{given.hypotheses}); got: {one_line(error)}; set these, or begin: fresh"
        ) from error


def save_network(path: str | Path, trained: TrainedStartNetwork, *, process: Mapping[str, str] | None = None) -> None:
    """Write a trained network and who made it, whole or not at all, the same bytes for the same network."""
    save_trained(path, _LAYOUT, trained, trained.state, process, about=dict(trained.about))


def load_network(path: str | Path) -> TrainedStartNetwork:
    """Read a trained network.

    Raises
    ------
    InputError
        No such file, not weights of this study, or tensors that its design does not have.
    """
    return load_trained(path, _LAYOUT, _made)


def _made(tensors: dict[str, Tensor], about: Mapping[str, Any]) -> TrainedStartNetwork:
    """Make a network of what its file holds."""
    return TrainedStartNetwork(StillsTrainConfig(**about["config"]), tensors, about["about"])
