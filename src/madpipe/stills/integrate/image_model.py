"""Scale and place of every spot of an image as functions of the image's parameters and of those that all share."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from madpipe.physics.rotations import cross_matrix, rotation, turning
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.reflections.domains import SHAPES, Width, cloud
from madpipe.stills.reflections.model import Reflections, excitation_error
from madpipe.stills.reflections.movement import MOVEMENTS, Detector, places

OWN = ("ln_scale", "b_factor", "turn_x", "turn_y", "turn_z")  # then strains; turns [radian]
SHARED = ("ln_mosaic_radius", "ln_bandwidth", *MOVEMENTS, "mosaicity", "root_tail", *SHAPES)  # then ln R1 of each shell
MOSAICITY, TAIL = SHARED.index("mosaicity"), SHARED.index("root_tail")
SHAPE = slice(SHARED.index(SHAPES[0]), len(SHARED))
_WIDTHS = np.array([0, MOSAICITY, 1, *range(SHAPE.start, SHAPE.stop)])  # in the order of Cloud
_GAUSSIAN = 1e-4  # of the tail, below which the series of the logarithm is taken


@dataclass(frozen=True)
class Scene:
    """What does not change in a fit: reflections in the told geometry, and the strains that the cell may take."""

    beam: Beam
    panels: list[Panel]
    reflections: Reflections
    strains: Float[np.ndarray, "strain 3 3"]
    shapes: Float[np.ndarray, "5 3 3"] = field(default_factory=lambda: np.zeros((len(SHAPES), 3, 3)))


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


class Views:
    """Spots of images where they were last looked for: what has not moved is not looked for again."""

    def __init__(self) -> None:
        self._last: dict[int, list[tuple[bytes, Spots]]] = {}

    def at(self, image: int, scene: Scene, own: Float[np.ndarray, "own"], shared: Float[np.ndarray, "shared"]) -> Spots:
        """Scale and place of an image's spots, as :func:`spots_at` has them; the last two are kept."""
        key = own.tobytes() + shared[: len(SHARED)].tobytes()
        kept = self._last.setdefault(image, [])
        for known, spots in kept:
            if known == key:
                return spots
        self._last[image] = [*kept[-1:], (key, spots_at(scene, own, shared))]
        return self._last[image][-1][1]


def spots_at(scene: Scene, own: Float[np.ndarray, "own"], shared: Float[np.ndarray, "shared"]) -> Spots:
    r"""Scale and place of the spots, with derivatives.

    .. math::
        q = R(\omega)\,(1 + \sum_k e_k E_k)\, q_0,\qquad
        \ln S = \ln G - B / 4d^2 + \ln p + \ln h + \ln \mathrm{pol},\quad
        \ln p = -\ln(1 + t \epsilon_r^2 / R^2) / t

    and a spot lies where s0 + q + eps_r v meets the detector, R, h and v from
    :func:`madpipe.stills.reflections.domains.cloud`. Polarisation, metric and the axes of the domains stay those of the
    told geometry.

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
    beam, tail = scene.beam, float(shared[TAIL] ** 2)
    inverse_d2 = np.sum(q**2, axis=1)
    excitation, rays = excitation_error(q, beam.s0), beam.s0 + q
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    radius, bandwidth = float(np.exp(shared[0])), float(np.exp(shared[1]))
    seen = cloud(q, beam.s0, Width(radius, float(shared[MOSAICITY]), bandwidth, scene.shapes, shared[SHAPE]))
    ln_partiality, by_square, by_tail = ln_partialities(excitation**2 / seen.radius2, tail)
    by_radius2 = -by_square * excitation**2 / seen.radius2**2
    by_q = (by_square * 2 * excitation / seen.radius2)[:, None] * unit - own[1] / 2 * q
    by_q += by_radius2[:, None] * seen.radius2_by_q + seen.ln_height_by_q
    detector = Detector(scene.panels, beam, shared[2:7])
    at = places(detector, scene.reflections.panel, rays + excitation[:, None] * seen.shift)
    place_by_q = np.eye(3) + seen.shift[:, :, None] * unit[:, None, :] + excitation[:, None, None] * seen.shift_by_q
    by_own = np.zeros((len(q), 3, len(own)))
    by_own[:, 0, 0], by_own[:, 0, 1] = 1.0, -inverse_d2 / 4
    by_own[:, 0, 2:] = np.einsum("si,sim->sm", by_q, moves)
    by_own[:, 1:, 2:] = at.by_ray @ (place_by_q @ moves)
    by_shared = np.zeros((len(q), 3, len(shared)))
    by_shared[:, 0, _WIDTHS] = by_radius2[:, None] * seen.radius2_by_width + seen.ln_height_by_width
    by_shared[:, 0, TAIL] = by_tail * 2 * shared[TAIL]
    by_shared[:, 1:, 2:7] = at.by_movement
    by_shared[:, 1:, _WIDTHS] = at.by_ray @ (excitation[:, None, None] * seen.shift_by_width)
    ln_factor = own[0] - own[1] * inverse_d2 / 4 + ln_partiality + seen.ln_height
    ln_factor += np.log(scene.reflections.polarisation)
    return Spots(ln_factor, excitation, np.exp(ln_partiality), inverse_d2, at.xy, by_own, by_shared)


def ln_partialities(
    square: Float[np.ndarray, "spot"], tail: float
) -> tuple[Float[np.ndarray, "spot"], Float[np.ndarray, "spot"], Float[np.ndarray, "spot"]]:
    r"""Logarithm of p, with its derivatives by x and t.

    .. math:: p = (1 + t x)^{-1/t},\qquad x = \epsilon_r^2 / R^2

    which is exp(-x) for t = 0, and a Lorentzian for t = 1: mosaicity has longer tails than a normal law.

    Parameters
    ----------
    square, tail:
        x and t.
    """
    grown = 1 + tail * square
    if tail * float(square.max(initial=0.0)) < _GAUSSIAN:  # to the square of that
        return -square + tail * square**2 / 2, -1 / grown, square**2 / 2 - 2 * tail * square**3 / 3
    logarithm = np.log1p(tail * square)
    return -logarithm / tail, -1 / grown, logarithm / tail**2 - square / tail / grown
