"""Scores of a series: what changes beside beam and buffer, in standard deviations of a frame's noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.kinetics.whitened import HARDLY, Noise, largest_of_noise, noise_of, whiten

_LAG = 3  # frames whose mean is compared with that of as many before
_COARSE_Q = 24  # groups of neighbouring q in which faint changes are looked for
_BLOCK = 4  # frames taken together for them
_FEWEST = 6  # groups at least
_BRIGHT = 20.0  # standard deviations of a frame's signal, below which its beam is not told


@dataclass(frozen=True)
class Scores:
    """Components above the noise, the strongest first; their noise is independent, of variance 1 / weight."""

    values: Float[np.ndarray, "frame component"]
    weights: Float[np.ndarray, " frame"]
    total: Float[np.ndarray, " frame"]  # signal along the mean curve, in standard deviations of a mean frame's noise
    beam: Float[np.ndarray, " frame"]  # relative to its mean
    noise: Noise


def scores_of(curves: Curves) -> Scores:
    r"""Whiten, leave out the directions of beam and buffer, keep what is above the noise, and divide by the beam.

    The buffer adds a constant in q, whose direction is left out. The beam g multiplies a frame: scores are
    :math:`z_t = g_t x_t`, the signal along the mean curve is :math:`w_t = g_t (\mu + v \cdot x_t)`, hence
    :math:`g_t = (w_t - v \cdot z_t) / \mu` whatever the beam does, once v is known: what w does where z changes.
    """
    whitened = whiten(curves)
    flat = 1 / whitened.sigma_q
    flat /= np.linalg.norm(flat)
    data = whitened.data - np.outer(whitened.data @ flat, flat)
    mean = (data * whitened.sigma_frame[:, None]).mean(axis=0)
    mean /= np.linalg.norm(mean)
    signal = data @ mean
    data = data - np.outer(signal, mean)
    _, singular, right = np.linalg.svd(data, full_matrices=False)
    noise = noise_of(singular, data.shape[0], data.shape[1] - 2, HARDLY)
    directions = _with_faint(data / noise.level, right[: noise.rank])
    sigma = whitened.sigma_frame / np.mean(whitened.sigma_frame)
    values = data @ directions.T * (sigma / noise.level)[:, None]
    signal *= sigma / noise.level
    beam, variance = _beam(values, signal, sigma)
    return Scores(values / beam[:, None], 1 / (sigma**2 * variance), signal, beam, noise)


def _with_faint(data: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Add directions that rise above the noise once neighbouring q, and frames, are taken together.

    What changes is smooth in q and slow: sums over both have the same noise, and fewer singular values of noise.
    """
    for together in (1, _BLOCK):
        left = data - (data @ directions.T) @ directions
        of_q, of_frame = _groups(data.shape[1], data.shape[1] // _COARSE_Q), _groups(len(data), together)
        coarse = of_frame @ left @ of_q.T
        if min(coarse.shape) < _FEWEST:
            continue
        _, singular, right = np.linalg.svd(coarse, full_matrices=False)
        edge = largest_of_noise(coarse.shape[0], coarse.shape[1], HARDLY)
        found = right[singular > edge] @ of_q
        directions = np.concatenate([directions, found - (found @ directions.T) @ directions])
    return directions


def _groups(count: int, together: int) -> np.ndarray:
    """Matrix (group, place) of sums over neighbours, which keep noise of variance 1."""
    together = max(together, 1)
    groups = count // together
    found = np.zeros((groups, count))
    for group in range(groups):
        found[group, group * together : (group + 1) * together] = 1 / np.sqrt(together)
    return found


def _beam(values: np.ndarray, signal: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beam of each frame relative to its mean, and by what dividing by it multiplies the variance of the scores.

    1 where the signal is too weak to tell the beam.
    """
    steady = np.ones(len(signal))
    if not values.shape[1] or (signal / sigma).min() < _BRIGHT:
        return steady, steady
    along = _signal_of_scores(values, signal, sigma)
    left = signal - values @ along
    if left.min() < 0.2 * left.mean():
        return steady, steady
    beam = left / left.mean()
    share = values / left[:, None]
    added = np.square(share).mean(axis=1) * (1 + along @ along) + 2 * (share * along).mean(axis=1)
    return beam, np.maximum(1 + added, 0.5) / beam**2


def _signal_of_scores(values: np.ndarray, signal: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """What the signal along the mean curve does where scores change, by least squares with noise on both sides."""
    change = _contrast(values * sigma[:, None])
    matrix, side = change.T @ change, change.T @ _contrast(signal)
    noise = 2 / _LAG * len(change) * float(np.mean(sigma**2))
    size, axes = np.linalg.eigh(matrix)
    clear = np.where(size > 3 * noise, size - noise, size + noise)
    found: np.ndarray = axes @ (axes.T @ side / clear)
    return found


def _contrast(curve: np.ndarray) -> np.ndarray:
    """Mean of the frames after, less mean of those before, each place."""
    total = np.concatenate([np.zeros((1, *curve.shape[1:])), np.cumsum(curve, axis=0)])
    means = (total[_LAG:] - total[:-_LAG]) / _LAG
    found: np.ndarray = means[_LAG:] - means[:-_LAG]
    return found
