"""What a network says of the unknowns of each point before its counts do; and symmetric 3x3 matrices of points.

A symmetric matrix is its six entries xx, xa, xb, aa, ab, bb, component first: (6, point).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

DEGREES = 4.0  # of freedom of a prediction's tails: where data and prediction disagree, the data win
_TINY = 1e-12  # of a pivot: rounding must not make it negative


class Belief(NamedTuple):
    """Student's t distribution of the three unknowns of each point."""

    mean: Float[Tensor, "3 point"]  # x, a, b
    precision: Float[Tensor, "6 point"]  # inverse scale matrix
    circle: Float[Tensor, "point"] | None = None  # sin^2 + cos^2 as answered, where they are

    def part(self, which: slice | Int[Tensor, "kept"]) -> "Belief":
        """Give some of the points."""
        return Belief(self.mean[:, which], self.precision[:, which])

    def strength(self, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "point"]:
        """What the precision counts for at some unknowns: 1 + 3/DEGREES at the mean, ever less far from it."""
        return (DEGREES + 3) / (DEGREES + quadratic(self.precision, theta - self.mean))

    @torch.no_grad()
    def nearer(self, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
        """Give unknowns the sign that is nearer the mean: x, a, b and -x, -a, -b are the same structure factors."""
        plus, minus = (quadratic(self.precision, self.mean - sign * theta) for sign in (1, -1))
        return torch.where(minus < plus, -theta, theta)


def quadratic(matrix: Float[Tensor, "6 point"], vector: Float[Tensor, "3 point"]) -> Float[Tensor, "point"]:
    """Give v'Mv."""
    xx, xa, xb, aa, ab, bb = matrix
    x, a, b = vector
    return xx * x * x + aa * a * a + bb * b * b + 2 * (xa * x * a + xb * x * b + ab * a * b)


def product(matrix: Float[Tensor, "6 point"], vector: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Give Mv."""
    xx, xa, xb, aa, ab, bb = matrix
    x, a, b = vector
    return torch.stack([xx * x + xa * a + xb * b, xa * x + aa * a + ab * b, xb * x + ab * a + bb * b])


def log_determinant(matrix: Float[Tensor, "6 point"]) -> Float[Tensor, "point"]:
    """Logarithm of the determinant of positive matrices, from the pivots of their elimination."""
    xx, xa, xb, aa, ab, bb = matrix
    below, last = xa / xx, xb / xx
    second = (aa - below * xa).clamp(min=_TINY)
    cross = ab - last * xa
    third = (bb - last * xb - cross * cross / second).clamp(min=_TINY)
    return xx.log() + second.log() + third.log()
