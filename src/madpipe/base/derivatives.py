"""Derivatives along directions."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def along(
    function: Callable[[Tensor], Sequence[Tensor]], place: Tensor, direction: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Give a function's values at a place and their derivatives along a direction.

    Two backward passes, the second of the first's: for small tensors several times quicker than forward mode, which
    goes through Python.

    Parameters
    ----------
    function:
        From one tensor to several.
    place, direction:
        Of one shape.
    """
    at = place.detach().requires_grad_()
    with torch.enable_grad():
        values = list(function(at))
        moving = [one for one in values if one.requires_grad]
        weights = [torch.zeros_like(one, requires_grad=True) for one in moving]
        (back,) = torch.autograd.grad(moving, at, weights, create_graph=True)
    found = dict(
        zip(map(id, moving), torch.autograd.grad(back, weights, direction, materialize_grads=True), strict=True)
    )
    return [one.detach() for one in values], [found.get(id(one), torch.zeros_like(one)).detach() for one in values]
