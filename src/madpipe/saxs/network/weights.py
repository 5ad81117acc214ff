"""A trained network with its calibration and what it was trained with: one file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from madpipe.base.training import History
from madpipe.base.weights import half_of, load_trained, ready, save_trained, state_of
from madpipe.saxs.network.classes import CLASSES
from madpipe.saxs.network.design import ShapeNetwork
from madpipe.saxs.network.foreign_head import ForeignHead
from madpipe.saxs.network.novelty import Calibration
from madpipe.saxs.network.settings import SaxsTrainConfig

_LAYOUT = "saxs 1"
_CALIBRATION, _FOREIGN = "calibration.", "foreign."
_NO_CLASS = 1e30  # mean of a class without a curve, as files have it
_EXACT = ("centre", "unit")  # of the parameters, with all their bits


@dataclass(frozen=True)
class TrainedShapeNetwork:
    """A network as it is kept."""

    config: SaxsTrainConfig
    state: dict[str, Tensor]
    calibration: Calibration
    foreign: dict[str, Tensor]  # of the head that tells foreign curves
    about: Mapping[str, Any]  # plain: fingerprint of the code, history of the training

    @classmethod
    def of(
        cls,
        network: ShapeNetwork,
        head: ForeignHead,
        calibration: Calibration,
        config: SaxsTrainConfig,
        code: str,
        history: History,
    ) -> "TrainedShapeNetwork":
        """Take a network's weights with half the bits, its calibration with single precision, and its training."""
        state = half_of(network)
        state.update({name: getattr(network, name).detach().cpu().clone() for name in _EXACT})
        kept = Calibration(*(one.float().double() for one in calibration))  # as it comes back from a file
        return cls(config, state, kept, state_of(head), {"fingerprint": code, "history": history.validation()})

    def network(self) -> ShapeNetwork:
        """Build the network, ready to answer."""
        network = ShapeNetwork(self.config.width, self.config.blocks, torch.Generator()).float()
        return ready(network, self.state)

    def foreign_head(self) -> ForeignHead:
        """Build the head that tells foreign curves."""
        features = len(self.foreign["centre"]) - len(CLASSES)
        return ready(ForeignHead(features, torch.Generator()), self.foreign)


def save_network(path: str | Path, trained: TrainedShapeNetwork, *, process: Mapping[str, str] | None = None) -> None:
    """Write a trained network and who made it, whole or not at all, the same bytes for the same network."""
    kept = trained.calibration._asdict()
    kept["means"] = torch.nan_to_num(kept["means"], posinf=_NO_CLASS)
    tensors = {**trained.state, **{_CALIBRATION + name: tensor.float() for name, tensor in kept.items()}}
    tensors.update({_FOREIGN + name: tensor for name, tensor in trained.foreign.items()})
    save_trained(path, _LAYOUT, trained, tensors, process, about=dict(trained.about))


def load_network(path: str | Path) -> TrainedShapeNetwork:
    """Read a trained network.

    Raises
    ------
    InputError
        No such file, not weights of this study, or tensors that its design does not have.
    """
    return load_trained(path, _LAYOUT, _made)


def _made(tensors: dict[str, Tensor], about: Mapping[str, Any]) -> TrainedShapeNetwork:
    """Make a network of what its file holds."""
    kept = [tensors.pop(_CALIBRATION + name).double() for name in Calibration._fields]
    calibration = Calibration(*kept)
    foreign = {name.removeprefix(_FOREIGN): tensors.pop(name) for name in list(tensors) if name.startswith(_FOREIGN)}
    means = torch.where(calibration.means >= _NO_CLASS, torch.inf, calibration.means)
    config = SaxsTrainConfig(**about["config"])
    return TrainedShapeNetwork(config, tensors, calibration._replace(means=means), foreign, about["about"])
