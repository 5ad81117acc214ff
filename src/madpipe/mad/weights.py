"""A trained network with what it was trained for: one file, refused where it does not fit the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import log
from madpipe.base.training import load_tensors, save_tensors
from madpipe.mad.network import ARCHITECTURES, Network
from madpipe.mad.records import Stack

_KIND = "madpipe network weights"
_LAYOUT = 1
_NAMES = (
    "layout",
    "architecture",
    "energies_ev",
    "energy_shift_ev",
    "element",
    "edge",
    "f0_channel",
    "state",
    "error_photons",
    "errors",
    "dispersion",
    "config",
    "fingerprint",
)
_ROUNDING_EV = 0.05  # energies are written with this much rounding
_DISPERSION_MARGIN = 0.1  # electron, beyond what the network has seen


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as it is kept."""

    architecture: str
    energies_ev: tuple[float, ...]
    energy_shift_ev: tuple[float, float]  # common shifts of the energies that it was trained with
    element: str
    edge: str
    f0_channel: bool
    state: dict[str, Tensor]
    error_photons: Float[Tensor, "bin"]  # |F_T|^2 as the network answers it, rising [photon]
    errors: dict[str, Float[Tensor, "bin"]]  # rms error found on validation particles: moduli over r, phases in radian
    dispersion: Float[Tensor, "bound two energy"]  # least and largest f', f'' trained with [electron]
    config: dict[str, Any]  # of the training
    fingerprint: str  # of the code that trained it

    def network(self) -> Network:
        """Build the network, ready to answer."""
        network = Network(self.architecture, len(self.energies_ev), self.f0_channel, torch.Generator())
        network.load_state_dict(self.state)
        return network.eval()

    def check_fits(self, stack: Stack) -> None:
        """Refuse a stack that the network was not made for.

        Raises
        ------
        InputError
            Another element, another number of energies, other energies, or a list of reflections.
        """
        if stack.reflection is not None or len(stack.shape) not in (2, 3):
            raise InputError(
                f"the network needs frames or volumes; {stack.title!r} is a list of reflections; use `madpipe fit`"
            )
        if (stack.element, stack.edge) != (self.element, self.edge):
            raise InputError(
                f"these weights are for the {self.element} {self.edge} edge; the stack is at the "
                f"{stack.element} {stack.edge} edge; train on it (mad.train.element, .edge) or use `madpipe fit`"
            )
        trained, came = np.sort(self.energies_ev), np.sort(stack.energy)
        if len(trained) != len(came):
            raise InputError(
                f"these weights need {len(trained)} energies, {_in_words(trained)}; the stack has {len(came)}, "
                f"{_in_words(came)}; train on these (mad.train.energies_ev) or use `madpipe fit`"
            )
        low, high = self.energy_shift_ev
        shift = came - trained
        if shift.min() < low - _ROUNDING_EV or shift.max() > high + _ROUNDING_EV or np.ptp(shift) > _ROUNDING_EV:
            raise InputError(
                f"these weights need the energies {_in_words(trained)}, shifted by {low:g} to {high:g} eV together; "
                f"the stack has {_in_words(came)}; train on these (mad.train.energies_ev) or use `madpipe fit`"
            )
        self._warn_of_dispersion(stack)
        if stack.data_errors is not None:
            log.warning("the network takes intensities as photon counts; the stack states other errors: trust the fit")

    def _warn_of_dispersion(self, stack: Stack) -> None:
        """Say so where the stack's f', f'' are outside what was trained with: the R factor would not show it."""
        order = np.argsort(stack.energy)
        came = np.stack([stack.f_prime[order], stack.f_double_prime[order]])
        low, high = self.dispersion.numpy()
        beyond = np.maximum(low - came, came - high).max()
        if beyond > _DISPERSION_MARGIN:
            log.warning(
                "the stack's f', f'' (%s) lie up to %.2f electron outside those that the network was trained with; "
                "its answer is an extrapolation: trust the fit",
                stack.table,
                beyond,
            )


def save_network(path: str | Path, trained: TrainedNetwork) -> None:
    """Write a trained network, whole or not at all."""
    content = {name: getattr(trained, name) for name in _NAMES if name != "layout"}
    save_tensors(Path(path), {"layout": _LAYOUT, **content})


def load_network(path: str | Path) -> TrainedNetwork:
    """Read a trained network.

    Raises
    ------
    InputError
        No such file, not weights of madpipe, of an architecture unknown here, or tensors that it does not have.
    """
    content = load_tensors(Path(path), _KIND, _NAMES)
    if content["layout"] != _LAYOUT:
        raise InputError(f"{path}: needs layout {_LAYOUT}; it has {content['layout']}; train again")
    if content["architecture"] not in ARCHITECTURES:
        raise InputError(
            f"{path}: needs one of the architectures {', '.join(ARCHITECTURES)}; "
            f"it has {content['architecture']!r}; train one of these"
        )
    trained = TrainedNetwork(**{name: content[name] for name in _NAMES if name != "layout"})
    try:
        trained.network()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: needs the tensors of {trained.architecture}; got: {reason}; train again") from error
    return trained


def _in_words(energies: np.ndarray) -> str:
    """Energies as text."""
    return ", ".join(f"{energy:g}" for energy in energies) + " eV"
