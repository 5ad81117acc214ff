"""Weights of a network with what it was trained for: one safetensors file, the same bytes for the same network."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file, require_memory
from madpipe.base.store import whole_file
from madpipe.base.training_config import TrainingConfig

_KEY = "madpipe"  # of the metadata: one key, as their order in the file is not fixed
Tensors = Mapping[str, Tensor]
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@runtime_checkable
class Trained(Protocol):
    """A trained network as a study keeps it."""

    @property
    def config(self) -> TrainingConfig:
        """What it was trained with, which says of what design it is."""

    def network(self) -> nn.Module:
        """Build the network, ready to answer; a RuntimeError where its weights are of another design."""


AnyTrained = TypeVar("AnyTrained", bound=Trained)


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Copy a network's weights, wherever it is."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def half_of(network: nn.Module) -> dict[str, Tensor]:
    """Copy a network's weights with half the bits, which makes half the file."""
    return {name: tensor.to(torch.float16) for name, tensor in state_of(network).items()}


def ready(network: AnyNetwork, state: Tensors) -> AnyNetwork:
    """Give a network its weights and make it ready to answer."""
    network.load_state_dict(state)
    return network.eval()


def save_trained(
    path: str | Path,
    layout: int | str,
    trained: Trained,
    tensors: Tensors,
    process: Mapping[str, str] | None,
    **facts: Any,
) -> None:
    """Write a trained network and who made it, whole or not at all, the same bytes for the same network.

    Parameters
    ----------
    path, layout:
        Where, and the study's own layout, which :func:`load_trained` asks for.
    trained:
        The network, whose configuration is written.
    tensors:
        All that there is of it in numbers, by name.
    process:
        Who made it.
    facts:
        What else JSON can hold of it.
    """
    about = {"layout": layout, "config": trained.config.model_dump(mode="json"), **facts}
    save_weights(path, tensors, about, process)


def load_trained(
    path: str | Path, layout: int | str, made: Callable[[dict[str, Tensor], dict[str, Any]], AnyTrained]
) -> AnyTrained:
    """Read what :func:`save_trained` wrote, and see that it makes a network.

    Parameters
    ----------
    path, layout:
        As they were written.
    made:
        Makes the study's record of the tensors and the facts, ``config`` among them.

    Raises
    ------
    InputError
        No such file, weights of another layout, a design unknown here, or tensors that it does not have.
    """
    tensors, about = load_weights(path, layout)
    try:
        trained = made(tensors, about)
        trained.network()
    except (RuntimeError, KeyError, TypeError, AttributeError, ValidationError) as error:
        reason = one_line(error)
        raise InputError(f"{path}: needs the tensors of its own design; got: {reason}; train again.") from error
    return trained


def save_weights(
    path: str | Path, tensors: Tensors, about: Mapping[str, Any], process: Mapping[str, str] | None = None
) -> None:
    """Write weights with plain facts about them, whole or not at all.

    Parameters
    ----------
    path:
        Ends in .safetensors.
    tensors:
        By name.
    about:
        What JSON can hold; must contain ``layout``.
    process:
        Who made it.
    """
    whole = {**about, **({"process": dict(process)} if process is not None else {})}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    content = save(contiguous, {_KEY: json.dumps(whole, sort_keys=True)})
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(content)


def load_weights(path: str | Path, layout: int | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_weights` wrote: tensors by name, and the facts.

    Raises
    ------
    InputError
        No such file, no safetensors, or weights of another layout.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: needs existing network weights; there are none; check the path, or train.")
    require_file(path)
    require_memory(str(path), path.stat().st_size)
    try:
        with safe_open(path, "pt") as opened:
            about = json.loads((opened.metadata() or {}).get(_KEY, "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: needs complete network weights (safetensors); got: {one_line(error)}; train again."
        ) from error
    came = about.get("layout") if isinstance(about, dict) else None
    if came != layout:
        raise InputError(f"{path}: needs madpipe weights of layout {layout}; it has {came}; train again.")
    odd = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if odd:
        raise InputError(f"{path}: needs finite weights; {odd[0]} holds NaN or infinity; train again.")
    return tensors, about
