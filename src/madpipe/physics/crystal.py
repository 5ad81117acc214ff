"""Reciprocal space of a unit cell, for real h k l: points of a diffraction volume are not integers."""

import math

import gemmi
import numpy as np
from jaxtyping import Float

HC = 12398.419843320026  # Planck constant x speed of light, exact in SI 2019 [eV angstrom]


_LENGTHS = (0.01, 1e6)  # of a cell's edges, beyond which no crystal is and numbers overflow [angstrom]


def is_cell(unit_cell: Float[np.ndarray, "..."]) -> bool:
    """Tell whether numbers are three lengths and three angles [degree] that make a cell with a volume."""
    if np.shape(unit_cell) != (6,) or not np.isfinite(unit_cell).all():
        return False
    lengths, angles = unit_cell[:3], unit_cell[3:]
    if lengths.min() < _LENGTHS[0] or lengths.max() > _LENGTHS[1] or angles.min() <= 0 or angles.max() >= 180:
        return False
    cosine = np.cos(np.radians(angles))
    return bool(1 - np.square(cosine).sum() + 2 * cosine.prod() > 1e-9)


def momentum_transfer(
    unit_cell: Float[np.ndarray, "6"], indices: Float[np.ndarray, "entry 3"]
) -> Float[np.ndarray, "entry 3"]:
    """Q of indices h k l in the cell's Cartesian frame, a along x and c* along z [1/angstrom].

    Parameters
    ----------
    unit_cell:
        a, b, c [angstrom], alpha, beta, gamma [degree].
    indices:
        Real h k l. gemmi's own functions take them for integers and cut them off.
    """
    fractional = np.array(gemmi.UnitCell(*np.asarray(unit_cell, dtype=float)).frac.mat.tolist())
    q: np.ndarray = 2 * math.pi * indices @ fractional
    return q


def real_indices(unit_cell: Float[np.ndarray, "6"], q: Float[np.ndarray, "entry 3"]) -> Float[np.ndarray, "entry 3"]:
    """Indices h k l of Q, the inverse of :func:`momentum_transfer`."""
    orthogonal = np.array(gemmi.UnitCell(*np.asarray(unit_cell, dtype=float)).orth.mat.tolist())
    indices: np.ndarray = q @ orthogonal / (2 * math.pi)
    return indices
