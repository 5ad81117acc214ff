"""Missetting angles: a rotation as Rx, then Ry, then Rz about the axes of the laboratory, as nanoBragg has it."""

import gemmi
import numpy as np
from jaxtyping import Float

from madpipe.physics.rotations import rotation
from madpipe.stills.geometry import Crystal

_Angles = Float[np.ndarray, "3"]
_Matrix = Float[np.ndarray, "3 3"]


def misset_rotation(angles: _Angles) -> _Matrix:
    """Rz Ry Rx of angles [radian]."""
    x, y, z = rotation(np.diag(angles))
    turned: np.ndarray = z @ y @ x
    return turned


def misset_angles(matrix: _Matrix) -> _Angles:
    """Angles of a rotation [radian], that about y within a quarter turn."""
    y = np.arcsin(np.clip(-matrix[2, 0], -1, 1))
    return np.array([np.arctan2(matrix[2, 1], matrix[2, 2]), y, np.arctan2(matrix[1, 0], matrix[0, 0])])


def vector_by_angles(angles: _Angles) -> _Matrix:
    """Rotation vector in the laboratory that a small change of each angle adds: its columns.

    The change of Rx is carried round by Ry and Rz, that of Ry by Rz.
    """
    _, y, z = rotation(np.diag(angles))
    return np.stack([z @ y[:, 0], z[:, 1], np.array([0.0, 0.0, 1.0])], axis=1)


def standing(cell: Float[np.ndarray, "6"], angles: _Angles) -> Crystal:
    """A crystal of a cell [angstrom, degree], a* along x and b* in the plane of x and y, turned by angles [radian]."""
    real = np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T
    reciprocal = np.linalg.inv(real)
    x = reciprocal[:, 0] / np.linalg.norm(reciprocal[:, 0])
    z = np.cross(x, reciprocal[:, 1])
    z = z / np.linalg.norm(z)
    frame = np.stack([x, np.cross(z, x), z], axis=1)
    return Crystal(real @ frame @ misset_rotation(angles).T)
