"""A series over its noise: the matrix that rates and events work on, with the noise's own level."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError

RARELY = 2.02  # quantile of Tracy and Widom's law (beta = 1): noise is above it once in 100
HARDLY = 4.5  # less than once in 10,000


@dataclass(frozen=True)
class Whitened:
    """A series divided by sigma_frame sigma_q, at the q where every frame was measured."""

    data: Float[np.ndarray, "frame q"]
    sigma_frame: Float[np.ndarray, " frame"]  # relative to the series' level
    sigma_q: Float[np.ndarray, " q"]
    kept: Bool[np.ndarray, " all"]  # of the curves' q


@dataclass(frozen=True)
class Noise:
    """What the singular values of a whitened matrix say."""

    rank: int  # components above the noise
    level: float  # standard deviation of the noise, 1 where the sigmas are right
    edge: float  # largest singular value of noise alone


def whiten(curves: Curves) -> Whitened:
    """Divide by a noise that is a product of one number for each frame and one for each q.

    ln sigma is split into a sum by least squares, which is exact where the sigmas are such a product.

    Raises
    ------
    InputError
        Fewer than three frames or q, or a sigma or an intensity that is no number.
    """
    kept = np.isfinite(curves.sigma).all(axis=0)
    intensity, sigma = curves.intensity[:, kept].astype(float), curves.sigma[:, kept].astype(float)
    if min(intensity.shape) < 3:
        raise InputError(
            f"series: needs at least 3 frames and 3 q that all frames have; {intensity.shape[0]} and "
            f"{intensity.shape[1]} came; give more."
        )
    if not (sigma > 0).all() or not np.isfinite(intensity).all():
        bad = np.argwhere(~(sigma > 0) | ~np.isfinite(intensity))[0]
        raise InputError(
            f"series: needs sigma above 0 and intensities that are numbers; {sigma[tuple(bad)]:g} and "
            f"{intensity[tuple(bad)]:g} came in frame {bad[0] + 1}; leave that frame or q out."
        )
    logs = np.log(sigma)
    of_q = logs.mean(axis=0)
    of_frame = (logs - of_q).mean(axis=1)
    data = intensity / np.exp(of_frame[:, None] + of_q)
    return Whitened(data, np.exp(of_frame), np.exp(of_q), kept)


def noise_of(singular: Float[np.ndarray, " value"], frames: int, columns: int, quantile: float = RARELY) -> Noise:
    """Tell components from noise by the edge of the noise's singular values, whose level is measured beyond the rank.

    Parameters
    ----------
    singular:
        Falling.
    frames, columns:
        Degrees of freedom of the matrix.
    quantile:
        Of the largest singular value of noise, see :func:`largest_of_noise`.
    """
    rank = 0
    energy = np.square(singular)
    while True:
        left = max((frames - rank) * (columns - rank), 1)
        level = float(np.sqrt(energy[rank:].sum() / left))
        edge = level * largest_of_noise(frames - rank, columns - rank, quantile)
        if rank >= min(frames, columns) - 2 or singular[rank] <= edge:
            return Noise(rank, level, edge)
        rank += 1


def largest_of_noise(rows: int, columns: int, quantile: float) -> float:
    r"""Give a quantile of the largest singular value of noise of variance 1.

    .. math:: s^2 = (\sqrt{n} + \sqrt{p})^2 + x\, (\sqrt{n} + \sqrt{p})\, (1/\sqrt{n} + 1/\sqrt{p})^{1/3}

    Parameters
    ----------
    quantile:
        x, of Tracy and Widom's law.

    References
    ----------
    Johnstone, Ann. Stat. 29, 295 (2001), theorem 1.1.
    """
    total = float(np.sqrt(rows) + np.sqrt(columns))
    spread = total * float(1 / np.sqrt(rows) + 1 / np.sqrt(columns)) ** (1 / 3)
    return float(np.sqrt(total**2 + quantile * spread))
