"""Standard deviations of a series as a product of one factor a frame and one a q: what a weighted SVD needs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_ROUNDS = 20  # the factors agree with their means to 1e-12 after four or five


@dataclass(frozen=True)
class SeparableSigma:
    """sigma(frame, q) as ``frame`` times ``q``."""

    frame: Float[np.ndarray, " frame"]  # mean 1
    q: Float[np.ndarray, " q"]  # in the unit of the intensity
    misfit: float  # root mean square of ln(sigma / product)


def separable_sigma(sigma: Float[np.ndarray, "frame q"]) -> SeparableSigma:
    """Factorise standard deviations: each factor is the mean of sigma over the other axis, divided by the other factor.

    Parameters
    ----------
    sigma:
        One standard deviation of each point, finite and positive.
    """
    of_frame = np.ones(len(sigma))
    of_q = sigma.mean(axis=0)
    for _ in range(_ROUNDS):
        of_frame = (sigma / of_q).mean(axis=1)
        of_frame = of_frame / of_frame.mean()
        of_q = (sigma / of_frame[:, None]).mean(axis=0)
    misfit = float(np.sqrt(np.mean(np.log(sigma / (of_frame[:, None] * of_q)) ** 2)))
    return SeparableSigma(frame=of_frame, q=of_q, misfit=misfit)


def measured_block(
    sigma: Float[np.ndarray, "frame q"], most_missing: float = 0.3
) -> tuple[Bool[np.ndarray, " frame"], Bool[np.ndarray, " q"]]:
    """Choose frames and q that make a block without a gap: frames of which too much was not measured leave first.

    Parameters
    ----------
    sigma:
        Infinity where a point was not measured.
    most_missing:
        Share of the q that a frame may lack and stay; those q leave for all frames [1].
    """
    measured = np.isfinite(sigma)
    some = measured.any(axis=0)
    frames = measured[:, some].mean(axis=1) >= 1 - most_missing if some.any() else np.zeros(len(sigma), dtype=bool)
    kept = measured[frames].all(axis=0) if frames.any() else np.zeros(sigma.shape[1], dtype=bool)
    return frames, kept
