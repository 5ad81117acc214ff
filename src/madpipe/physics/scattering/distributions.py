"""Distributions of a size by mean and relative width: densities, and quadrature that follows width and oscillation."""

from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.physics.scattering.orientation import legendre_rule, rounded_up

Distribution = Literal["gaussian", "schulz", "lognormal", "uniform"]
DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)

_STIRLING = 30.0  # beyond it the series of ln Gamma, which does not cancel
_NEWTON_STEPS = 6  # of the quantiles, which need a percent
_WIDE = 0.45  # Schulz densities wider than it rise from 0 by a broken power: nodes crowd there
_LOG_PHASE, _LOG_STEP = 6.0, 0.27  # largest phase and length of a step in the lognormal's own coordinate


@dataclass(frozen=True)
class Limits:
    """Where a distribution is cut for quadrature, in units of the mean."""

    low: Float[Tensor, "point"]
    high: Float[Tensor, "point"]


def density(
    kind: Distribution, x: Float[Tensor, "point node"], width: Float[Tensor, "point"]
) -> Float[Tensor, "point node"]:
    r"""Number density of a size relative to its mean.

    Parameters
    ----------
    kind:
        - gaussian: mean and standard deviation of the whole Gaussian; it is cut at 0 and scaled back to 1.
        - schulz: :math:`k^k x^{k-1} e^{-kx} / \Gamma(k)`, :math:`k = 1/p^2`.
        - lognormal: of ln x with variance :math:`\ln(1 + p^2)`, so that mean and width are those of x itself (sasmodels
          takes the median and the width of ln x instead).
        - uniform: between :math:`1 \pm \sqrt{3} p`, cut at 0.
    x:
        Size / mean, > 0 [1].
    width:
        p, standard deviation / mean, > 0 [1].

    Returns
    -------
    :
        [1]; its integral over x > 0 is 1.

    References
    ----------
    Kotlarchyk and Chen, J. Chem. Phys. 79, 2461 (1983), eq. 33 (Schulz).
    """
    p = width[:, None]
    if kind == "gaussian":
        inside: Tensor = torch.special.ndtr(1 / p)
        return torch.exp(-0.5 * ((x - 1) / p) ** 2) / (sqrt(2 * pi) * p * inside)
    if kind == "schulz":
        k = p**-2
        step = x - 1
        return torch.exp(k * (torch.log1p(step) - step) - x.log() + _log_normalisation(k))
    if kind == "lognormal":
        variance = torch.log1p(p**2)
        return torch.exp(-0.5 * (x.log() + variance / 2) ** 2 / variance) / (x * (2 * pi * variance).sqrt())
    low, high = (1 - sqrt(3) * p).clamp(min=0), 1 + sqrt(3) * p
    return torch.where((x >= low) & (x <= high), 1 / (high - low), 0.0)


def limits(kind: Distribution, width: Float[Tensor, "point"], growth: float, tolerance: float) -> Limits:
    r"""Cut a distribution where what is beyond is negligible.

    Parameters
    ----------
    kind, width:
        As for `density`.
    growth:
        m such that what is averaged grows as :math:`x^m` at most: the tail is judged with it.
    tolerance:
        Share of the integral that may be lost beyond each limit.

    Returns
    -------
    :
        Without a gradient.
    """
    p, depth = width.detach(), sqrt(2 * log(1 / tolerance))
    if kind == "gaussian":
        high = (1 + (1 + 4 * growth * p**2).sqrt()) / 2 + depth * p
        return Limits((1 - depth * p).clamp(min=0), high)
    if kind == "schulz":
        k = p**-2
        low = _gamma_quantile(depth**2 / 2 / k, upper=False)
        return Limits(low, _gamma_quantile(depth**2 / 2 / (k + growth), upper=True) * (k + growth) / k)
    if kind == "lognormal":
        variance = torch.log1p(p**2)
        deviation = variance.sqrt()
        low = torch.exp(-variance / 2 - depth * deviation)
        return Limits(low, torch.exp((growth - 0.5) * variance + depth * deviation))
    return Limits((1 - sqrt(3) * p).clamp(min=0), 1 + sqrt(3) * p)


def node_counts(
    kind: Distribution, width: Float[Tensor, "point"], cut: Limits, phase: Float[Tensor, "point"], tolerance: float
) -> Int[Tensor, "point"]:
    r"""Nodes that `nodes_and_weights` needs.

    Parameters
    ----------
    kind, width, tolerance:
        As for `limits`.
    cut:
        From `limits`.
    phase:
        :math:`\kappa` such that the amplitude oscillates as :math:`\exp(i \kappa x)` at most [rad].
    """
    depth = sqrt(2 * log(1 / tolerance))
    if kind == "lognormal":
        low, high = _log_coordinate(cut.low, width, phase), _log_coordinate(cut.high, width, phase)
        return rounded_up((high - low) / (_LOG_STEP * 6.4 / depth) + 1)
    turns = phase * (cut.high - cut.low) / 2
    smooth = 10.0 if kind == "uniform" else 10 + 2.7 * depth
    wanted = smooth + 1.05 * turns + 3 * turns ** (1 / 3)
    return rounded_up(torch.where(width > _WIDE, 2 * wanted, wanted) if kind == "schulz" else wanted)


def nodes_and_weights(
    kind: Distribution, width: Float[Tensor, "point"], cut: Limits, phase: Float[Tensor, "point"], count: int
) -> tuple[Float[Tensor, "point node"], Float[Tensor, "point node"]]:
    """Sizes relative to the mean, and weights that sum to the share of particles within the limits.

    Parameters
    ----------
    kind, width, cut, phase:
        As for `node_counts`.
    count:
        Nodes, at least.

    Returns
    -------
    :
        Nodes stay where they are when the width is differentiated, but for the uniform distribution, whose ends move:
        the gradient flows through the weights.
    """
    place, share = (torch.as_tensor(part, dtype=width.dtype, device=width.device) for part in legendre_rule(count))
    if kind == "uniform":
        low, high = (1 - sqrt(3) * width).clamp(min=0)[:, None], (1 + sqrt(3) * width)[:, None]
        return low + (high - low) * place, share.expand(len(width), len(share))
    if kind == "lognormal":
        x, step = _log_nodes(width.detach(), cut, phase, count)
        return x, step * density(kind, x, width)
    low, span = cut.low[:, None], (cut.high - cut.low)[:, None]
    if kind == "schulz":
        power = torch.where(width.detach() > _WIDE, 2.0, 1.0)[:, None]
        place, share = place**power, share * power * place ** (power - 1)
    x = low + span * place
    return x, span * share * density(kind, x, width)


def _log_coordinate(x: Tensor, width: Tensor, phase: Tensor) -> Tensor:
    """Coordinate s = ln x / deviation + phase x / c of which neither density nor oscillation is steep."""
    return x.log() / torch.log1p(width.detach() ** 2).sqrt() + phase / _LOG_PHASE * x


def _log_nodes(width: Tensor, cut: Limits, phase: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Equal steps in that coordinate, by Newton's method from above in ln x, and dx of each."""
    low, high = _log_coordinate(cut.low, width, phase), _log_coordinate(cut.high, width, phase)
    fraction = torch.linspace(0, 1, count, dtype=width.dtype, device=width.device)
    wanted = low[:, None] + (high - low)[:, None] * fraction
    slope, rate = torch.log1p(width**2).rsqrt()[:, None], (phase / _LOG_PHASE)[:, None]
    y = cut.high.log()[:, None].expand_as(wanted)
    for _ in range(100):
        x = y.exp()
        step = (slope * y + rate * x - wanted) / (slope + rate * x)
        y = y - step
        if bool((step.abs() < 1e3 * torch.finfo(y.dtype).eps).all()):
            break
    x = y.exp()
    return x, x / (slope + rate * x) * ((high - low) / (count - 1))[:, None]


def _log_normalisation(k: Tensor) -> Tensor:
    """k ln k - k - ln Gamma(k), which tends to ln(k / 2 pi) / 2."""
    far = k.clamp(min=_STIRLING)
    series = 0.5 * (far / (2 * pi)).log() - (1 / 12 - (1 / 360 - (1 / 1260 - far**-2 / 1680) * far**-2) * far**-2) / far
    near = k.clamp(max=_STIRLING)
    return torch.where(k > _STIRLING, series, near * near.log() - near - torch.lgamma(near))


def _gamma_quantile(depth: Tensor, *, upper: bool) -> Tensor:
    """Root r of r - 1 - ln r = depth on one side of 1, by Newton's method in r, from outside, or in ln r."""
    if upper:
        r = 1 + 2 * depth + (2 * depth).sqrt()
        for _ in range(_NEWTON_STEPS):
            r = r - (r - 1 - r.log() - depth) / (1 - 1 / r)
        return r
    y = -depth - (2 * depth).sqrt()
    for _ in range(_NEWTON_STEPS):
        y = y - (y.exp() - 1 - y - depth) / (y.exp() - 1)
    return y.exp()
