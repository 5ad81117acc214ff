"""Weights of a network with what it was trained for: one safetensors file, the same bytes for the same network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.store import whole_file

_KEY = "madpipe"  # of the metadata: one key, as their order in the file is not fixed
Tensors = Mapping[str, Tensor]


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
    if not path.is_file():
        raise InputError(f"{path}: needs existing network weights; there are none; check the path, or train")
    try:
        with safe_open(path, "pt") as opened:
            about = json.loads((opened.metadata() or {}).get(_KEY, "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: needs complete network weights (safetensors); got: {reason}; train again") from error
    if about.get("layout") != layout:
        raise InputError(f"{path}: needs madpipe weights of layout {layout}; it has {about.get('layout')}; train again")
    return tensors, about
