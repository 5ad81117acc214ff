r"""What a crystal's domains and the beam's bandwidth make of a reflection: its width along the ray, and its place.

A reflection is a cloud in reciprocal space of covariance

.. math:: C = R_0^2 M / 2 + \eta^2 (q^2 1 - q q^T)

by the domains' size, with a shape M of determinant 1, and by their rotations, of rms eta about each axis. A still shows
the cloud's cut by the Ewald sphere: displacements d with n . d = -eps, n the ray's direction. So R^2 / 2 = n . C n is
the variance of excitation errors, and the cut's mean lies at q - eps C n / (n . C n). Round domains do not move a
spot; of mosaicity alone it lies eps tan(theta) further out. As the whole cloud is given, what the cut holds is higher
where the cloud is thinner along the ray, as 1 / sqrt(n . C n). A wavelength that is longer by a share x, of rms b,
moves s0, and the sphere with it.
"""

from dataclasses import dataclass

import gemmi
import numpy as np
from jaxtyping import Float

from madpipe.stills.geometry import Crystal

SHAPES = ("shape_1", "shape_2", "shape_3", "shape_4", "shape_5")  # those that symmetry forbids stay 0
_LEAST = 0.2  # length of a direction that symmetry and the directions before leave, else it is none
_Vectors = Float[np.ndarray, "spot 3"]
_Spots = Float[np.ndarray, "spot"]
_Matrices = Float[np.ndarray, "shape 3 3"]
_ALIKE = 1e-7  # of eigenvalues of ln M, whose difference quotient is a derivative


@dataclass(frozen=True)
class Width:
    """What makes reflections wide."""

    radius: float  # R0 [1/angstrom]
    mosaicity: float  # eta [radian]
    bandwidth: float  # b, rms, relative
    shapes: _Matrices  # directions of ln M
    values: Float[np.ndarray, "shape"]  # ln M is their sum with these weights


@dataclass(frozen=True)
class Cloud:
    """Width of every spot's cloud along the ray and displacement, with derivatives."""

    radius2: _Spots  # R^2 [1/angstrom^2]
    radius2_by_q: _Vectors
    radius2_by_width: Float[np.ndarray, "spot width"]  # by ln R0, eta, ln b, then the shape's values
    ln_height: _Spots  # ln of R0 over the radius that the domains alone make
    ln_height_by_q: _Vectors
    ln_height_by_width: Float[np.ndarray, "spot width"]
    shift: _Vectors  # v: the spot lies along s0 + q + eps v
    shift_by_q: Float[np.ndarray, "spot 3 3"]
    shift_by_width: Float[np.ndarray, "spot 3 width"]


def shapes_of(crystal: Crystal) -> Float[np.ndarray, "5 3 3"]:
    """Directions that ln M may take in a crystal, symmetric, of trace 0 and length 1, in the laboratory frame.

    They turn with the crystal, and are averaged over its point group, so that it does not matter which of equivalent
    settings a crystal has: none for a cubic lattice, 1 for a tetragonal or hexagonal one, 2 for an orthorhombic, 3 for
    a monoclinic, 5 for a triclinic one. Those that are left are zero.
    """
    first = crystal.axes[0] / np.linalg.norm(crystal.axes[0])
    third = np.cross(crystal.axes[0], crystal.axes[1])
    third = third / np.linalg.norm(third)
    frame = np.stack([first, np.cross(third, first), third], axis=1)
    turns = []
    for operation in gemmi.SpaceGroup(crystal.space_group).operations().sym_ops:
        fractional = np.array(operation.rot) / gemmi.Op.DEN
        turns.append(frame.T @ crystal.axes.T @ fractional @ np.linalg.inv(crystal.axes.T) @ frame)
    found: list[np.ndarray] = []
    for matrix in _candidates():
        mean = np.mean([turn @ matrix @ turn.T for turn in turns], axis=0)
        mean = (mean + mean.T) / 2 - np.trace(mean) / 3 * np.eye(3)
        for before in found:
            mean = mean - np.sum(mean * before) * before
        length = float(np.sqrt(np.sum(mean**2)))
        if length > _LEAST:
            found.append(mean / length)
    chosen = np.zeros((len(SHAPES), 3, 3))
    for index, matrix in enumerate(found):
        chosen[index] = frame @ matrix @ frame.T
    return chosen


def _candidates() -> list[np.ndarray]:
    """An orthonormal basis of symmetric matrices of trace 0: along c*, across it, then the three shears."""
    found = [np.diag([-1.0, -1.0, 2.0]) / np.sqrt(6), np.diag([1.0, -1.0, 0.0]) / np.sqrt(2)]
    for i, j in ((0, 2), (0, 1), (1, 2)):
        matrix = np.zeros((3, 3))
        matrix[i, j] = matrix[j, i] = np.sqrt(0.5)
        found.append(matrix)
    return found


def cloud(q: _Vectors, s0: Float[np.ndarray, "3"], width: Width) -> Cloud:
    r"""Width along the ray, and displacement, of the clouds at q.

    .. math::
        R^2 = R_0^2\, n \cdot M n + 2 \eta^2 c^2 + (b \lambda)^2 / 2 d^4,\qquad c = q - (q \cdot n)\, n

        v = n - V / R^2,\qquad V = R_0^2 M n + 2 \eta^2 (c^2 n - (q \cdot n)\, c) - b^2 q^2\, \hat s_0

    Parameters
    ----------
    q:
        [1/angstrom].
    s0:
        Of the beam [1/angstrom].
    width:
        Of the domains and the beam.

    Notes
    -----
    Exact for normal laws, and for all whose density depends on d . C^-1 d alone, as far as the sphere is flat within
    the cloud.
    """
    rays = s0 + q
    length = np.linalg.norm(rays, axis=1)
    n = rays / length[:, None]
    turn = (np.eye(3) - n[:, :, None] * n[:, None, :]) / length[:, None, None]  # derivative of n by q
    radius2, radius2_by_q, vector, vector_by_q = [], [], [], []
    for part in (_size(n, turn, width), _turned(q, n, length, turn, width), _spectrum(q, s0, width)):
        radius2.append(part[0])
        radius2_by_q.append(part[1])
        vector.append(part[2])
        vector_by_q.append(part[3])
    by_shape, vector_by_shape = _by_shape(n, width)
    by = np.array([2.0, 2 / (width.mosaicity or 1.0), 2.0])  # all are squares; nothing changes about eta = 0
    first = np.concatenate([np.stack(radius2, axis=1) * by, by_shape], axis=1)
    others = np.concatenate([np.stack(vector, axis=2) * by, vector_by_shape], axis=2)
    whole, whole_by_q, pulled = (np.sum(one, axis=0) for one in (radius2, radius2_by_q, vector))
    unit = pulled / whole[:, None]
    shift_by_q = turn - (np.sum(vector_by_q, axis=0) - unit[:, :, None] * whole_by_q[:, None, :]) / whole[:, None, None]
    shift_by_width = -(others - unit[:, :, None] * first[:, None, :]) / whole[:, None, None]
    alone = radius2[0] + radius2[1]
    less = np.array([2.0, 0.0, 0.0, *[0.0] * len(width.values)])
    height_by_width = (less - first / alone[:, None]) / 2
    height_by_width[:, 2] = 0.0  # the bandwidth is no matter of the domains
    return Cloud(
        whole,
        whole_by_q,
        first,
        np.log(width.radius) - np.log(alone) / 2,
        -(radius2_by_q[0] + radius2_by_q[1]) / alone[:, None] / 2,
        height_by_width,
        n - unit,
        shift_by_q,
        shift_by_width,
    )


_Part = tuple[_Spots, _Vectors, _Vectors, Float[np.ndarray, "spot 3 3"]]  # R^2 and V, each with its slope by q


def _size(n: _Vectors, turn: np.ndarray, width: Width) -> _Part:
    """What the size of the domains adds."""
    matrix = width.radius**2 * _exponential(width.shapes, width.values)[0]
    along = n @ matrix
    return np.sum(along * n, axis=1), 2 * np.einsum("si,sij->sj", along, turn), along, matrix @ turn


def _by_shape(n: _Vectors, width: Width) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of R^2 and V by the values of the shape."""
    changes = width.radius**2 * _exponential(width.shapes, width.values)[1]
    turned = np.einsum("kij,sj->sik", changes, n)
    return np.einsum("sik,si->sk", turned, n), turned


def _turned(q: _Vectors, n: _Vectors, length: _Spots, turn: np.ndarray, width: Width) -> _Part:
    """What the rotations of the domains add."""
    a = np.sum(q * n, axis=1)
    c = q - a[:, None] * n
    c2 = np.sum(c**2, axis=1)
    less = 1 - a / length  # a ray that turns takes the rest of a change with it
    c2_by_q = 2 * less[:, None] * c
    a_by_q = n + c / length[:, None]
    c_by_q = (less * length)[:, None, None] * turn - n[:, :, None] * (c / length[:, None])[:, None, :]
    vector = c2[:, None] * n - a[:, None] * c
    by_q = n[:, :, None] * c2_by_q[:, None, :] + c2[:, None, None] * turn
    by_q = by_q - c[:, :, None] * a_by_q[:, None, :] - a[:, None, None] * c_by_q
    scale = 2 * width.mosaicity**2
    return scale * c2, scale * c2_by_q, scale * vector, scale * by_q


def _spectrum(q: _Vectors, s0: Float[np.ndarray, "3"], width: Width) -> _Part:
    """What the bandwidth adds."""
    q2, wavelength = np.sum(q**2, axis=1), 1 / float(np.linalg.norm(s0))
    scale, beam = (width.bandwidth * wavelength) ** 2, -(width.bandwidth**2) * wavelength * s0
    return scale * q2**2 / 2, 2 * scale * q2[:, None] * q, q2[:, None] * beam, 2 * beam[:, None] * q[:, None, :]


def _exponential(shapes: _Matrices, values: Float[np.ndarray, "shape"]) -> tuple[np.ndarray, _Matrices]:
    """Exponential of a symmetric matrix, and its derivatives by the values.

    References
    ----------
    Daleckii, Krein, AMS Translations 2, 47, 1 (1965): in the eigenvectors' frame a derivative is the change times the
    difference quotients of exp.
    """
    roots, vectors = np.linalg.eigh(np.tensordot(values, shapes, 1))
    apart = roots[:, None] - roots
    grown = np.exp(roots)
    same = np.abs(apart) < _ALIKE
    middle = np.exp((roots[:, None] + roots) / 2)
    quotient = np.where(same, middle, (grown[:, None] - grown) / np.where(same, 1.0, apart))
    inside = vectors.T @ shapes @ vectors
    return (vectors * grown) @ vectors.T, vectors @ (quotient * inside) @ vectors.T
