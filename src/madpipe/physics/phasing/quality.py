"""What an image is worth: agreement of solutions over q, resolution, vortices of the phase; centred arrays."""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from madpipe.physics.fourier import diffract, grid, real_axis


def transfer_function(
    densities: Complex[Tensor, "solution *space"],
) -> Float[Tensor, "*space"]:
    r"""Phase retrieval transfer function of aligned solutions, 1 where they agree on the phase.

    .. math:: T(q) = |\langle F / |F| \rangle|

    References
    ----------
    Chapman et al., J. Opt. Soc. Am. A 23, 1179 (2006), eq. 12, with moduli set to the measured ones.
    """
    return diffract(densities, densities.ndim - 1).sgn().mean(0).abs()


def shell_mean(values: Float[Tensor, "*space"], weights: Float[Tensor, "*space"]) -> Float[Tensor, "shell"]:
    """Weighted mean over shells one point wide about the origin; 0 in a shell without weight."""
    radius = shells(values.shape).flatten().to(values.device)
    total = torch.bincount(radius, (values * weights).flatten())
    weight = torch.bincount(radius, weights.flatten())
    mean = total / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    return torch.where(weight > 0, mean, 0).to(values.dtype)


def shells(shape: Sequence[int]) -> Int[Tensor, "*space"]:
    """Shell that each point of a centred grid lies in: its distance from the origin, rounded [point]."""
    return distance(shape).round().long()


def distance(shape: Sequence[int]) -> Float[Tensor, "*space"]:
    """Distance of each point of a centred grid from the origin [point]."""
    distances: Tensor = grid([real_axis(size, 1.0) for size in shape]).norm(dim=0)
    return distances


def resolution(transfer: Float[Tensor, "*space"], known: Bool[Tensor, "*space"], limit: float = 1 / math.e) -> float:
    """Find the q to which solutions agree: where the transfer function's mean over a shell first falls below a limit.

    Parameters
    ----------
    transfer:
        :func:`transfer_function`, centred.
    known:
        Points that count; shells without any are passed over.
    limit:
        1/e by custom, or 0.5.

    Returns
    -------
    :
        As a share of the frame's nearest edge, at which a period takes two voxels; between shells by interpolation.
        1 where it never falls. The resolution (half a period) is the voxel size over this share.
    """
    edge = min(transfer.shape) // 2
    weights = known.to(transfer)
    counted = torch.nonzero(shell_mean(weights, torch.ones_like(weights)))[:, 0]
    counted = counted[counted <= edge]
    means = shell_mean(transfer, weights)[counted]
    below = torch.nonzero(means < limit)
    if not len(below):
        return 1.0
    last = int(below[0])
    if last == 0:
        return 0.0
    (q0, q1), (t0, t1) = counted[last - 1 : last + 1].tolist(), means[last - 1 : last + 1].tolist()
    share: float = (q0 + (q1 - q0) * (t0 - limit) / (t0 - t1)) / edge
    return share


def count_vortices(
    density: Complex[Tensor, "*batch_space"], support: Bool[Tensor, "*batch_space"], ndim: int
) -> Int[Tensor, "*batch"]:
    r"""Count elementary squares of voxels around which the phase winds.

    .. math:: \oint d\phi = \pm 2\pi \text{ over four voxels, all in the support}

    In 3-D squares of all three orientations count, so one line of dislocation counts once per voxel of its length.
    """
    phase = density.angle()
    count = torch.zeros(density.shape[: density.ndim - ndim], dtype=torch.int64, device=density.device)
    for first, second in combinations(range(-ndim, 0), 2):
        corners = [_corner(phase, first, second, i, j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        inside = [_corner(support, first, second, i, j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        steps = [_wrapped(b - a) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
        winds = sum(steps[1:], steps[0]).abs() > math.pi
        held = inside[0] & inside[1] & inside[2] & inside[3]
        count = count + (winds & held).sum(tuple(range(-ndim, 0)))
    return count


def _corner(array: Tensor, first: int, second: int, i: int, j: int) -> Tensor:
    """Array of one corner of every square of two axes."""
    along = array.narrow(first, i, array.shape[first] - 1)
    return along.narrow(second, j, along.shape[second] - 1)


def _wrapped(angle: Tensor) -> Tensor:
    """Angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
