r"""How well an answer explains its data, and what noise alone would leave.

A weighted fit follows part of the noise of each intensity, its leverage :math:`h_k = j_k' C j_k / v_k`, with j the
derivatives of its expectation by the unknowns of the point, C their covariance, prior included, and v its variance:

.. math:: \langle r_k^2 \rangle = v_k (1 - h_k),\quad \sum_k (1 - h_k) = n - 3 \text{ without a prior}

So a mean absolute residual is that of noise times :math:`\sqrt{1 - h_k}`: exact where noise is normal.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad import limits
from madpipe.mad.fit.exact import expected_photons
from madpipe.mad.fit.refine.search import by_own_unknowns
from madpipe.mad.measurement import Measurement
from madpipe.mad.records import Explained
from madpipe.physics.sums import added

_TILE = 1 << 14  # points at once: their columns stay in a cache
_LEAST = 3  # intensities of a point that can be fitted
_COLUMNS = (
    *("chi2", "dof", "chi2_bright", "dof_bright", "variance_bright", "model_bright"),
    *("misfit", "photons", "noise", "left", "points", "without_freedom", "measured"),
)


def sums_of(
    measurement: Measurement,
    parameters: Float[Tensor, "3 point"],
    covariance: Float[Tensor, "6 point"],
    chi2: Float[Tensor, "point"],
) -> Float[Tensor, "column"]:
    """Sums over some points from which :func:`explained_by` tells how well they are explained.

    Parameters
    ----------
    measurement:
        Channels and points.
    parameters, covariance:
        The answer x, a, b and its covariance xx, xa, xb, aa, ab, bb, as in
        :class:`madpipe.mad.fit.exact.Solution`.
    chi2:
        Of every point.
    """
    size = len(measurement.f0)
    tiles = [slice(start, start + _TILE) for start in range(0, size, _TILE)]
    parts = [_sums(measurement.part(tile), parameters[:, tile], covariance[:, tile], chi2[tile]) for tile in tiles]
    return added(torch.stack(parts))


def _sums(
    measurement: Measurement,
    parameters: Float[Tensor, "3 point"],
    covariance: Float[Tensor, "6 point"],
    chi2: Float[Tensor, "point"],
) -> Float[Tensor, "column"]:
    """Sums over one tile."""
    theta = parameters / measurement.reduction()
    photons = expected_photons(measurement, parameters)
    expected = torch.maximum(measurement.with_background(photons), measurement.least(measurement.brightness()))
    variance = measurement.noise.variance(expected)
    free = measurement.measured(1 - leverage(measurement, theta, covariance, 1 / variance))
    channels = measurement.channels()
    used, usable = channels >= _LEAST, channels > _LEAST
    bright = usable & (added(measurement.measured(expected)) >= limits.BRIGHT * channels)
    if not measurement.noise.is_poisson:
        bright = usable
    tail = 1 / expected if measurement.noise.is_poisson else torch.zeros_like(expected)
    misfit = (measurement.intensity - expected).abs()
    noise = measurement.noise.mean_deviation(expected)
    columns = {
        "chi2": chi2 * usable,
        "dof": added(free) * usable,
        "chi2_bright": chi2 * bright,
        "dof_bright": added(free) * bright,
        "variance_bright": added(free * (2 + tail)) * bright,
        "model_bright": added(free * photons.square() / variance) * bright,
        "misfit": added(measurement.measured(misfit)),
        "photons": added(measurement.measured(measurement.intensity)),
        "noise": added(measurement.measured(noise)),
        "left": added(measurement.measured(noise * free.sqrt())),
        "points": used.to(chi2),
        "without_freedom": (channels == _LEAST).to(chi2),
        "measured": channels,
    }
    return torch.stack([columns[name] for name in _COLUMNS]).sum(1)


def leverage(
    measurement: Measurement,
    theta: Float[Tensor, "3 point"],
    covariance: Float[Tensor, "6 point"],
    weight: Float[Tensor, "channel point"],
) -> Float[Tensor, "channel point"]:
    """Share of each intensity's noise that the fit follows, at x, p, q with the covariance of x, a, b."""
    by_x, by_p, by_q = by_own_unknowns(measurement, theta).unbind(1)
    inverse = 1 / measurement.f0
    by_a, by_b = by_p * inverse, by_q * inverse
    xx, xa, xb, aa, ab, bb = covariance
    along = by_x * (xx * by_x + 2 * (xa * by_a + xb * by_b)) + by_a * (aa * by_a + 2 * ab * by_b) + bb * by_b * by_b
    return (weight * along).clamp(0, 1)


def explained_by(sums: Float[np.ndarray, "batch column"] | Sequence[Tensor], asked: int) -> Explained:
    """Tell how well all points are explained; the sum does not depend on how the points were shared out.

    Parameters
    ----------
    sums:
        From :func:`sums_of`, of each batch.
    asked:
        Intensities that the stack has room for, measured or not.
    """
    rows = np.asarray([np.asarray(one) for one in sums], dtype=float).reshape(-1, len(_COLUMNS))
    total = {name: math.fsum(column) for name, column in zip(_COLUMNS, rows.T, strict=True)}
    return Explained(
        chi2_per_dof=_over(total["chi2"], total["dof"]),
        dof=total["dof"],
        chi2_bright=_over(total["chi2_bright"], total["dof_bright"]),
        dof_bright=total["dof_bright"],
        chi2_bright_errors=_over(math.sqrt(total["variance_bright"]), total["dof_bright"]),
        chi2_bright_model=limits.MODEL_ERROR**2 * _over(total["model_bright"], total["dof_bright"]),
        r_factor=_over(total["misfit"], total["photons"]),
        r_noise=_over(total["noise"], total["photons"]),
        r_expected=_over(total["left"], total["photons"]),
        points=int(total["points"]),
        without_freedom=int(total["without_freedom"]),
        masked=1 - total["measured"] / max(asked, 1),
    )


def _over(value: float, by: float) -> float:
    """Ratio, NaN where there is nothing to divide by."""
    return value / by if by > 0 else math.nan
