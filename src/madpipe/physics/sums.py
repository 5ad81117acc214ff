"""Sums over a few components, term by term: a library's may give a point other last bits with other neighbours.

So a fit of a part of a volume equals the part of the fit of all of it, to the bit.
"""

from collections.abc import Iterable
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor


def added(columns: Iterable[Tensor]) -> Tensor:
    """Sum over the first axis, from the first to the last."""
    return reduce(torch.add, columns)


def times(
    matrix: Float[Tensor, "row column #point"], columns: Float[Tensor, "column point"]
) -> Float[Tensor, "row point"]:
    """Product of one matrix, or of one for each point, with columns; terms from the first column's to the last's."""
    first, *rest = matrix.unbind(1)
    product = first * columns[0]
    for factor, column in zip(rest, columns[1:], strict=True):
        product.addcmul_(factor, column)
    return product
