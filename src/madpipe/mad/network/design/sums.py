r"""What the network reads: sums of counts over a point and windows about it, as estimates free of the energies.

Of all energies' counts only the sufficient statistics of the linear form :math:`\mu_k = \tau_k a_k \cdot z + b_k` are
kept, and they are turned into estimates of :math:`z / r^2` under the prior of the training particles: whatever
energies, edge and element a stack has, the network sees the same quantities and how well they are known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from madpipe.mad.forward import design_matrix, dispersion_ratio

WINDOWS = {2: (1, 3, 7, 15), 3: (1, 3, 5, 7)}  # points along each axis; the last is for the brightness only
BESIDE = (-2, -1, 1, 2)  # slices beside its own that the network reads of a volume; in a frame there is nothing
CHANNELS = 10 * 3 + 5 * len(BESIDE) + 2  # of what the network reads
_PSEUDO_PHOTONS = 4.0  # that a wider window's brightness counts for in a narrower one
_LEAST = 0.5  # photon in the widest window: the brightness of the dark
_LARGEST = 8.0  # of an estimate, in standard deviations of the prior
_LOG_SPREAD = 6.0  # of log brightness over what is met


class Seen(NamedTuple):
    """A batch of frames as the network reads it; a frame may be a slice of a volume, its windows then reach across."""

    sums: tuple[Float[Tensor, "batch 6 y x"], ...]  # over each window
    normal: Float[Tensor, "batch 4 4"]  # mean of a a' over the exposures
    volume: bool
    counts: Float[Tensor, "batch energy y x"] | None = None  # for the reference design: at unit exposure [photon]
    dispersion: Float[Tensor, "batch energies2"] | None = None  # for it: f', then f'' [electron]
    beside: Float[Tensor, "batch slice 6 y x"] | None = None  # of a volume: the points of the slices beside

    def to(self, device: torch.device) -> "Seen":
        """Move to a device."""
        moved = tuple(one.to(device) for one in self.sums)
        rest = (None if one is None else one.to(device) for one in (self.counts, self.dispersion, self.beside))
        return Seen(moved, self.normal.to(device), self.volume, *rest)


class Moments(NamedTuple):
    """Mean of z / r^2 over the points of the training particles, and a root R of its covariance, R R'."""

    mean: Float[Tensor, "4"]
    root: Float[Tensor, "4 4"]


def design_rows(
    f_prime: Float[Tensor, "batch energy"], f_double_prime: Float[Tensor, "batch energy"], f0: Float[Tensor, "batch"]
) -> Float[Tensor, "batch energy 4"]:
    """Rows a of the linear form at unit exposure, with one f0 for a whole frame."""
    return design_matrix(dispersion_ratio(f_prime, f_double_prime, f0[:, None]))


def mean_normal(
    rows: Float[Tensor, "batch energy 4"], exposure: Float[Tensor, "batch energy"]
) -> Float[Tensor, "batch 4 4"]:
    """Mean of a a' over the exposures."""
    share = exposure / exposure.sum(1, keepdim=True)
    return torch.einsum("bki,bk,bkj->bij", rows, share, rows)


def own_sums(
    net: Float[Tensor, "batch energy *axes"],
    good: Float[Tensor, "batch *axes"],
    background: Float[Tensor, "batch *axes"],
    exposure: Float[Tensor, "batch energy"],
    rows: Float[Tensor, "batch energy 4"],
) -> Float[Tensor, "batch 6 *axes"]:
    r"""Sums over the energies in every point: :math:`\sum_k a_k (n_k - b_k)`, exposure, background.

    Parameters
    ----------
    net:
        Counts less background [photon].
    good:
        1 where every energy was measured, 0 elsewhere: nothing is summed there.
    background:
        Expected, summed over the energies [photon].
    exposure:
        Relative.
    rows:
        From :func:`design_rows`.
    """
    linear = torch.einsum("bki,bk...->bi...", rows.to(net), net) * good[:, None]
    total = exposure.sum(1).to(net).reshape(-1, *[1] * (good.ndim - 1))
    return torch.cat([linear, (good * total)[:, None], (good * background)[:, None]], 1)


def windowed(own: Float[Tensor, "batch 6 *axes"]) -> tuple[Float[Tensor, "batch 6 *axes"], ...]:
    """Sums over the windows about every point of frames or volumes; beyond the rim there is nothing."""
    ndim = own.ndim - 2
    return tuple(_box(own, width, range(ndim)) for width in WINDOWS[ndim])


def windowed_middle(own: Float[Tensor, "batch 6 z y x"]) -> tuple[Float[Tensor, "batch 6 y x"], ...]:
    """Sums over the windows about the points of the middle slice of slabs."""
    middle = own.shape[2] // 2
    slices = (own[:, :, middle - width // 2 : middle + width // 2 + 1].sum(2) for width in WINDOWS[3])
    return tuple(_box(one, width, range(2)) for one, width in zip(slices, WINDOWS[3], strict=True))


def beside_middle(own: Float[Tensor, "batch 6 z y x"]) -> Float[Tensor, "batch slice 6 y x"]:
    """Sums over the points of the slices beside the middle one of slabs."""
    middle = own.shape[2] // 2
    return torch.stack([own[:, :, middle + step] for step in BESIDE], 1)


def beside_each(own: Float[Tensor, "z 6 y x"], slices: slice) -> Float[Tensor, "slice beside 6 y x"]:
    """Sums over the points of the slices beside some of a volume's; beyond the rim there is nothing."""
    first, last = slices.start, slices.stop
    low, high = first + min(BESIDE), last + max(BESIDE)
    inside = own[max(0, low) : high]
    padded = functional.pad(inside, (0,) * 6 + (max(0, -low), max(0, high - len(own))))
    return torch.stack([padded[step - min(BESIDE) :][: last - first] for step in BESIDE], 1)


def _box(values: Tensor, width: int, axes: Sequence[int]) -> Tensor:
    """Sum over a window along some of the axes behind batch and channel."""
    if width == 1:
        return values
    ndim = values.ndim - 2
    pool = functional.avg_pool2d if ndim == 2 else functional.avg_pool3d
    for axis in axes:
        kernel = [width if other == axis else 1 for other in range(ndim)]
        values = pool(values, kernel, stride=1, padding=[one // 2 for one in kernel]) * width
    return values


def brightness(sums: Sequence[Float[Tensor, "batch 6 y x"]]) -> list[Float[Tensor, "batch y x"]]:
    """Mean photons at unit exposure in each window but the last, the wider windows helping the narrower ones.

    Each is the mean of a gamma distribution that the next wider one centres: in the dark it is the neighbourhood's, and
    where photons are many the point's own.
    """
    wide, *rest = reversed(sums)
    mean = (wide[:, 0].clamp(min=0) + _LEAST) / (wide[:, 4] + 1e-6)
    mean = torch.where(wide[:, 4] > 0, mean, _LEAST)
    found = []
    for one in rest:
        mean = _pooled(one, mean)
        found.append(mean)
    return found[::-1]


def _pooled(one: Float[Tensor, "batch 6 y x"], wider: Float[Tensor, "batch y x"]) -> Float[Tensor, "batch y x"]:
    """Mean photons of sums, which a wider window's mean helps as some photons of its own would."""
    return (one[:, 0].clamp(min=0) + _PSEUDO_PHOTONS) / (one[:, 4] + _PSEUDO_PHOTONS / wider)


def channels(seen: Seen, prior: Moments) -> tuple[Float[Tensor, "batch 52 y x"], Float[Tensor, "batch y x"]]:
    r"""What the convolutions are fed, and r^2, the unit of intensity of every point [photon].

    For each window the mean of :math:`\zeta = R^{-1}(z / r^2 - \bar z)` under a normal prior and its counts with the
    variance of their mean, :math:`(1 + N \Lambda)^{-1}` along the axes of :math:`R' G R`, with N the photons of the
    window; the variances; the brightness; and whether there was anything. Of the slices beside, the means and the
    brightness over that of the point itself.
    """
    means = brightness(seen.sums)
    dtype = seen.sums[0].dtype
    shape, turn = torch.linalg.eigh(prior.root.T @ seen.normal @ prior.root)
    shape, turn = shape.clamp(min=0).to(dtype)[:, :, None, None], turn.to(dtype)
    project = (prior.root @ turn.to(prior.root)).transpose(1, 2).to(dtype)
    centre = (seen.normal @ prior.mean).to(dtype)[:, :, None, None]

    def estimated(one: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        photons = mean * one[:, 4]
        seen_share = (photons / (photons + one[:, 5])).nan_to_num(0.0)[:, None]  # the background dilutes them
        residual = (one[:, :4] - centre * photons[:, None]) * seen_share
        gain = 1 / (1 + (photons[:, None] * seen_share) * shape)
        estimate = torch.einsum("bij,bjyx->biyx", turn, gain * torch.einsum("bij,bjyx->biyx", project, residual))
        contrast = (means[0] / mean).log().clamp(-10, 10) / 2
        return torch.cat([estimate.clamp(-_LARGEST, _LARGEST), contrast[:, None]], 1), gain

    parts = []
    for one, mean in zip(seen.sums, means, strict=False):
        estimate, gain = estimated(one, mean)
        variance = torch.einsum("bij,bjyx->biyx", turn * turn, gain)
        level = mean.clamp(min=1e-4).log() / _LOG_SPREAD
        parts += [estimate, variance.clamp(min=1e-7).log() / _LOG_SPREAD + 1, level[:, None]]
    if seen.beside is None:
        parts.append(means[0].new_zeros(len(means[0]), 5 * len(BESIDE), *means[0].shape[1:]))
    else:
        parts += [estimated(one, _pooled(one, means[1]))[0] for one in seen.beside.unbind(1)]
    good = (seen.sums[0][:, 4] > 0).to(dtype)[:, None]
    kind = torch.full_like(good, float(seen.volume))
    return torch.cat([*parts, good, kind], 1), means[0]
