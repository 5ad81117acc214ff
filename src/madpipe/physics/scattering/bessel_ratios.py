"""Amplitudes of a slab, a disc and a ball: Bessel functions over their argument, exact near zero, differentiable."""

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import j0, j1
from torch import Tensor
from torch.autograd.function import FunctionCtx

_NEAR = 0.5  # below it the series: closed forms lose eps/x^2 there, and more in their derivatives
_TERMS = range(8)  # the ninth is below 1e-17 at _NEAR
_SLAB = [(-1) ** k / factorial(2 * k + 1) for k in _TERMS]
_DISC = [(-0.25) ** k / (factorial(k) * factorial(k + 1)) for k in _TERMS]
_BALL = [3 * (-1) ** k * (2 * k + 2) / factorial(2 * k + 3) for k in _TERMS]


def slab_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    r"""Amplitude of a slab of half thickness x/q along its normal.

    .. math:: j_0(x) = \sin x / x

    Parameters
    ----------
    x:
        q times the half thickness [1]; any sign.

    Returns
    -------
    :
        [1], 1 at x = 0; exact to a few units in the last place of its envelope 1/x.
    """
    return _even(x, lambda far: far.sin() / far, _SLAB)


def disc_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    r"""Amplitude of a thin disc of radius x/q in its plane.

    .. math:: 2 J_1(x) / x

    Parameters
    ----------
    x:
        q times the radius [1]; any sign.

    Returns
    -------
    :
        [1], 1 at x = 0; absolute error 1e-15 of its envelope.
    """
    return _even(x, lambda far: 2 * bessel_j1(far) / far, _DISC)


def ball_amplitude(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    r"""Amplitude of a ball of radius x/q.

    .. math:: 3 j_1(x) / x = 3 (\sin x - x \cos x) / x^3

    Parameters
    ----------
    x:
        q times the radius [1]; any sign.

    Returns
    -------
    :
        [1], 1 at x = 0.

    References
    ----------
    Rayleigh, Proc. R. Soc. A 84, 25 (1911).
    """
    return _even(x, lambda far: 3 * (far.sin() - far * far.cos()) / (far * far * far), _BALL)


def bessel_j0(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Bessel function of the first kind and order 0, which torch itself does not differentiate."""
    given: Float[Tensor, "*any"] = _J0.apply(x)  # type: ignore[no-untyped-call]
    return given


def bessel_j1(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Bessel function of the first kind and order 1, which torch itself does not differentiate."""
    given: Float[Tensor, "*any"] = _J1.apply(x)  # type: ignore[no-untyped-call]
    return given


def _even(x: Tensor, closed: Callable[[Tensor], Tensor], series: list[float]) -> Tensor:
    """Closed form far from zero, a series in x^2 near it; neither branch spoils the other's derivative."""
    near = x.abs() < _NEAR
    if not bool(near.any()):
        return closed(x)
    square = torch.where(near, x, 0.0).square()
    summed = torch.full_like(square, series[-1])
    for coefficient in reversed(series[:-1]):
        summed = summed * square + coefficient
    return torch.where(near, summed, closed(torch.where(near, _NEAR, x)))


def _keep(ctx: Any, inputs: tuple[Tensor, ...]) -> None:
    """Keep the argument for both directions of differentiation."""
    ctx.save_for_backward(*inputs)
    ctx.save_for_forward(*inputs)


class _J0(torch.autograd.Function):
    """J0' = -J1."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _on_numbers(j0, x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -grad * bessel_j1(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return -tangent * bessel_j1(ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return bessel_j0(x), in_dims[0]


class _J1(torch.autograd.Function):
    """J1' = J0 - J1/x."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _on_numbers(j1, x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * _slope_of_j1(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent * _slope_of_j1(ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return bessel_j1(x), in_dims[0]


def _on_numbers(function: Callable[[np.ndarray], np.ndarray], x: Tensor) -> Tensor:
    """Scipy's function: torch 2.13's own are wrong by 1e-6 near x = 5."""
    return torch.from_numpy(np.asarray(function(x.detach().cpu().numpy()))).to(x)


def _slope_of_j1(x: Tensor) -> Tensor:
    """Derivative of J1, 1/2 at zero."""
    at_zero = x == 0
    return torch.where(at_zero, 0.5, bessel_j0(x) - bessel_j1(x) / torch.where(at_zero, 1.0, x))
