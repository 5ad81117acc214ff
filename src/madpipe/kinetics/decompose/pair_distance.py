r"""Pair distance distribution of a species: a curve that is one of a particle no larger than D_max.

.. math:: I(q) = 4\pi \int_0^{D_{max}} P(r)\, \frac{\sin qr}{qr}\, dr

The same quadrature (trapezoids on equal steps, P = 0 at both ends) and the same second difference as in REGALS, so that
a penalty means the same in both.

References
----------
Glatter, J. Appl. Cryst. 10, 415 (1977); Meisburger et al., IUCrJ 8, 225 (2021).
"""

import numpy as np
from jaxtyping import Float

NODES = 101


def distances(d_max: float, nodes: int = NODES) -> Float[np.ndarray, " r"]:
    """Inner nodes of r, at which P(r) is free [angstrom]."""
    return np.linspace(0.0, d_max, nodes)[1:-1]


def transform(q: Float[np.ndarray, " q"], d_max: float, nodes: int = NODES) -> Float[np.ndarray, "q r"]:
    """Matrix that makes I(q) of P(r) at :func:`distances`; with q = 0 its row gives I(0)."""
    step = d_max / (nodes - 1)
    return 4 * np.pi * step * np.sinc(np.outer(q, distances(d_max, nodes)) / np.pi)


def second_difference(nodes: int, drop_first: bool = False, drop_last: bool = False) -> Float[np.ndarray, "row node"]:
    """Matrix of minus half the second differences of values on equal steps; a dropped end is zero."""
    full = np.zeros((nodes - 2, nodes))
    rows = np.arange(nodes - 2)
    full[rows, rows], full[rows, rows + 1], full[rows, rows + 2] = -0.5, 1.0, -0.5
    return full[:, int(drop_first) : nodes - int(drop_last)]


def radius_of_gyration(p_of_r: Float[np.ndarray, " r"], d_max: float, nodes: int = NODES) -> float:
    """Rg of P(r): its square is half the mean square distance [angstrom]; not a number where that is negative."""
    r = distances(d_max, nodes)
    square = float(np.sum(p_of_r * r**2) / (2 * np.sum(p_of_r)))
    return float(np.sqrt(square)) if square > 0 else float("nan")


def penalty_for(
    gram: Float[np.ndarray, "node node"], roughness: Float[np.ndarray, "node node"], parameters: float
) -> float:
    """Penalty at which a smoothed fit has a number of effective parameters: the sum of d / (d + penalty).

    Parameters
    ----------
    gram:
        Normal matrix of the fit without penalty.
    roughness:
        Square of the second difference.
    parameters:
        Wanted; no more than the matrix holds are possible, which gives no penalty [1].
    """
    scale = np.trace(gram) / len(gram)
    if scale <= 0:
        return 0.0
    values, vectors = np.linalg.eigh(gram / scale + 1e-12 * np.eye(len(gram)))
    root = vectors / np.sqrt(values)
    inverse = np.clip(np.linalg.eigvalsh(root.T @ roughness @ root), 0, None)  # 1 / d
    low, high = -30.0, 30.0
    if np.sum(1 / (1 + 10**low * inverse)) <= parameters:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sum(1 / (1 + 10**middle * inverse)) > parameters else (low, middle)
    return float(scale * 10**high)
