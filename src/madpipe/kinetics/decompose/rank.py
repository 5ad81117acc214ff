r"""How many components stand above the noise of a series.

The singular values of weighted data :math:`X = I / \sigma` are compared with those of noise alone that went through the
same steps (parallel analysis), the subtraction of a measured buffer among them: its mean has noise of its own, which
is then common to all frames and looks like a component.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.decompose.weights import SeparableSigma
from madpipe.kinetics.whitened import largest_of_noise

TRACY_WIDOM_99 = 2.0234  # 99 % point of the Tracy-Widom law of real matrices (beta = 1)
_BULK = 0.5  # share of the smallest singular values that tell how far the stated sigmas are off


@dataclass(frozen=True)
class Subtraction:
    """How the curves were made: from which frames' mean a buffer was subtracted, or how many frames it had."""

    frames: tuple[int, int] | None = None  # first and stop, in the series as it was measured
    frames_elsewhere: int = 0  # frames of another measurement, whose mean was subtracted from every frame


@dataclass(frozen=True)
class Rank:
    """The number of components and what it rests on."""

    rank: int  # by parallel analysis
    singular_values: Float[np.ndarray, " value"]  # of the weighted data
    threshold: float  # mean + 4 sd of the largest singular value of noise, same steps [unit of the singular values]
    noise_edge: float  # sqrt(frames) + sqrt(q), times the noise's factor
    tracy_widom: float  # 99 % point of the largest singular value of white noise
    rank_by_edge: int  # above the Tracy-Widom point: the quick look, blind to the subtraction
    noise_factor: float  # by which the true noise is larger than the stated sigmas
    detectable: float  # weighted norm that a component must have to be seen: below it, it is in the noise
    autocorrelation_frame: Float[np.ndarray, " vector"]  # lag one, of the left singular vectors: noise has about 0
    autocorrelation_q: Float[np.ndarray, " vector"]


def singular_values(block: Float[np.ndarray, "frame q"]) -> Float[np.ndarray, " value"]:
    """Singular values by the smaller Gram matrix, falling: relative accuracy 1e-8 of the largest."""
    gram = block @ block.T if block.shape[0] <= block.shape[1] else block.T @ block
    return np.sqrt(np.clip(np.linalg.eigvalsh(gram)[::-1], 0, None))


def noise_edge(frames: int, points: int) -> float:
    """Largest singular value of white noise of unit variance, in the limit of large matrices: sqrt(T) + sqrt(N)."""
    return float(np.sqrt(frames) + np.sqrt(points))


def tracy_widom_point(frames: int, points: int) -> float:
    """99 % point of the largest singular value of white noise of unit variance.

    References
    ----------
    Johnstone, Ann. Statist. 29, 295 (2001), theorem 1.1.
    """
    few, many = min(frames, points), max(frames, points)
    return largest_of_noise(max(many - 1, 1), few, TRACY_WIDOM_99)


def simulated_noise(
    sigma: Float[np.ndarray, "every q"], chosen: slice, subtraction: Subtraction, generator: np.random.Generator
) -> Float[np.ndarray, "frame q"]:
    """Draw noise of every measured frame, subtract the buffer as from the data, and keep the chosen frames."""
    noise = generator.standard_normal(sigma.shape) * sigma
    if subtraction.frames is not None:
        noise = noise - noise[slice(*subtraction.frames)].mean(axis=0)
    if subtraction.frames_elsewhere > 0:
        common = generator.standard_normal(sigma.shape[1]) * sigma[chosen].mean(axis=0)
        noise = noise - common / np.sqrt(subtraction.frames_elsewhere)
    return noise[chosen]


def autocorrelation(vectors: Float[np.ndarray, "value point"]) -> Float[np.ndarray, " value"]:
    """Correlation of each vector with itself, one point later: near 1 for signal, near 0 for noise."""
    norm = np.sum(vectors**2, axis=1)
    return np.sum(vectors[:, 1:] * vectors[:, :-1], axis=1) / np.where(norm > 0, norm, 1)


def find_rank(
    block: Float[np.ndarray, "frame q"],
    sigma: Float[np.ndarray, "every q"],
    weights: SeparableSigma,
    chosen: slice,
    subtraction: Subtraction,
    generator: np.random.Generator,
    draws: int = 12,
    deviations: float = 4.0,
    shown: int = 10,
) -> Rank:
    """Count the singular values above the noise that went through the same steps.

    Parameters
    ----------
    block:
        Data, weighted: (I - buffer) / (sigma_frame sigma_q) [1].
    sigma:
        Stated standard deviations of every measured frame, those of the buffer among them.
    weights:
        The factors that the data were divided by.
    chosen:
        The frames of ``block`` among all.
    deviations:
        Above the mean of the draws' largest singular value, in their standard deviations [1].
    shown:
        Singular vectors whose autocorrelation is given.
    """
    product = weights.frame[:, None] * weights.q
    noise = np.array(
        [
            singular_values(simulated_noise(sigma, chosen, subtraction, generator) / product)[: min(block.shape)]
            for _ in range(draws)
        ]
    )
    left, values, right = np.linalg.svd(block, full_matrices=False)
    factor = _noise_factor(values, noise.mean(axis=0))
    threshold = factor * float(noise[:, 0].mean() + deviations * noise[:, 0].std(ddof=1))
    edge, point = noise_edge(*block.shape), tracy_widom_point(*block.shape)
    return Rank(
        rank=int(np.sum(values > threshold)),
        singular_values=values,
        threshold=threshold,
        noise_edge=factor * edge,
        tracy_widom=factor * point,
        rank_by_edge=int(np.sum(values > factor * point)),
        noise_factor=factor,
        detectable=smallest_detectable(threshold, factor, block.shape),
        autocorrelation_frame=autocorrelation(left.T[:shown]),
        autocorrelation_q=autocorrelation(right[:shown]),
    )


def _noise_factor(values: Float[np.ndarray, " value"], noise: Float[np.ndarray, " value"]) -> float:
    """Compare the smallest singular values of data and of noise: signal of a few components does not reach them."""
    first = int(len(values) * (1 - _BULK))
    below = float(np.sqrt(np.mean(noise[first:] ** 2)))
    return float(np.sqrt(np.mean(values[first:] ** 2))) / below if below > 0 else 1.0


def smallest_detectable(threshold: float, factor: float, shape: tuple[int, ...]) -> float:
    r"""Weighted norm d of a component whose singular value, with the noise on it, just reaches the threshold.

    .. math:: s^2 = (d^2 + T f^2)(d^2 + N f^2) / d^2

    References
    ----------
    Benaych-Georges and Nadakuditi, J. Multivar. Anal. 111, 120 (2012), section 3.1.
    """
    frames, points, square = shape[0] * factor**2, shape[1] * factor**2, threshold**2
    half = square - frames - points
    root = half**2 - 4 * frames * points
    found = (half + np.sqrt(max(root, 0.0))) / 2
    return float(np.sqrt(max(found, factor**2 * np.sqrt(shape[0] * shape[1]))))
