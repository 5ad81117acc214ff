"""Evolving factor analysis: at which frame each component appears, and at which it leaves.

References
----------
Maeder, Anal. Chem. 59, 527 (1987); for elution with SAXS: Meisburger et al., J. Am. Chem. Soc. 138, 6506 (2016).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from madpipe.kinetics.decompose.rank import singular_values, tracy_widom_point

_EVALUATED = 48  # frames at which a long series is looked at; between them squares of singular values are interpolated


@dataclass(frozen=True)
class EvolvingFactors:
    """Singular values of the first frames and of the last ones, for a growing number of frames."""

    forward: Float[np.ndarray, "frame value"]  # of frames 0..i
    backward: Float[np.ndarray, "frame value"]  # of frames i..end
    threshold: Float[np.ndarray, " frame"]  # of noise, for i + 1 frames
    first: Int[np.ndarray, " component"]  # frame at which component k appears
    last: Int[np.ndarray, " component"]  # frame at which it was last seen, first in, first out


def evolving_factors(
    block: Float[np.ndarray, "frame q"], rank: int, threshold: float, factor: float = 1.0
) -> EvolvingFactors:
    """Follow the singular values forward and backward, and find the edges of ``rank`` components.

    Parameters
    ----------
    block:
        Weighted data [1].
    threshold:
        Of all frames, from parallel analysis; fewer frames have that of white noise, scaled to it at the end [1].
    factor:
        By which the noise is larger than stated [1].
    """
    frames, points = block.shape
    shown = min(rank + 2, frames, points)
    steps = np.array([tracy_widom_point(i + 1, points) for i in range(frames)]) * factor
    limits = steps * max(threshold / steps[-1], 1.0)
    forward, backward = _growing(block, shown), _growing(block[::-1], shown)[::-1]
    first = [_first_above(forward[:, k], limits) for k in range(rank)]
    last = [frames - 1 - _first_above(backward[::-1, k], limits) for k in range(rank)]
    return EvolvingFactors(
        forward=forward,
        backward=backward,
        threshold=limits,
        first=np.array(first, dtype=np.int64),
        last=np.array(last[::-1], dtype=np.int64),
    )


def _growing(block: Float[np.ndarray, "frame q"], shown: int) -> Float[np.ndarray, "frame value"]:
    """Singular values of the first one, two, three ... frames: the Gram matrix of q or frames, whichever is smaller."""
    frames = len(block)
    looked_at = np.unique(np.linspace(0, frames - 1, min(frames, _EVALUATED)).round().astype(int))
    squares = np.zeros((len(looked_at), shown))
    for place, i in enumerate(looked_at):
        values = singular_values(block[: i + 1])[:shown]
        squares[place, : len(values)] = values**2
    every = np.arange(frames)
    return np.sqrt(np.stack([np.interp(every, looked_at, squares[:, k]) for k in range(shown)], axis=1))


def _first_above(values: Float[np.ndarray, " frame"], limits: Float[np.ndarray, " frame"]) -> int:
    """First frame from which a singular value stays above its limit."""
    below = np.flatnonzero(values <= limits)
    return 0 if len(below) == 0 else int(min(below[-1] + 1, len(values) - 1))
