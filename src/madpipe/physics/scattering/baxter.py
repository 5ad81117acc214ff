r"""Baxter's factor function of a fluid of spheres: moments of exponentials, and the structure factor that follows.

Lengths are in diameters, :math:`x` is q times the diameter. For r < 1 the factor function is a parabola and a rest,
:math:`Q(r) = a (r^2 - 1)/2 + b (r - 1) + \ldots`, and

.. math:: S(q) = 1 / |\hat Q(x)|^2, \quad \hat Q(x) = 1 - 12 \eta \int_0^\infty e^{i x r} Q(r)\, dr

References
----------
Baxter, Aust. J. Phys. 21, 563 (1968).
"""

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

_SMALL = 2.0  # |w|, below which closed forms of the moments lose digits; so many nodes are exact to rounding there
_NODES, _WEIGHTS = (torch.from_numpy(one) / 2 for one in np.polynomial.legendre.leggauss(14))


def moments(
    w: Complex[Tensor, "*shape"],
) -> tuple[Complex[Tensor, "*shape"], Complex[Tensor, "*shape"], Complex[Tensor, "*shape"]]:
    r"""Integrals :math:`\int_0^1 r^n e^{w r} dr` for n = 0, 1, 2.

    Closed forms; below \|w\| = 2, where they lose digits, Gauss and Legendre's quadrature of 14 nodes.
    """
    small = w.abs() < _SMALL
    safe = torch.where(small, _SMALL, w)
    edge = torch.exp(safe)
    zeroth = (edge - 1) / safe
    first = (edge - zeroth) / safe
    second = (edge - 2 * first) / safe
    nodes, weights = _NODES.to(w.real) + 0.5, _WEIGHTS.to(w.real)
    near = weights * torch.exp(torch.where(small, w, 0.0)[..., None] * nodes)
    sums = (near.sum(-1), (near * nodes).sum(-1), (near * nodes.square()).sum(-1))
    return tuple(torch.where(small, one, far) for one, far in zip(sums, (zeroth, first, second), strict=True))  # type: ignore[return-value]


def parabola(
    w: Complex[Tensor, "*shape"], a: Float[Tensor, "*#shape"], b: Float[Tensor, "*#shape"]
) -> Complex[Tensor, "*shape"]:
    r"""Integral :math:`\int_0^1 e^{w r} [a (r^2 - 1)/2 + b (r - 1)] dr`."""
    zeroth, first, second = moments(w)
    return a * (second - zeroth) / 2 + b * (first - zeroth)


def structure_factor(eta: Float[Tensor, "*#shape"], transform: Complex[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]:
    r"""Structure factor :math:`1 / |1 - 12 \eta \hat q|^2` of the factor function's transform."""
    factor = 1 - 12 * eta * transform
    return 1 / (factor.real.square() + factor.imag.square())


def imaginary(x: Float[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """Exponent i x of a transform."""
    return torch.complex(torch.zeros_like(x), x)
