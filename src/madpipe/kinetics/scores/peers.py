"""The usual searches for change points, beside which ours stands: constant segments by least squares, as PELT has."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.kinetics.events.scores import scores_of
from madpipe.kinetics.scores.events import EventScore, score_events
from madpipe.kinetics.simulate.events import EventSeries
from madpipe.kinetics.whitened import noise_of, whiten

Scored = Callable[[Curves], Float[np.ndarray, "frame component"]]
_PENALTIES = tuple(float(one) for one in np.geomspace(1, 1000, 13))  # per component, in ln T
_FEWEST = 2  # frames of a segment


def change_points(scores: Float[np.ndarray, "frame component"], penalty: float) -> list[int]:
    """First frames of the segments, but the first one's, of the best partition into constants.

    References
    ----------
    Killick, Fearnhead and Eckley, J. Am. Stat. Assoc. 107, 1590 (2012), equation 4: PELT finds this optimum sooner.
    """
    frames = len(scores)
    total = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(scores).sum(axis=1))])
    best, last = np.full(frames + 1, np.inf), np.zeros(frames + 1, dtype=int)
    best[0] = -penalty
    for end in range(_FEWEST, frames + 1):
        begin = np.arange(end - _FEWEST + 1)
        cost = squares[end] - squares[begin] - np.square(total[end] - total[begin]).sum(axis=1) / (end - begin)
        all_costs = best[begin] + cost + penalty
        last[end] = int(all_costs.argmin())
        best[end] = all_costs[last[end]]
    found, end = [], frames
    while last[end] > 0:
        end = int(last[end])
        found.append(end)
    return found[::-1]


def scores_of_logarithms(curves: Curves) -> Float[np.ndarray, "frame component"]:
    """Three principal components of ln I, in standard deviations of their own second differences."""
    values = np.log(np.maximum(curves.intensity, 1e-3 * curves.intensity.max()))
    return _in_noise(_principal(values - values.mean(axis=0), 3))


def whitened_scores(curves: Curves) -> Float[np.ndarray, "frame component"]:
    """Components above the noise of the whitened frames, the beam and the buffer among them."""
    data = whiten(curves).data
    data = data - data.mean(axis=0)
    noise = noise_of(np.linalg.svd(data, compute_uv=False), *data.shape)
    return _principal(data, max(noise.rank, 1)) / noise.level


def steadied_scores(curves: Curves) -> Float[np.ndarray, "frame component"]:
    """Components above the noise, beam and buffer left out, as our own search has them."""
    scores = scores_of(curves)
    found: np.ndarray = scores.values * np.sqrt(scores.weights)[:, None]
    return found if found.shape[1] else np.zeros((len(found), 1))


def _principal(data: np.ndarray, count: int) -> np.ndarray:
    """Scores of the strongest components."""
    left, singular, _ = np.linalg.svd(data, full_matrices=False)
    found: np.ndarray = left[:, :count] * singular[:count]
    return found


def _in_noise(scores: np.ndarray) -> np.ndarray:
    """Scores over the standard deviation that second differences tell: the square root of 6 times the noise's."""
    level = np.median(np.abs(np.diff(scores, n=2, axis=0)), axis=0) / (0.6745 * np.sqrt(6))
    found: np.ndarray = scores / np.maximum(level, 1e-300)
    return found


def found_by(scored: Scored, factor: float, curves: Curves) -> list[int]:
    """Change points of one series by a penalty of ``factor`` ln T for each component."""
    scores = scored(curves)
    return change_points(scores, factor * np.log(len(scores)) * scores.shape[1])


def tuned(scored: Scored, series: Sequence[EventSeries]) -> float:
    """Give the factor of the penalty that answers these series best."""
    every = [(scored(one.curves), one.events) for one in series]

    def f1(factor: float) -> float:
        total = EventScore(0, 0, 0, 0)
        for scores, events in every:
            total += score_events(events, change_points(scores, factor * np.log(len(scores)) * scores.shape[1]))
        return total.f1()

    return max(_PENALTIES, key=f1)


PEERS: dict[str, Scored] = {
    "PELT on ln I, three components": scores_of_logarithms,
    "PELT on whitened frames": whitened_scores,
    "PELT, beam and buffer left out": steadied_scores,
}
