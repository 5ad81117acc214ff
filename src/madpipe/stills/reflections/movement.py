"""Small movements of crystal and detector, and what they do to a reflection: exact, with derivatives.

The detector moves as one body: turned about the axes of its first panel, at the point where the beam meets that panel,
then shifted along these axes and along the beam.
"""

from dataclasses import dataclass, replace

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.physics.rotations import cross_matrix, rotation, turning
from madpipe.stills.geometry import Beam, Crystal, Panel

_Vector = Float[np.ndarray, "3"]
_Matrix = Float[np.ndarray, "3 3"]
MOVEMENTS = ("centre_fast", "centre_slow", "distance", "tilt_fast", "tilt_slow")  # [pixel, pixel, mm, radian, radian]


def strains_of(crystal: Crystal) -> Float[np.ndarray, "strain 3 3"]:
    """Independent strains of reciprocal space that the symmetry allows, as symmetric matrices in the laboratory frame.

    The average of a symmetric matrix over the point group is one; those of an orthonormal basis span them: 1 for a
    cubic lattice, 2 for a tetragonal or hexagonal one, 3 for an orthorhombic, 4 for a monoclinic, 6 for a triclinic
    one.
    """
    basis = [np.zeros((3, 3)) for _ in range(6)]
    for matrix, (i, j) in zip(basis, ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), strict=True):
        matrix[i, j] = matrix[j, i] = 1.0 if i == j else np.sqrt(0.5)
    turns = []
    for operation in gemmi.SpaceGroup(crystal.space_group).operations().sym_ops:
        fractional = np.array(operation.rot) / gemmi.Op.DEN
        turns.append(crystal.axes.T @ fractional @ np.linalg.inv(crystal.axes.T))
    mean = [np.mean([t @ matrix @ t.T for t in turns], axis=0) for matrix in basis]
    flat = np.array([[np.sum(one * other) for other in basis] for one in mean])
    values, vectors = np.linalg.eigh((flat + flat.T) / 2)
    return np.array([np.tensordot(vectors[:, i], np.array(basis), 1) for i in np.flatnonzero(values > 0.5)])


@dataclass(frozen=True)
class Detector:
    """The told panels and the movement of all of them."""

    panels: list[Panel]
    beam: Beam
    movement: Float[np.ndarray, "5"]  # of MOVEMENTS

    @property
    def pivot(self) -> _Vector:
        """Where the beam meets the first panel's plane [mm]; its middle where it does not."""
        first = self.panels[0]
        at = first.hit(self.beam.direction[None])[0]
        return first.position(at if np.isfinite(at).all() else np.array(first.shape[::-1]) / 2)

    def moved(self) -> list[Panel]:
        """The panels where the movement takes them."""
        first, pivot = self.panels[0], self.pivot
        turn = rotation(self.movement[3] * first.fast + self.movement[4] * first.slow)
        shift = self.movement[0] * first.pixel[0] * first.fast + self.movement[1] * first.pixel[1] * first.slow
        shift = shift + self.movement[2] * self.beam.direction
        return [
            replace(
                one,
                origin=pivot + turn @ (one.origin - pivot) + shift,
                fast=turn @ one.fast,
                slow=turn @ one.slow,
            )
            for one in self.panels
        ]


@dataclass(frozen=True)
class Places:
    """Where rays meet the moved panels, with derivatives."""

    xy: Float[np.ndarray, "spot 2"]  # [pixel]
    by_ray: Float[np.ndarray, "spot 2 3"]  # by the ray's components
    by_movement: Float[np.ndarray, "spot 2 5"]  # by MOVEMENTS


def places(detector: Detector, number: Int[np.ndarray, "spot"], rays: Float[np.ndarray, "spot 3"]) -> Places:
    """Meeting points of rays with the planes of given panels.

    A ray s meets a panel of columns K = (fast pixel, slow pixel, origin) at f = K^-1 s, column f_1 / f_3, row f_2 /
    f_3.

    Parameters
    ----------
    detector:
        Panels and their movement.
    number:
        Panel of each ray.
    rays:
        Of any length.
    """
    xy, by_ray = np.empty((len(rays), 2)), np.empty((len(rays), 2, 3))
    by_movement = np.empty((len(rays), 2, 5))
    for index, panel in enumerate(detector.moved()):
        some = number == index
        inverse = np.linalg.inv(np.stack([panel.fast * panel.pixel[0], panel.slow * panel.pixel[1], panel.origin], 1))
        f = rays[some] @ inverse.T
        at = f[:, :2] / f[:, 2:]
        changes = -inverse @ _panel_changes(detector, panel)  # (movement, 3, 3)
        of_movement = np.einsum("mij,sj->sim", changes, f)
        xy[some] = at
        by_ray[some] = (inverse[None, :2] - at[:, :, None] * inverse[2]) / f[:, 2, None, None]
        by_movement[some] = (of_movement[:, :2] - at[:, :, None] * of_movement[:, 2:]) / f[:, 2, None, None]
    return Places(xy, by_ray, by_movement)


def _panel_changes(detector: Detector, panel: Panel) -> Float[np.ndarray, "5 3 3"]:
    """Derivatives of a moved panel's K by the movements."""
    first = detector.panels[0]
    changes = np.zeros((5, 3, 3))
    shift = detector.movement[0] * first.pixel[0] * first.fast + detector.movement[1] * first.pixel[1] * first.slow
    arm = panel.origin - detector.pivot - shift - detector.movement[2] * detector.beam.direction
    changes[0, :, 2], changes[1, :, 2] = first.pixel[0] * first.fast, first.pixel[1] * first.slow
    changes[2, :, 2] = detector.beam.direction
    columns = np.stack([panel.fast * panel.pixel[0], panel.slow * panel.pixel[1], arm], axis=1)
    small = turning(detector.movement[3] * first.fast + detector.movement[4] * first.slow)
    for index, axis in ((3, first.fast), (4, first.slow)):
        changes[index] = cross_matrix(small @ axis) @ columns
    return changes
