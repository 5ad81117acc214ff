"""Optimal partition of scores into lines, which may be bent by an onset: a dynamic programme."""

import inspect
from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float, Int

_LEAST = 3  # frames of a segment at least
_FIRST_TIME, _TIMES = 1.5, 10  # shortest time constant [frame], how many up to the series' length


@dataclass(frozen=True)
class Partition:
    """Segments and their laws."""

    starts: Int[np.ndarray, " segment"]  # first frames, 0 among them
    bends: Int[np.ndarray, " segment"]  # -1: a line; else of :func:`bends_of`


def bends_of(frames: int) -> list["Bend"]:
    """Give the onsets that segments may have: exponential, and of Avrami's form with the exponent 2."""
    times = np.geomspace(_FIRST_TIME, max(frames / 2, 2 * _FIRST_TIME), _TIMES)
    return [Bend(float(time), order) for order in (1, 2) for time in times]


@dataclass(frozen=True)
class Bend:
    """What is left of a change: exp(-(x / time)^order)."""

    time: float  # [frame]
    order: int  # 1 or 2

    def left(self, after: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
        """Give it at so many frames after its start."""
        return np.exp(-((after / self.time) ** self.order))


def partition(
    scores: Float[np.ndarray, "frame component"], weights: Float[np.ndarray, " frame"], event: float, bend: float
) -> Partition:
    """Minimise the squares about lines and bent lines plus a penalty for each event and each bend, exactly.

    A law is a + b t, or a + b t + c exp(-((t - t0) / tau)^n): an onset is one law, not several lines. Every start of a
    segment is tried (O(T^2)), but those that can no more be part of the best partition: a split costs no more than a
    penalty and a second bend (exact for n = 1, whose tail is an exponential; n = 2 has a second penalty's room).

    Parameters
    ----------
    scores:
        With noise of variance 1 / weight.
    weights:
        Of the frames.
    event, bend:
        Penalties, of :mod:`madpipe.kinetics.events.penalty`.

    References
    ----------
    Killick, Fearnhead & Eckley, J. Am. Stat. Assoc. 107, 1590 (2012) (the pruning, theorem 3.1).
    """
    known = bends_of(len(scores))
    first = np.array([float(one.left(np.array([1.0]))[0]) for one in known])
    later = np.array([1.0 if one.order == 1 else np.exp(-2 / one.time**2) for one in known])
    origin, law = _solve(np.ascontiguousarray(scores), weights, event, bend, first, later)
    starts, laws = [], []
    end = len(scores)
    while end > 0:
        starts.append(int(origin[end]))
        laws.append(int(law[end]))
        end = int(origin[end])
    return Partition(np.array(starts[::-1]), np.array(laws[::-1]))


def _solve_plainly(scores, weights, event, bend, first, later):  # type: ignore[no-untyped-def]
    """Best start and law of the last segment for each end; the sums of each start are kept up to date."""
    frames, components = scores.shape
    kinds = len(first)
    best = np.full(frames + 1, np.inf)
    best[0] = -event
    origin = np.zeros(frames + 1, dtype=np.int64)
    law = np.full(frames + 1, -1, dtype=np.int64)
    alive = np.ones(frames + 1, dtype=np.bool_)
    design = np.zeros((frames + 1, 3 + 3 * kinds))  # sums of w, w x, w x^2; w e, w e x, w e^2 of each kind
    sums = np.zeros((frames + 1, components, 3 + kinds))  # sums of w z, w z x, w z^2, w z e
    power = np.ones((frames + 1, kinds))  # e at the next frame of a segment
    decay = np.ones((frames + 1, 1)) * first  # e of the frame after it over that
    cost = np.full(frames + 1, np.inf)
    for end in range(1, frames + 1):
        for start in range(end):
            if alive[start] and best[start] < np.inf:
                place = end - 1 - start
                _add(design[start], sums[start], power[start], scores[end - 1], weights[end - 1], place)
                power[start] *= decay[start]
                decay[start] *= later
                least, chosen = np.inf, -1
                if end - start >= _LEAST:
                    least, chosen = _law(design[start], sums[start], end - start, bend)
                cost[start] = best[start] + least + event
                if cost[start] < best[end]:
                    best[end], origin[end], law[end] = cost[start], start, chosen
        for start in range(end):
            if alive[start] and cost[start] < np.inf and cost[start] - event > best[end] + bend + event:
                alive[start] = False
    return origin, law


def _add_plainly(design, sums, power, now, weight, place):  # type: ignore[no-untyped-def]
    """Add a frame to the sums of a segment."""
    design[0] += weight
    design[1] += weight * place
    design[2] += weight * place * place
    for c in range(len(now)):
        sums[c, 0] += weight * now[c]
        sums[c, 1] += weight * now[c] * place
        sums[c, 2] += weight * now[c] * now[c]
    for kind in range(len(power)):
        part = weight * power[kind]
        design[3 + 3 * kind] += part
        design[4 + 3 * kind] += part * place
        design[5 + 3 * kind] += part * power[kind]
        for c in range(len(now)):
            sums[c, 3 + kind] += part * now[c]


def _law_plainly(design, sums, length, bend):  # type: ignore[no-untyped-def]
    """Least squares of a segment and its law: -1 for a line, else which time constant."""
    middle = design[1] / design[0]
    spread = design[2] - middle * design[1]
    line = 0.0
    for c in range(len(sums)):
        slope = sums[c, 1] - middle * sums[c, 0]
        line += sums[c, 2] - sums[c, 0] ** 2 / design[0] - slope**2 / spread
    chosen, least = -1, line
    if length < 2 * _LEAST:
        return least, chosen
    for kind in range(sums.shape[1] - 3):
        e_sum, e_square = design[3 + 3 * kind], design[5 + 3 * kind]
        e_slope = design[4 + 3 * kind] - middle * e_sum
        norm = e_square - e_sum**2 / design[0] - e_slope**2 / spread
        if norm < 1e-6 * e_square:
            continue
        gain = 0.0
        for c in range(len(sums)):
            slope = sums[c, 1] - middle * sums[c, 0]
            part = sums[c, 3 + kind] - e_sum * sums[c, 0] / design[0] - e_slope * slope / spread
            gain += part * part / norm
        if line - gain + bend < least:
            least, chosen = line - gain + bend, kind
    return least, chosen


_add = numba.njit(cache=True, error_model="numpy", nogil=True)(inspect.unwrap(_add_plainly))
_law = numba.njit(cache=True, error_model="numpy", nogil=True)(inspect.unwrap(_law_plainly))
_solve = numba.njit(cache=True, error_model="numpy", nogil=True)(inspect.unwrap(_solve_plainly))
