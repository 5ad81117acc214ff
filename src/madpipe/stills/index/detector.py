"""A rigid detector that is tilted and shifted a little, and what that does to where reflections fall."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.physics.rotations import cross_matrix, rotation
from madpipe.stills.geometry import Beam, Panel

MOVES = ("tilt about fast", "tilt about slow", "shift along fast", "shift along slow", "distance")
_Vectors = Float[np.ndarray, "spot 3"]
_Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Mounting:
    """Axes and pivot of a detector as it is said to stand."""

    fast: Float[np.ndarray, "3"]
    slow: Float[np.ndarray, "3"]
    beam: Float[np.ndarray, "3"]  # direction of travel
    pivot: Float[np.ndarray, "3"]  # where the beam meets the plane of the first panel [mm]

    @property
    def distance(self) -> float:
        """From the sample to the pivot [mm]."""
        return float(np.linalg.norm(self.pivot))


def mounting_of(panels: Sequence[Panel], beam: Beam) -> Mounting:
    """Axes of the first panel, pivot where the beam meets its plane.

    Raises
    ------
    InputError
        The beam runs along the plane.
    """
    first = panels[0]
    lean = float(beam.direction @ first.normal)
    reach = float(first.origin @ first.normal) / lean if abs(lean) > 1e-3 else 0.0
    if not reach > 0:
        raise InputError(
            "needs a detector that the beam meets; it runs along the panel or away from it; check the axes."
        )
    return Mounting(first.fast, first.slow, beam.direction, reach * beam.direction)


def moved(panels: Sequence[Panel], mounting: Mounting, move: Float[np.ndarray, "5"]) -> tuple[Panel, ...]:
    """The detector after a tilt about its pivot and a shift.

    Parameters
    ----------
    panels, mounting:
        As it is said to stand.
    move:
        In the order of :data:`MOVES`: components along fast and slow of the tilt's rotation vector [radian],
        right-handed; shifts along fast, slow and the beam [mm].
    """
    turn = rotation(move[0] * mounting.fast + move[1] * mounting.slow)
    shift = move[2] * mounting.fast + move[3] * mounting.slow + move[4] * mounting.beam
    pivot = mounting.pivot
    return tuple(
        replace(one, origin=pivot + turn @ (one.origin - pivot) + shift, fast=turn @ one.fast, slow=turn @ one.slow)
        for one in panels
    )


def landed(
    s: _Vectors, panel: Int[np.ndarray, "spot"], panels: Sequence[Panel]
) -> tuple[Float[np.ndarray, "spot 2"], Float[np.ndarray, "spot 2 3"]]:
    """Where rays meet the planes of their panels (fast, slow), and the derivative by the ray.

    Parameters
    ----------
    s:
        Rays from the sample, of any length.
    panel:
        Of each.
    panels:
        The detector.

    Returns
    -------
    :
        Pixel coordinates, NaN where a ray goes away from the panel; derivative [pixel per unit of s].
    """
    inverse = np.array([np.linalg.inv(frame_of(one)) for one in panels])[panel]
    found = np.einsum("sij,sj->si", inverse, s)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(found[:, 2:] > 0, found[:, :2] / found[:, 2:], np.nan)
        slope = (inverse[:, :2] - at[:, :, None] * inverse[:, 2:]) / found[:, 2:, None]
    return at, slope


def frame_of(panel: Panel) -> _Matrix:
    """Columns: one pixel along fast, along slow, and the origin [mm]; it takes (fast, slow, 1) to a position."""
    return np.stack([panel.fast * panel.pixel[0], panel.slow * panel.pixel[1], panel.origin], axis=1)


def moves_at(
    at: Float[np.ndarray, "spot 2"],
    panel: Int[np.ndarray, "spot"],
    slope: Float[np.ndarray, "spot 2 3"],
    s: _Vectors,
    panels: Sequence[Panel],
    mounting: Mounting,
    move: Float[np.ndarray, "5"],
) -> Float[np.ndarray, "spot 2 5"]:
    """Derivative of where rays land by the detector's five moves, exact at any of them.

    A point X of the detector that moves by dX moves the spot of a ray by -slope dX |s|/|X|: the ray itself would have
    to turn so to follow.

    Parameters
    ----------
    at, panel, slope, s:
        From :func:`landed`, on the moved panels.
    panels:
        Moved.
    mounting, move:
        How they were moved.
    """
    point = np.zeros_like(s)
    for number, one in enumerate(panels):
        here = panel == number
        point[here] = one.position(at[here])
    shift = move[2] * mounting.fast + move[3] * mounting.slow + move[4] * mounting.beam
    arm = point - mounting.pivot - shift
    turn = _left_jacobian(move[0] * mounting.fast + move[1] * mounting.slow)
    tilts = [np.cross(turn @ axis, arm) for axis in (mounting.fast, mounting.slow)]
    shifts = [np.broadcast_to(one, arm.shape) for one in (mounting.fast, mounting.slow, mounting.beam)]
    scale = np.linalg.norm(s, axis=1) / np.linalg.norm(point, axis=1)
    gone = np.stack([*tilts, *shifts], axis=-1) * scale[:, None, None]
    found: np.ndarray = -slope @ gone
    return found


def _left_jacobian(vector: Float[np.ndarray, "3"]) -> _Matrix:
    """Turn that a change of a rotation vector adds, seen from the frame that stands still."""
    angle = float(np.linalg.norm(vector))
    k = cross_matrix(vector)
    if angle < 1e-4:
        return np.eye(3) + k / 2 + k @ k / 6
    found: np.ndarray = np.eye(3) + (1 - np.cos(angle)) / angle**2 * k + (angle - np.sin(angle)) / angle**3 * (k @ k)
    return found
