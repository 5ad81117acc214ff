"""Least squares with some unknowns at least zero: many right-hand sides of one small matrix, or one larger matrix."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls

_RIDGE = 1e-12  # of the mean diagonal: a component that vanished leaves the matrix without an inverse


def small_nonnegative(
    gram: Float[np.ndarray, "component component"],
    right: Float[np.ndarray, "component many"],
    positive: Bool[np.ndarray, " component"],
    summed: Bool[np.ndarray, " component"] | None = None,
    total: Float[np.ndarray, " many"] | None = None,
) -> Float[np.ndarray, "component many"]:
    r"""Minimise :math:`x^T G x / 2 - b^T x` for every column b, with ``positive`` unknowns at least zero.

    Every set of unknowns at zero is solved for all columns at once, and the least allowed value is taken: exact, and
    independent of any start. There are 2^n sets: for few components. Where ``total`` is given, the ``summed``
    unknowns of each column add up to it; a column in which they cannot is zero.
    """
    stable = _stable(gram)
    signed = np.flatnonzero(positive)
    best = np.zeros_like(right)
    lowest = np.full(right.shape[1], np.inf)
    for at_zero in product((False, True), repeat=len(signed)):
        free = np.ones(len(gram), dtype=bool)
        free[signed[np.array(at_zero, dtype=bool)]] = False
        tried = _stationary(stable, right, free, summed, total)
        if tried is None:
            continue
        value = np.sum((0.5 * stable @ tried - right) * tried, axis=0)
        better = (tried[signed] >= 0).all(axis=0) & (value < lowest)
        best[:, better], lowest[better] = tried[:, better], value[better]
    return best


def _stationary(
    gram: Float[np.ndarray, "component component"],
    right: Float[np.ndarray, "component many"],
    free: Bool[np.ndarray, " component"],
    summed: Bool[np.ndarray, " component"] | None,
    total: Float[np.ndarray, " many"] | None,
) -> Float[np.ndarray, "component many"] | None:
    """Solve for the free unknowns, the others at zero; None where the sum needs one of those."""
    found = np.zeros_like(right)
    inner = gram[np.ix_(free, free)]
    if summed is None or total is None:
        if free.any():
            found[free] = np.linalg.solve(inner, right[free])
        return found
    counted = summed[free].astype(float)
    if not counted.any():
        return None
    solved = np.linalg.solve(inner, np.column_stack([right[free], counted]))
    plain, along = solved[:, :-1], solved[:, -1]
    found[free] = plain + np.outer(along, (total - counted @ plain) / (counted @ along))
    return found


def dense(
    gram: Float[np.ndarray, "node node"], right: Float[np.ndarray, " node"], positive: Bool[np.ndarray, " node"]
) -> Float[np.ndarray, " node"]:
    r"""Minimise :math:`x^T G x / 2 - b^T x` with ``positive`` unknowns at least zero; the others are eliminated."""
    stable = _stable(gram)
    free = ~positive
    if not positive.any():
        solved: Float[np.ndarray, " node"] = cho_solve(cho_factor(stable), right)
        return solved
    found = np.zeros_like(right)
    reduced, wanted = stable[np.ix_(positive, positive)], right[positive]
    if free.any():
        factor = cho_factor(stable[np.ix_(free, free)])
        mixed = stable[np.ix_(free, positive)]
        reduced, wanted = (
            reduced - mixed.T @ cho_solve(factor, mixed),
            wanted - mixed.T @ cho_solve(factor, right[free]),
        )
    root = cholesky(_stable(reduced))  # upper: G = R^T R
    found[positive] = nnls(root, solve_triangular(root, wanted, trans="T"), maxiter=30 * len(wanted))[0]
    if free.any():
        found[free] = cho_solve(factor, right[free] - mixed @ found[positive])
    return found


def _stable(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Add to the diagonal what keeps the matrix invertible, symmetric."""
    size = float(np.trace(gram)) / len(gram)
    return (gram + gram.T) / 2 + np.eye(len(gram)) * (_RIDGE * size if size > 0 else 1.0)


def unimodal(
    values: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"] | None = None
) -> Float[np.ndarray, " frame"]:
    """Nearest series that rises to one maximum and falls after it, in the sense of weighted least squares."""
    count = len(values)
    weights = np.ones(count) if weights is None else weights
    rising, falling = _rising_costs(values, weights), _rising_costs(values[::-1], weights[::-1])
    costs = [rising[i] + (falling[count - i - 2] if i < count - 1 else 0.0) for i in range(count)]
    top = int(np.argmin(costs)) + 1
    after = _rising(values[top:][::-1], weights[top:][::-1])[::-1]
    return np.concatenate([_rising(values[:top], weights[:top]), after])


@dataclass(frozen=True)
class _Level:
    """Neighbours that share one value."""

    mean: float
    weight: float
    count: int


def _rising(values: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
    """Nearest rising series: adjacent violators are pooled."""
    levels = list[_Level]()
    for value, weight in zip(values, weights, strict=True):
        _pool(levels, float(value), float(weight))
    return np.array([one.mean for one in levels for _ in range(one.count)], dtype=float)


def _rising_costs(values: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]) -> list[float]:
    """Square of the distance of every beginning of a series to the rising series nearest to it."""
    levels, costs = list[_Level](), list[float]()
    explained = squares = 0.0
    for value, weight in zip(values, weights, strict=True):
        squares += float(weight) * float(value) ** 2
        explained += _pool(levels, float(value), float(weight))
        costs.append(squares - explained)
    return costs


def _pool(levels: list[_Level], value: float, weight: float) -> float:
    """Add a value to levels that rise; give the change of the sum of level^2 weight."""
    new, change = _Level(value, weight, 1), 0.0
    while levels and levels[-1].mean > new.mean:
        one = levels.pop()
        change -= one.mean**2 * one.weight
        total = one.weight + new.weight
        new = _Level((one.mean * one.weight + new.mean * new.weight) / total, total, one.count + new.count)
    levels.append(new)
    return change + new.mean**2 * new.weight
