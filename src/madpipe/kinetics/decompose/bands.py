"""Bands of the concentrations: between which curves each lies, over all solutions that fit and obey the constraints."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from madpipe.kinetics.decompose import pair_distance
from madpipe.kinetics.decompose.component import Component
from madpipe.kinetics.decompose.rank import singular_values, smallest_detectable, tracy_widom_point
from madpipe.kinetics.decompose.rotation import FeasibleSet, Measure, Rows, extreme, gauged, into_the_set, joined
from madpipe.kinetics.decompose.weights import SeparableSigma

_Rows = Float[np.ndarray, "row point"]
_MOST_WINDOWS = 64  # of the shortest length that is looked at
_BLOCKS = 4  # of the series: the share in each is driven to its ends, beside that in all
TOLERANCE = 3.0  # of each bound [standard deviation]
NOISE_SHOWN = 2.0  # standard deviations of noise that a band has beyond the extreme solutions
_TOO_SMOOTH = 4.0  # standard deviations of chi-square
_FRAME_BINS, _Q_BINS = 16, 48  # of the residual, in which slow components are looked for
_LARGER = 3.0  # D_max beyond which a particle would be seen, over the one that is allowed


@dataclass(frozen=True)
class Band:
    """Extremes of every component, and the solutions at which they lie."""

    low: Float[np.ndarray, "frame component"]  # concentration, or share of the signal where there is no closure
    high: Float[np.ndarray, "frame component"]
    middle: Float[np.ndarray, "frame component"]  # of the solution from which the search began
    share: Float[np.ndarray, "component 2"]  # of the whole series, least and largest
    profile_low: Float[np.ndarray, "component q"]
    profile_high: Float[np.ndarray, "component q"]
    curves: Float[np.ndarray, "solution component q"]  # at the extremes; the first is that of the middle
    outside: float  # by how much the constraints contradict the data [standard deviation beyond the tolerance]

    def width(self) -> Float[np.ndarray, " component"]:
        """Width of each component's share of the whole series: rotational ambiguity without noise."""
        return self.share[:, 1] - self.share[:, 0]


@dataclass(frozen=True)
class Factors:
    """Singular vectors of the weighted series, of the rank of the components."""

    left: Float[np.ndarray, "frame component"]  # times sigma_frame
    values: Float[np.ndarray, " component"]
    right: Float[np.ndarray, "component q"]  # times singular values, over sigma_q
    weights: SeparableSigma
    noise: float  # factor of the noise over the stated one
    hidden: (
        float  # norm of a slow component beyond these that the residual shows, over the noise; 0 where it shows none
    )

    def slow_error(self, points: int) -> float:
        """What the hidden component may add to each of a number of points, over their noise: means do not reduce it."""
        return self.hidden / float(np.sqrt(points))


@dataclass(frozen=True)
class Gauge:
    """The condition A 1 = g that fixes the scales of concentrations and curves."""

    vector: Float[np.ndarray, " component"]
    signal: Float[np.ndarray, " q"] | None  # weighted curves have a projection of 1 on it; None: closure
    misfit: float  # of closure: root mean square of what is left of 1, over its noise


def factors_of(block: Float[np.ndarray, "frame q"], count: int, weights: SeparableSigma, noise: float) -> Factors:
    """Take the first components of a weighted series."""
    left, values, right = np.linalg.svd(block, full_matrices=False)
    return Factors(
        left=left[:, :count] * weights.frame[:, None],
        values=values[:count],
        right=values[:count, None] * right[:count],
        weights=weights,
        noise=noise,
        hidden=hidden_component((block - (left[:, :count] * values[:count]) @ right[:count]) / noise),
    )


def hidden_component(residual: Float[np.ndarray, "frame q"]) -> float:
    """Norm of the largest slow component in a residual of unit noise, below the edge of the whole matrix.

    Sums over neighbouring frames and q, over the root of their number, keep the noise at 1 and make the matrix small:
    its edge is then low, and a drift that is smooth in time and q stands above it.
    """
    summed = _binned(_binned(residual, _FRAME_BINS).T, _Q_BINS).T
    largest = float(singular_values(summed)[0])
    threshold = tracy_widom_point(*summed.shape)
    return smallest_detectable(largest, 1.0, summed.shape) if largest > threshold else 0.0


def _binned(matrix: Float[np.ndarray, "row column"], most: int) -> Float[np.ndarray, "bin column"]:
    """Sums of neighbouring rows over the root of their number."""
    edges = np.linspace(0, len(matrix), min(most, len(matrix)) + 1).round().astype(int)
    return np.add.reduceat(matrix, edges[:-1], axis=0) / np.sqrt(np.diff(edges))[:, None]


def windows(count: int, inside: Bool[np.ndarray, " point"]) -> _Rows:
    """Means over stretches of every length, each twice the one before: what is small but lasts counts as well."""
    length, rows = max(1, -(-count // _MOST_WINDOWS)), list[Float[np.ndarray, " point"]]()
    while length <= max(1, count // 4):
        for first in range(0, count - length + 1, max(1, length // 2)):
            row = np.zeros(count)
            row[first : first + length] = inside[first : first + length]
            if row.any():
                rows.append(row / row.sum())
        length *= 2
    return np.array(rows).reshape(-1, count)


def feasible_set(
    factors: Factors,
    q: Float[np.ndarray, " q"],
    components: tuple[Component, ...],
    gauge: Gauge,
    closure: bool,
    start: Float[np.ndarray, "component component"],
) -> FeasibleSet:
    """Write all constraints as bounds in the space of the singular vectors."""
    summed = np.array([one.in_closure or not closure for one in components])
    concentrations = [_empty(len(components))]
    profiles = [_empty(len(components))]
    for k, one in enumerate(components):
        smoother = _smoother(one, factors)
        concentrations += _range_rows(k, one, factors, smoother)
        concentrations += _known_rows(k, one, factors, smoother, closure)
        if one.unimodal:
            top = int(np.argmax(smoother @ (factors.left @ start[:, k])))
            concentrations.append(_one_top(k, top, factors, smoother))
        profiles += _profile_rows(k, one, factors, q, gauge.signal)
    return FeasibleSet(
        of_concentrations=joined(*concentrations),
        of_profiles=joined(*profiles),
        values=factors.values,
        noise=factors.noise,
        tolerance=TOLERANCE,
        summed=summed,
    )


def _empty(count: int) -> Rows:
    """No rows."""
    nothing = np.zeros(0)
    return Rows(np.zeros((0, count)), np.zeros(0, dtype=np.int64), nothing, np.zeros(0, dtype=bool), nothing)


def _smoother(one: Component, factors: Factors) -> Float[np.ndarray, "frame frame"]:
    """Matrix that smooths a concentration as its constraint does; the unit matrix where there is none.

    Where it would take away more of the singular vectors than their noise, the data are not that smooth: nothing is
    smoothed then, so that a band is never narrow for the sake of a wrong constraint.
    """
    frames = len(factors.left)
    if one.smooth is None:
        return np.eye(frames)
    basis = one.smooth.basis() * one.present(frames)[:, None]
    weighted = basis / factors.weights.frame[:, None]
    gram, rough = weighted.T @ weighted, one.smooth.roughness()
    count = one.smooth.parameters or 0.8 * min(basis.shape)
    penalty = pair_distance.penalty_for(gram, rough, count)
    inner = gram + penalty * rough + 1e-12 * np.trace(gram) / len(gram) * np.eye(len(gram))
    smoother = basis @ np.linalg.solve(inner, weighted.T / factors.weights.frame)
    removed = (factors.left - smoother @ factors.left) * factors.values / factors.weights.frame[:, None]
    taken = np.sum(removed**2, axis=0) / factors.noise**2
    freedom = frames - 2 * float(np.trace(smoother)) + float(np.sum(smoother**2))
    return smoother if taken.max() <= freedom + _TOO_SMOOTH * np.sqrt(2 * max(freedom, 1.0)) else np.eye(frames)


def _concentration_rows(
    k: int, rows: _Rows, factors: Factors, target: float | Float[np.ndarray, " row"], two_sided: bool
) -> Rows:
    """Bounds on means of a concentration over frames."""
    return Rows(
        vectors=rows @ factors.left,
        component=np.full(len(rows), k),
        target=np.broadcast_to(np.asarray(target, dtype=float), (len(rows),)).copy(),
        two_sided=np.full(len(rows), two_sided),
        noise=np.hypot(
            np.linalg.norm(rows * factors.weights.frame, axis=1),
            factors.slow_error(len(factors.left)) * (rows @ factors.weights.frame),
        ),
    )


def _range_rows(k: int, one: Component, factors: Factors, smoother: Float[np.ndarray, "frame frame"]) -> list[Rows]:
    """Not negative where the component may be, and nothing where it may not."""
    frames = len(factors.left)
    present = one.present(frames)
    found = []
    if one.positive_concentration:
        found.append(_concentration_rows(k, windows(frames, present) @ smoother, factors, 0.0, False))
    if not present.all():
        found.append(_concentration_rows(k, windows(frames, ~present), factors, 0.0, True))
    return found


def _known_rows(
    k: int, one: Component, factors: Factors, smoother: Float[np.ndarray, "frame frame"], closure: bool
) -> list[Rows]:
    """Known concentrations; without closure, where concentrations have no unit of their own, only known zeros."""
    if one.known_concentration is None:
        return []
    known = np.isfinite(one.known_concentration) & (closure | (one.known_concentration == 0))
    values = np.where(known, one.known_concentration, 0.0)
    stretches = windows(len(values), known)
    singles = np.eye(len(values))[known]
    rows = np.vstack([singles, stretches]) if len(stretches) else singles
    return [_concentration_rows(k, rows @ smoother, factors, rows @ values, True)] if known.any() else []


def _one_top(k: int, top: int, factors: Factors, smoother: Float[np.ndarray, "frame frame"]) -> Rows:
    """Rising up to a frame, and falling after it: differences of means over neighbouring stretches."""
    frames = len(factors.left)
    rows = []
    for length in {max(1, frames // 40), max(1, frames // 12)}:
        for first in range(0, frames - 2 * length + 1, length):
            sign = 1.0 if first + 2 * length <= top + 1 else -1.0 if first >= top else 0.0
            row = np.zeros(frames)
            row[first : first + length], row[first + length : first + 2 * length] = -sign / length, sign / length
            if sign:
                rows.append(row)
    return _concentration_rows(k, np.array(rows).reshape(-1, frames) @ smoother, factors, 0.0, False)


def _profile_rows(
    k: int, one: Component, factors: Factors, q: Float[np.ndarray, " q"], signal: Float[np.ndarray, " q"] | None
) -> list[Rows]:
    """Not negative, equal to a known curve, or of a particle no larger than D_max."""
    count, found = len(q), []
    every = windows(count, np.ones(count, dtype=bool)) / factors.weights.q
    if one.known_profile is not None:
        known = one.known_profile / factors.weights.q
        if signal is not None:
            known = known / float(known @ signal)
        found.append(_weighted_rows(k, every, factors, every @ known, True))
    elif one.positive_profile:
        found.append(_weighted_rows(k, every, factors, 0.0, False))
    if one.d_max is not None:
        found.append(_weighted_rows(k, _beyond(q, one.d_max, factors.weights.q), factors, 0.0, True))
    return found


def _weighted_rows(
    k: int, rows: _Rows, factors: Factors, target: float | Float[np.ndarray, " row"], two_sided: bool
) -> Rows:
    """Bounds on sums of a weighted curve over q."""
    return Rows(
        vectors=rows @ factors.right.T,
        component=np.full(len(rows), k),
        target=np.broadcast_to(np.asarray(target, dtype=float), (len(rows),)).copy(),
        two_sided=np.full(len(rows), two_sided),
        noise=np.hypot(np.linalg.norm(rows, axis=1), factors.slow_error(rows.shape[1]) * rows.sum(axis=1)),
    )


def _beyond(q: Float[np.ndarray, " q"], d_max: float, sigma: Float[np.ndarray, " q"]) -> _Rows:
    """Weighted curves of larger particles that no particle within D_max has, as rows at right angles."""
    span = float(np.ptp(q))
    inner, outer = (pair_distance.transform(q, size) / sigma[:, None] for size in (d_max, _LARGER * d_max))
    within = np.linalg.svd(inner, full_matrices=False)[0][:, : int(np.ceil(span * d_max / np.pi)) + 2]
    larger = np.linalg.svd(outer, full_matrices=False)[0][:, : int(np.ceil(span * _LARGER * d_max / np.pi))]
    rest = larger - within @ (within.T @ larger)
    left, values, _ = np.linalg.svd(rest, full_matrices=False)
    return left[:, values > 0.3].T


def gauge_of(factors: Factors, closure: bool) -> Gauge:
    """Fix the scales by closure, or so that every curve has the same signal."""
    if not closure:
        mean = factors.left.mean(axis=0) @ factors.right
        signal = mean / float(np.linalg.norm(mean))
        return Gauge(factors.right @ signal, signal, 0.0)
    frame = factors.weights.frame
    left = factors.left / frame[:, None]
    vector = np.linalg.lstsq(left, 1 / frame, rcond=None)[0]
    noise = factors.noise * float(np.sqrt(np.sum((vector / factors.values) ** 2)))
    return Gauge(vector, None, float(np.sqrt(np.mean((1 / frame - left @ vector) ** 2))) / noise)


def find_bands(
    factors: Factors,
    q: Float[np.ndarray, " q"],
    components: tuple[Component, ...],
    concentrations: Float[np.ndarray, "frame component"],
    closure: bool,
    blocks: int = _BLOCKS,
    only: int | None = None,
) -> Band:
    """Drive the share of every component, in all of the series and in parts of it, to both its ends.

    Parameters
    ----------
    concentrations:
        Of a solution, from which the search starts.
    blocks:
        Parts of the series.
    only:
        The one component to look at, else all.
    """
    gauge = gauge_of(factors, closure)
    frame = factors.weights.frame[:, None]
    fitted = np.linalg.lstsq(factors.left / frame, concentrations / frame, rcond=None)[0]
    if np.linalg.cond(fitted) > 1e10:
        fitted = np.eye(len(fitted))
    summed = np.array([one.in_closure or not closure for one in components])
    start = gauged(fitted, gauge.vector, summed)
    within = feasible_set(factors, q, components, gauge, closure, start)
    start, outside = into_the_set(start, within)
    within = replace(within, tolerance=within.tolerance + max(outside, 0.0))
    found = [start]
    measures = _shares(factors, gauge.vector, blocks, only)
    if only is None:
        measures += _shapes(factors, q, start)
    for measure in measures:
        found += _both_ends(start, within, measure)
    return _band(found, factors, components, gauge.vector, outside, within)


def _shares(factors: Factors, gauge: Float[np.ndarray, " component"], blocks: int, only: int | None) -> list[Measure]:
    """Shares of each component: of the whole series, and of those parts of it that have a signal."""
    frames, count = factors.left.shape
    total = factors.left @ gauge
    parts = [slice(0, frames)] + [slice(i * frames // blocks, (i + 1) * frames // blocks) for i in range(blocks)]
    found = []
    for part in parts:
        of_part = float(np.mean(total[part])) if len(total[part]) else 0.0
        if of_part <= 0.05 * float(np.mean(np.abs(total))):
            continue
        for k in range(count) if only is None else (only,):
            measure = np.zeros((count, count))
            measure[:, k] = factors.left[part].mean(axis=0) / of_part
            found.append(Measure(measure, np.zeros((count, count))))
    return found


def _shapes(
    factors: Factors, q: Float[np.ndarray, " q"], start: Float[np.ndarray, "component component"]
) -> list[Measure]:
    """Intensity of each component at low q against that at all q: what its radius of gyration depends on."""
    count, inverse = len(start), np.linalg.inv(start)
    low = np.zeros(len(q))
    low[: max(2, len(q) // 12)] = 1.0
    low, every = low / factors.weights.q, np.ones(len(q)) / factors.weights.q
    at_low, at_all = factors.right @ low, factors.right @ every
    found = []
    for k in range(count):
        first, other = float(inverse[k] @ at_low), float(inverse[k] @ at_all)
        if abs(first) > 0 and abs(other) > 0:
            measure = np.zeros((count, count))
            measure[k] = at_low / abs(first) - at_all * (first / abs(first) / other)
            found.append(Measure(np.zeros((count, count)), measure))
    return found


def _both_ends(
    start: Float[np.ndarray, "component component"], within: FeasibleSet, measure: Measure
) -> list[Float[np.ndarray, "component component"]]:
    """Solutions at which a measure is smallest and largest."""
    return [one for towards in (measure.reversed(), measure) for one in extreme(start, within, towards)[-1:]]


def _band(
    found: list[Float[np.ndarray, "component component"]],
    factors: Factors,
    components: tuple[Component, ...],
    gauge: Float[np.ndarray, " component"],
    outside: float,
    within: FeasibleSet,
) -> Band:
    """Take the extremes over solutions, and add the noise of each."""
    smoothers = [_smoother(one, factors) for one in components]
    slow = factors.slow_error(len(factors.left)) * factors.weights.frame
    reach = np.stack([np.hypot(np.linalg.norm(one * factors.weights.frame, axis=1), slow) for one in smoothers], axis=1)
    c = np.array([np.stack([s @ (factors.left @ a[:, k]) for k, s in enumerate(smoothers)], axis=1) for a in found])
    noise = NOISE_SHOWN * np.array([reach * within.concentration_noise(a) for a in found])
    curves = np.array([np.linalg.inv(a) @ factors.right for a in found]) * factors.weights.q
    spread = np.array([within.profile_noise(np.linalg.inv(a)) for a in found])[:, :, None] * factors.weights.q
    total = float(np.mean(factors.left @ gauge))
    shares = np.array([factors.left.mean(axis=0) @ a / total for a in found])
    return Band(
        low=(c - noise).min(axis=0),
        high=(c + noise).max(axis=0),
        middle=c[0],
        share=np.stack([shares.min(axis=0), shares.max(axis=0)], axis=1),
        profile_low=(curves - NOISE_SHOWN * spread).min(axis=0),
        profile_high=(curves + NOISE_SHOWN * spread).max(axis=0),
        curves=curves,
        outside=max(outside, 0.0),
    )
