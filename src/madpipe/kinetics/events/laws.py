"""Laws of segments fitted again: where a kink is, whether the signal jumps, and when an event was evident."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from madpipe.kinetics.events.partition import Bend

_JUMP = 1e-3  # chance of calling a kink a step
_NEAR = 40  # frames on either side of the programme's answer where a kink is looked for
_LEAST = 3


@dataclass(frozen=True)
class Law:
    """Least squares of a segment: a line, with an onset or not."""

    start: int
    end: int
    bend: Bend | None
    coefficients: Float[np.ndarray, "term component"]
    inverse: Float[np.ndarray, "term term"]  # covariance of a component's terms

    def basis(self, frames: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame term"]:
        """Terms of the law at frames, inside the segment or after it."""
        after = frames - self.start
        terms = [np.ones_like(after), after]
        if self.bend is not None:
            terms.append(self.bend.left(after))
        return np.stack(terms, axis=1)

    def at(self, frames: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame component"]:
        """Scores by the law."""
        return self.basis(frames) @ self.coefficients


def law_of(
    scores: Float[np.ndarray, "frame component"],
    weights: Float[np.ndarray, " frame"],
    start: int,
    end: int,
    bend: Bend | None,
) -> Law:
    """Fit a segment."""
    empty = Law(start, end, bend, np.zeros((2, 1)), np.zeros((2, 2)))
    terms = empty.basis(np.arange(start, end, dtype=float))
    root = np.sqrt(weights[start:end])[:, None]
    inverse = np.linalg.pinv(terms * root)
    return Law(start, end, bend, inverse @ (scores[start:end] * root), inverse @ inverse.T)


def is_jump(kink: float, jump: float, components: int) -> bool:
    """Say whether the signal jumps: squares about laws that meet, over those about laws that need not."""
    return bool(kink - jump > chi2.isf(_JUMP, components))


def kink_between(
    scores: Float[np.ndarray, "frame component"], weights: Float[np.ndarray, " frame"], before: Law, after: Law
) -> tuple[int, float]:
    """Give the frame where two laws meet without a jump, by least squares over all frames near, and those squares."""
    here, last = np.arange(before.start, after.end, dtype=float), after.start + _NEAR
    root = np.sqrt(weights[before.start : after.end])[:, None]
    data = scores[before.start : after.end] * root
    best = (after.start, np.inf)
    for frame in range(max(before.start + _LEAST, after.start - _NEAR), min(after.end - _LEAST, last) + 1):
        later = np.maximum(here - frame, 0.0)
        terms = [before.basis(np.minimum(here, frame)), later[:, None]]
        if after.bend is not None:
            terms.append(1 - after.bend.left(later)[:, None])
        basis = np.linalg.qr(np.concatenate(terms, axis=1) * root)[0]
        squares = float(np.square(data - basis @ (basis.T @ data)).sum())
        if squares < best[1]:
            best = (frame, squares)
    return best


def evident_by(weights: Float[np.ndarray, " frame"], before: Law, after: Law, frame: int, sigmas: float) -> int:
    """Give the frame by which the data differ from the law before by so many standard deviations; else the last."""
    frames = np.arange(frame, after.end)
    difference = after.at(frames.astype(float)) - before.at(frames.astype(float))
    evidence = np.cumsum(weights[frames] * np.square(difference).sum(axis=1))
    reached = np.flatnonzero(evidence >= sigmas**2)
    return int(frames[reached[0]]) if len(reached) else after.end - 1
