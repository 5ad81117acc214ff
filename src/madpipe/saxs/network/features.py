"""What the network sees of a curve: any axis of q becomes one grid of ln q, and its scale can be hidden."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.base.errors import InputError

POINTS = 208
STEP = 1 / 32  # of ln q between points of the grid, where the curve spans no more than the grid
CHANNELS = 8
SCALARS = 5
_GAP = 0.25  # in ln q, beyond the nearest measured point: not measured
_LEAST = 8  # points of a curve
_LEVEL = 12.0  # divides ln I and ln q, so that channels are of order one
_SLOPE = 4.0
_NOISE = (1e-4, 0.5)  # least and most error of ln I that the network is told


class Gridded(NamedTuple):
    """Curves on grids of their own, each even in ln q."""

    first: Float[Tensor, "curve"]  # ln of the first q [1/angstrom]
    step: Float[Tensor, "curve"]  # of ln q
    level: Float[Tensor, "curve point"]  # ln of intensity, see :func:`log_intensity`
    error: Float[Tensor, "curve point"]  # standard deviation of level
    measured: Bool[Tensor, "curve point"]
    width: Float[Tensor, "curve point"]  # standard deviation of a pinhole over q
    slit: Float[Tensor, "curve point"]  # half height of a slit over q
    absolute: Bool[Tensor, "curve"]  # whether the scale is known, and shown


class Seen(NamedTuple):
    """What the network takes."""

    channels: Float[Tensor, "curve channel point"]
    scalars: Float[Tensor, "curve scalar"]
    shift: Float[Tensor, "curve"]  # ln I that was taken away: answers of the scale are relative to it
    first: Float[Tensor, "curve"]  # ln q of the first point: answers of lengths are relative to it


def log_intensity(
    intensity: Float[np.ndarray, "*point"], sigma: Float[np.ndarray, "*point"]
) -> tuple[Float[np.ndarray, "*point"], Float[np.ndarray, "*point"]]:
    r"""Logarithm of an intensity that noise may have made negative, and its standard deviation.

    .. math:: y = \operatorname{arsinh}(I / 2\sigma) + \ln\sigma

    It is ln I where :math:`I \gg \sigma` (relative difference :math:`\sigma^2/I^2`), and :math:`\ln\sigma` at I = 0.
    """
    level = np.arcsinh(intensity / (2 * sigma)) + np.log(sigma)
    return level, sigma / np.sqrt(intensity**2 + 4 * sigma**2)


def gridded(
    q: Float[np.ndarray, "q"],
    intensity: Float[np.ndarray, "curve q"],
    sigma: Float[np.ndarray, "curve q"],
    *,
    dq: Float[np.ndarray, "q"] | None = None,
    slit_length: Float[np.ndarray, "q"] | None = None,
    absolute: bool = True,
    name: str = "curve",
) -> Gridded:
    """Bring curves of one axis onto the network's grid, which begins at their first q.

    Points of one bin are averaged with weights 1/sigma^2, and levels are interpolated between the bins' means of ln q,
    linearly in ln q. What is further than a quarter in ln q from any point, or beyond the last one, counts as not
    measured.

    Parameters
    ----------
    q, intensity, sigma:
        [1/angstrom], [1/cm or any], alike; a point with q <= 0, or without a finite intensity and sigma > 0 in any of
        the curves, is left out.
    dq, slit_length:
        Standard deviation of a pinhole, half height of a slit [1/angstrom].
    absolute:
        Whether the intensity is in 1/cm.
    name:
        Of the curves, for the message.

    Raises
    ------
    InputError
        Fewer than eight points are left.
    """
    good = (q > 0) & (np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0)).all(axis=0)
    order = np.argsort(np.where(good, q, np.inf), kind="stable")[: int(good.sum())]
    if len(order) < _LEAST:
        raise InputError(
            f"{name}: the network needs at least {_LEAST} points with q > 0 and sigma > 0; {len(order)} came; "
            "check the columns, or give sigma"
        )
    place = np.log(q[order])
    step = max(STEP, (place[-1] - place[0]) / (POINTS - 1))
    bins = np.rint((place - place[0]) / step).astype(int)
    middle, mean, error = _bin_means(place, intensity[:, order], sigma[:, order], bins)
    grid = place[0] + step * np.arange(POINTS)
    level, spread = log_intensity(mean, error)
    near = np.abs(grid[:, None] - place).min(axis=1) <= max(_GAP, step)
    near &= grid <= place[-1] + step / 2
    count = (len(intensity), POINTS)
    relative = [
        np.zeros(count) if one is None else np.broadcast_to(np.interp(grid, place, (one / q)[order]), count)
        for one in (dq, slit_length)
    ]
    rows = [_interpolated(grid, middle, level), _interpolated(grid, middle, spread), np.broadcast_to(near, count)]
    tensors = [torch.from_numpy(np.array(row)) for row in (*rows, *relative)]
    first, apart = (torch.full((len(intensity),), float(one), dtype=torch.float64) for one in (place[0], step))
    known = torch.full((len(intensity),), absolute)
    return Gridded(first, apart, tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], known)


def _bin_means(
    place: Float[np.ndarray, "q"],
    intensity: Float[np.ndarray, "curve q"],
    sigma: Float[np.ndarray, "curve q"],
    bins: np.ndarray,
) -> Float[np.ndarray, "3 curve bin"]:
    """Weighted means of ln q and intensity of each bin that holds a point, and the mean's standard deviation."""
    begins = np.flatnonzero(np.diff(bins, prepend=-1))
    weight = (sigma.min(axis=1, keepdims=True) / sigma) ** 2
    total, first, second = (
        np.add.reduceat(one, begins, axis=1) for one in (weight, weight * place, weight * intensity)
    )
    return np.array([first / total, second / total, sigma.min(axis=1, keepdims=True) / np.sqrt(total)])


def _interpolated(
    grid: Float[np.ndarray, "point"], middle: Float[np.ndarray, "curve bin"], values: Float[np.ndarray, "curve bin"]
) -> Float[np.ndarray, "curve point"]:
    """Interpolate linearly in each row, and go on for half an interval beyond the ends."""
    rows = torch.from_numpy(np.ascontiguousarray(middle))
    above = torch.searchsorted(rows, torch.from_numpy(grid).expand(len(rows), -1).contiguous()).numpy()
    above = np.clip(above, 1, middle.shape[1] - 1)
    low, high = (np.take_along_axis(middle, above - back, axis=1) for back in (1, 0))
    share = np.clip((grid - low) / (high - low), -0.5, 1.5)
    below, over = (np.take_along_axis(values, above - back, axis=1) for back in (1, 0))
    return np.asarray(below + share * (over - below))


def stacked(curves: list[Gridded]) -> Gridded:
    """Put curves together."""
    return Gridded(*(torch.cat(parts) for parts in zip(*curves, strict=True)))


def seen(curves: Gridded, *, slopes: bool = True, scale: bool = True) -> Seen:
    """Make channels and scalars of curves; all are the same when q and sizes change together.

    Parameters
    ----------
    curves:
        On their grids.
    slopes:
        Whether d ln I / d ln q and its fluctuation are shown.
    scale:
        Whether the absolute scale is shown of curves that know it.
    """
    mask = curves.measured.to(curves.level.dtype)
    count = mask.sum(1).clamp(min=1)
    shift = (curves.level * mask).sum(1) / count
    level = (curves.level - shift[:, None]) * mask
    error = curves.error.clamp(*_NOISE)
    slope, wide = (_slope(curves, apart) for apart in (1, 4))
    if not slopes:
        slope, wide = torch.zeros_like(slope), torch.zeros_like(wide)
    channels = torch.stack(
        [
            level / _SLOPE,
            slope / _SLOPE,
            wide / _SLOPE,
            torch.log(error / _NOISE[1]) / _SLOPE * mask,
            mask,
            torch.log1p(curves.width * 100) * mask,
            torch.log1p(curves.slit * 10) * mask,
            mask * torch.linspace(-1, 1, curves.level.shape[1], dtype=level.dtype, device=level.device),
        ],
        dim=1,
    )
    shown = (curves.absolute if scale else torch.zeros_like(curves.absolute)).to(level.dtype)
    middle = curves.first + curves.step * count / 2
    scalars = torch.stack(
        [
            shown,
            shown * (shift / _LEVEL),
            shown * (middle / _LEVEL),
            torch.log(curves.step / STEP),
            count / curves.level.shape[1],
        ],
        dim=1,
    )
    return Seen(channels, scalars, shift, curves.first)


def _slope(curves: Gridded, apart: int) -> Float[Tensor, "curve point"]:
    """Slope of the level over ln q between neighbours so many points apart on both sides, zero where unmeasured."""
    level, known = curves.level, curves.measured
    points = level.shape[1]
    right = (torch.arange(points, device=level.device) + apart).clamp(max=points - 1)
    left = (torch.arange(points, device=level.device) - apart).clamp(min=0)
    both = known[:, left] & known[:, right]
    slope = (level[:, right] - level[:, left]) / ((right - left) * curves.step[:, None])
    return torch.where(both, slope.clamp(-4 * _SLOPE, 4 * _SLOPE), torch.zeros_like(slope))


def least_level(curves: Gridded) -> Float[Tensor, "curve"]:
    """Least level of each curve among the measured points, ln I: a first guess of the background."""
    return torch.where(curves.measured, curves.level, torch.full_like(curves.level, math.inf)).amin(1)
