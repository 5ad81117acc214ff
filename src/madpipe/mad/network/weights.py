"""A trained network with what it was trained for: one file, refused where it does not fit the data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.base.weights import load_trained, ready, save_trained, state_of
from madpipe.mad.config import TrainConfig
from madpipe.mad.measured.oversampling import oversampling_from, photons_of
from madpipe.mad.network.design import Network, build
from madpipe.mad.records import Stack

_LAYOUT = 3  # 3: two factors of the calibration, for 68 and 95 %
_STATE = "network."
_ROUNDING_EV = 1.05  # shift of the reference design's energies, and rounding
_SAMPLING_MARGIN = 1.25  # of the oversampling, whose estimate is as rough


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as it is kept."""

    config: TrainConfig
    state: dict[str, Tensor]
    calibration: dict[str, Tensor]  # see :mod:`madpipe.mad.network.calibration`
    fingerprint: str  # of the code that trained it
    about: dict[str, Any]  # plain: scores it was validated with

    @classmethod
    def of(cls, network: Network, config: TrainConfig, code: str) -> "TrainedNetwork":
        """Take a network's weights, its errors not calibrated yet."""
        return cls(config, state_of(network), {}, code, {})

    def network(self) -> Network:
        """Build the network, ready to answer."""
        return ready(build(self.config, torch.Generator()), self.state)

    def check_fits(self, stack: Stack, photons: Tensor | None = None) -> None:
        """Refuse a stack that the network was not made for.

        Parameters
        ----------
        stack:
            All of it, or some of its rows.
        photons:
            Of every point (:func:`madpipe.mad.measured.oversampling.photons_of`), where the stack is not all of it.

        Raises
        ------
        InputError
            A list of reflections, a dimension or a sampling that it was not trained on; for the reference design also
            another element or other energies.
        """
        if stack.reflection is not None or len(stack.shape) not in (2, 3):
            raise InputError(
                f"the network needs frames or volumes; {stack.title!r} is a list of reflections; use `madpipe fit`"
            )
        if len(stack.shape) == 3 and not (self.config.volumes and self.config.network == "frames"):
            raise InputError(
                "these weights were trained on frames only; the stack is a volume; train with mad.train.volumes > 0, "
                "take the shipped weights, or use `madpipe fit`"
            )
        if self.config.network == "unet_patches":
            self._check_energies(stack)
        self._check_sampling(photons_of(stack) if photons is None else photons)
        if stack.data_errors is not None:
            warn("the network takes intensities as photon counts; the stack states other errors: trust the fit")
        fewest = self.config.prior.energies[0]
        if self.config.network == "frames" and len(stack.energy) < fewest:
            warn(
                f"the network was trained on {fewest} energies or more; {len(stack.energy)} came, of which no half of "
                "the counts can judge an answer: its errors are not to be trusted; use `madpipe fit`"
            )

    def _check_sampling(self, photons: Tensor) -> None:
        """Refuse speckles finer or coarser than any seen in training, where the counts tell."""
        found = oversampling_from(photons)
        if found is None:
            return
        low, high = self.config.prior.oversampling
        if not low / _SAMPLING_MARGIN <= found <= high * _SAMPLING_MARGIN:
            raise InputError(
                f"these weights need an oversampling of {low:g} to {high:g}; the stack's speckles are sampled "
                f"{found:.1f} times as finely as their size requires; bin or crop the data, train with "
                "mad.train.prior.oversampling, or use `madpipe fit`"
            )

    def _check_energies(self, stack: Stack) -> None:
        """Refuse what the reference design has no channels for."""
        element, edge, _ = self.config.prior.edges[0]
        if (stack.element, stack.edge) != (element, edge):
            raise InputError(
                f"these weights are for the {element} {edge} edge; the stack is at the {stack.element} {stack.edge} "
                "edge; train on it (mad.train.prior.edges), take `network: frames`, or use `madpipe fit`"
            )
        trained, came = np.sort(self.config.energies_ev), np.sort(stack.energy)
        if len(trained) != len(came) or np.abs(came - trained).max() > _ROUNDING_EV:
            raise InputError(
                f"these weights need the energies {_in_words(trained)}; the stack has {_in_words(came)}; train on "
                "these (mad.train.energies_ev), take `network: frames`, or use `madpipe fit`"
            )

    def with_about(self, **facts: Any) -> "TrainedNetwork":
        """Add facts about the network."""
        return replace(self, about={**self.about, **facts})


def save_network(path: str | Path, trained: TrainedNetwork, *, process: Mapping[str, str] | None = None) -> None:
    """Write a trained network and who made it, whole or not at all, the same bytes for the same network."""
    tensors = {_STATE + name: tensor for name, tensor in trained.state.items()} | trained.calibration
    save_trained(path, _LAYOUT, trained, tensors, process, fingerprint=trained.fingerprint, about=trained.about)


def load_network(path: str | Path) -> TrainedNetwork:
    """Read a trained network.

    Raises
    ------
    InputError
        No such file, not weights of madpipe, of a design unknown here, or tensors that it does not have.
    """
    return load_trained(path, _LAYOUT, _made)


def _made(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> TrainedNetwork:
    """Make a network of what its file holds."""
    return TrainedNetwork(
        TrainConfig(**about["config"]),
        {name.removeprefix(_STATE): one for name, one in tensors.items() if name.startswith(_STATE)},
        {name: one for name, one in tensors.items() if not name.startswith(_STATE)},
        about["fingerprint"],
        about["about"],
    )


def _in_words(energies: np.ndarray) -> str:
    """Energies as text."""
    return ", ".join(f"{energy:g}" for energy in energies) + " eV"
