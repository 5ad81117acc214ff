"""Scale and place of every spot of an image as functions of the image's parameters and of those that all share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.physics.rotations import cross_matrix, rotation, turning
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.reflections.model import Reflections, excitation_error, squared_radius
from madpipe.stills.reflections.movement import MOVEMENTS, Detector, places

OWN = ("ln_scale", "b_factor", "turn_x", "turn_y", "turn_z")  # then strains; turns [radian]
SHARED = ("ln_mosaic_radius", "ln_bandwidth", *MOVEMENTS)  # then ln R1 of each shell


@dataclass(frozen=True)
class Scene:
    """What does not change in a fit: reflections in the told geometry, and the strains that the cell may take."""

    beam: Beam
    panels: list[Panel]
    reflections: Reflections
    strains: Float[np.ndarray, "strain 3 3"]


@dataclass(frozen=True)
class Spots:
    """Spots where the parameters put them."""

    ln_factor: Float[np.ndarray, "spot"]  # ln S, A = S I
    excitation: Float[np.ndarray, "spot"]  # [1/angstrom]
    partiality: Float[np.ndarray, "spot"]
    inverse_d2: Float[np.ndarray, "spot"]
    xy: Float[np.ndarray, "spot 2"]
    by_own: Float[np.ndarray, "spot 3 own"]  # of (ln S, column, row)
    by_shared: Float[np.ndarray, "spot 3 shared"]


def spots_at(scene: Scene, own: Float[np.ndarray, "own"], shared: Float[np.ndarray, "shared"]) -> Spots:
    r"""Scale and place of the spots, with derivatives.

    .. math::
        q = R(\omega)\,(1 + \sum_k e_k E_k)\, q_0,\qquad
        \ln S = \ln G - B / 4d^2 - \epsilon_r^2 / R^2 + \ln \mathrm{pol}

    Polarisation and metric stay those of the told geometry.

    Parameters
    ----------
    scene:
        Told geometry.
    own:
        Of :data:`OWN`, then strains.
    shared:
        Of :data:`SHARED`, then widths, on which nothing here depends.
    """
    told, small = scene.reflections, turning(own[2:5])
    turn = rotation(own[2:5])
    strained = told.q + np.einsum("k,kij,sj->si", own[5:], scene.strains, told.q)
    q = strained @ turn.T
    crosses = np.stack([cross_matrix(axis) for axis in small.T])
    by_turn = np.einsum("mij,sj->sim", crosses, q)
    by_strain = np.einsum("ij,kjl,sl->sik", turn, scene.strains, told.q)
    moves = np.concatenate([by_turn, by_strain], axis=2)
    return _described(scene, q, moves, own, shared)


def _described(
    scene: Scene, q: Float[np.ndarray, "spot 3"], moves: np.ndarray, own: np.ndarray, shared: np.ndarray
) -> Spots:
    """Spots of given q, whose derivatives by turns and strains are the moves."""
    beam, bandwidth = scene.beam, float(np.exp(shared[1]))
    inverse_d2 = np.sum(q**2, axis=1)
    excitation, rays = excitation_error(q, beam.s0), beam.s0 + q
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    radius2 = squared_radius(float(np.exp(shared[0])), bandwidth, beam.wavelength, inverse_d2)
    by_excitation = -2 * excitation / radius2
    by_radius2 = excitation**2 / radius2**2
    by_d2 = -own[1] / 4 + by_radius2 * (bandwidth * beam.wavelength) ** 2 * inverse_d2
    at = places(Detector(scene.panels, beam, shared[2:7]), scene.reflections.panel, rays)
    by_own = np.zeros((len(q), 3, len(own)))
    by_own[:, 0, 0], by_own[:, 0, 1] = 1.0, -inverse_d2 / 4
    by_q = by_excitation[:, None] * unit + 2 * by_d2[:, None] * q
    by_own[:, 0, 2:] = np.einsum("si,sim->sm", by_q, moves)
    by_own[:, 1:, 2:] = at.by_ray @ moves
    by_shared = np.zeros((len(q), 3, len(shared)))
    by_shared[:, 0, 0] = by_radius2 * 2 * np.exp(2 * shared[0])
    by_shared[:, 0, 1] = by_radius2 * (bandwidth * beam.wavelength * inverse_d2) ** 2
    by_shared[:, 1:, 2:7] = at.by_movement
    ln_partiality = -(excitation**2) / radius2
    ln_factor = own[0] - own[1] * inverse_d2 / 4 + ln_partiality + np.log(scene.reflections.polarisation)
    return Spots(ln_factor, excitation, np.exp(ln_partiality), inverse_d2, at.xy, by_own, by_shared)
