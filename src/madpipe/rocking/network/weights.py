"""A trained network with the scan that it was trained for: one file, refused where it does not fit the curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.training import History
from madpipe.base.weights import half_of, load_trained, ready, save_trained
from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.network.design import CurveNetwork

_LAYOUT = "rocking 1"


@dataclass(frozen=True)
class TrainedCurveNetwork:
    """A network as it is kept."""

    config: RockingTrainConfig
    state: dict[str, Tensor]
    about: Mapping[str, Any]  # plain: fingerprint of the code, history of the training

    @classmethod
    def of(
        cls, network: CurveNetwork, config: RockingTrainConfig, code: str, history: History
    ) -> "TrainedCurveNetwork":
        """Take a network's weights, of which half the bits move no error by a hundredth of itself, and its training."""
        return cls(config, half_of(network), {"fingerprint": code, "history": history.validation()})

    def network(self) -> CurveNetwork:
        """Build the network, ready to answer."""
        return ready(CurveNetwork(self.config, torch.Generator()), self.state)


def take_weights(network: CurveNetwork, trained: TrainedCurveNetwork) -> None:
    """Let a network begin with the weights of a trained one.

    Raises
    ------
    InputError
        They are of another design.
    """
    given = trained.config
    try:
        network.load_state_dict(trained.network().state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"rocking.train.begin: shipped needs the design of madpipe's own weights (width {given.width}, blocks "
            f"{given.blocks}, pooling {given.pooling}, multi_task 0, {given.scan.points} points); got: {reason}; set "
            "these, or begin: fresh"
        ) from error


def save_network(path: str | Path, trained: TrainedCurveNetwork, *, process: Mapping[str, str] | None = None) -> None:
    """Write a trained network and who made it, whole or not at all, the same bytes for the same network."""
    save_trained(path, _LAYOUT, trained, trained.state, process, about=dict(trained.about))


def load_network(path: str | Path) -> TrainedCurveNetwork:
    """Read a trained network.

    Raises
    ------
    InputError
        No such file, not weights of this study, or tensors that its design does not have.
    """
    return load_trained(path, _LAYOUT, _made)


def _made(tensors: dict[str, Tensor], about: Mapping[str, Any]) -> TrainedCurveNetwork:
    """Make a network of what its file holds."""
    return TrainedCurveNetwork(RockingTrainConfig(**about["config"]), tensors, about["about"])
