"""Least squares with some unknowns at least zero: many right-hand sides of one small matrix, or one larger matrix."""

import inspect
from itertools import product

import numba
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
    rising, _ = _rising(values, weights)
    falling, _ = _rising(values[::-1].copy(), weights[::-1].copy())
    top = int(np.argmin(rising + np.append(falling[::-1][1:], 0.0))) + 1
    _, before = _rising(values[:top], weights[:top])
    _, after = _rising(values[top:][::-1].copy(), weights[top:][::-1].copy())
    return np.concatenate([before, after[::-1]])


def _rising_plainly(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest rising series, and the square of the distance to it of every beginning: adjacent violators are pooled."""
    count = len(values)
    mean, weight, length = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.int64)
    costs, levels, left = np.zeros(count), 0, 0.0
    for place in range(count):
        mean[levels], weight[levels], length[levels] = values[place], weights[place], 1
        levels += 1
        while levels > 1 and mean[levels - 2] > mean[levels - 1]:
            one, other = weight[levels - 2], weight[levels - 1]
            left += one * other / (one + other) * (mean[levels - 2] - mean[levels - 1]) ** 2
            mean[levels - 2] = (one * mean[levels - 2] + other * mean[levels - 1]) / (one + other)
            weight[levels - 2] = one + other
            length[levels - 2] += length[levels - 1]
            levels -= 1
        costs[place] = left
    found, first = np.zeros(count), 0
    for level in range(levels):
        found[first : first + length[level]] = mean[level]
        first += length[level]
    return costs, found


_rising = numba.njit(cache=True, nogil=True)(inspect.unwrap(_rising_plainly))
