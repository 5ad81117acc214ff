"""Orientations that low angles cannot tell apart.

Near the beam the Ewald sphere is flat: a lattice and the same turned by half a turn about the beam have the same spots
there. Where the lattice has a symmetry the second stands, up to it, not far from the first: 2 t away where an axis is
tilted by t from the beam. It is a false minimum of any search that begins with low angles.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int

from madpipe.physics.rotations import rotation, rotation_vector
from madpipe.stills.geometry import Crystal

_METRIC_TOLERANCE = 0.02  # relative, of what counts as a symmetry of the lattice
_APART = 1e-3  # angle [radian] from which two orientations are two


def lattice_rotations(crystal: Crystal) -> Int[np.ndarray, "turn 3 3"]:
    """Whole matrices M of rows of axes, determinant 1, that keep all lengths and angles: (M A)(M A)^T = A A^T.

    Of entries -1, 0, 1, which are all for a reduced cell.
    """
    metric = crystal.axes @ crystal.axes.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    norms = np.einsum("ri,ij,rj->r", rows, metric, rows)
    fits = [rows[np.abs(norms / metric[axis, axis] - 1) < _METRIC_TOLERANCE] for axis in range(3)]
    found = np.array([[a, b, c] for a in fits[0] for b in fits[1] for c in fits[2]])
    moved = found @ metric @ np.swapaxes(found, -1, -2)
    same = (np.abs(moved - metric) / scale < _METRIC_TOLERANCE).all((1, 2))
    right = np.linalg.det(found.astype(float)).round() == 1
    kept: np.ndarray = found[same & right]
    return kept


def twin(crystal: Crystal, beam: Float[np.ndarray, "3"], within: float) -> Crystal | None:
    """Give the nearest other orientation with the same spots at low angles.

    Parameters
    ----------
    crystal:
        As it stands.
    beam:
        Direction of travel, of unit length.
    within:
        Largest rotation between the two [radian].

    Returns
    -------
    :
        None where there is none so near.
    """
    flipped = crystal.turned(rotation(np.pi * beam))
    turns = lattice_rotations(crystal)
    between = np.swapaxes(crystal.reciprocal @ (turns @ flipped.axes), -1, -2)
    u, _, v = np.linalg.svd(between)
    angle = np.linalg.norm(rotation_vector(u @ v), axis=-1)
    angle[angle < _APART] = np.inf
    nearest = int(np.argmin(angle))
    return crystal.turned(u[nearest] @ v[nearest]) if angle[nearest] < within else None
