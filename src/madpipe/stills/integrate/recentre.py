"""Orientations and detector from the spots' centroids alone: the way in when predicted places are pixels off.

The pixels' likelihood knows nothing of a spot that lies beside its profile. Centroids do, as far as a box reaches: fit
them, turn the crystals, move the panels, cut the boxes anew, and again.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.errors import InputError
from madpipe.physics.arrowhead import Arrowhead, Covariance, covariance, minimise
from madpipe.physics.rotations import rotation
from madpipe.stills.geometry import Crystal, Panel
from madpipe.stills.integrate.image_model import OWN, SHARED, spots_at
from madpipe.stills.integrate.passes import active_part
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.priors import Beliefs, beliefs_of, with_priors
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.reflections.boxes import GAP, NEIGHBOUR
from madpipe.stills.reflections.movement import Detector

_SIGNIFICANT = 8.0  # photons of a spot over their error
_FEWEST = 10  # spots of an image
_STUDENT = 4.0  # degrees of freedom of the residuals' distribution
_ROUNDS = 12


@dataclass(frozen=True)
class Recentred:
    """Where the centroids put crystals and panels."""

    turns: Float[np.ndarray, "image 3"]  # rotation vectors from the told orientations [radian]
    movement: Float[np.ndarray, "5"]  # of the detector, of MOVEMENTS
    covariance: Covariance  # of what was fitted
    residual: float  # scale of the residuals along an axis [pixel]
    panels: list[Panel]

    def crystal(self, image: int, told: Crystal) -> Crystal:
        """A crystal as it is turned."""
        return told.turned(rotation(self.turns[image]))


@dataclass(frozen=True)
class _Centroids:
    """Of the bright spots of an image."""

    still: Still
    xy: Float[np.ndarray, "spot 2"]
    variance: Float[np.ndarray, "spot"]  # of counting, along an axis [pixel^2]


def recentred(stills: list[Still], config: IntegrateConfig) -> Recentred:
    """Fit turns and the movements of the settings to the centroids of bright spots that stand alone.

    Residuals have a scale of their own beside counting and Student's distribution of 4 degrees of freedom, by weights
    that are found anew in each of twelve rounds.

    Parameters
    ----------
    stills:
        From :func:`madpipe.stills.integrate.prepare.prepared`, with boxes as wide as places may be off.
    config:
        Movements and priors.

    Raises
    ------
    InputError
        Fewer than 10 bright spots in an image.

    References
    ----------
    Lange, Little, Taylor, J. Am. Stat. Assoc. 84, 881 (1989), on the weights.
    """
    found = [_centroids(still) for still in stills]
    strains = np.zeros((0, 3, 3))
    found = [replace(one, still=replace(one.still, scene=replace(one.still.scene, strains=strains))) for one in found]
    first = stills[0].scene
    distance = float(abs(first.panels[0].origin @ first.beam.direction))
    beliefs = beliefs_of(config, np.zeros(len(stills)), 0, distance, np.zeros(1))
    own, shared = np.zeros((len(stills), len(OWN))), np.zeros(len(SHARED) + 1)
    shared[0], shared[1] = np.log(config.priors.mosaic_radius.value), -np.inf
    own_active = np.array([False, False, True, True, True])
    shared_active = np.isin(np.arange(len(shared)), [SHARED.index(name) for name in config.movements])
    scale2 = 1.0
    for _ in range(_ROUNDS):
        weights, scale2 = _weights(found, own, shared, scale2)
        search = _Search(found, weights, beliefs, own, shared, own_active, shared_active)
        best = minimise(search.terms, own[:, own_active], shared[shared_active], evaluations=6)
        own[:, own_active], shared[shared_active] = best.own, best.shared
    panels = Detector(first.panels, first.beam, shared[2:7]).moved()
    return Recentred(own[:, 2:5], shared[2:7], covariance(best.normal), float(np.sqrt(scale2)), panels)


@dataclass(frozen=True)
class _Search:
    """Weighted least squares of one round."""

    found: list[_Centroids]
    weights: list[np.ndarray]
    beliefs: Beliefs
    own: np.ndarray
    shared: np.ndarray
    own_active: Bool[np.ndarray, "own"]
    shared_active: Bool[np.ndarray, "shared"]

    def terms(self, own: np.ndarray, shared: np.ndarray) -> tuple[float, Arrowhead]:
        """Half the weighted squares with the priors, and their equations."""
        all_own, all_shared = self.own.copy(), self.shared.copy()
        all_own[:, self.own_active], all_shared[self.shared_active] = own, shared
        parts = [
            _terms(one, weight, mine, all_shared)
            for one, weight, mine in zip(self.found, self.weights, all_own, strict=True)
        ]
        data = Arrowhead(
            np.array([one.own[0] for _, one in parts]),
            np.array([one.mixed[0] for _, one in parts]),
            np.sum([one.shared for _, one in parts], axis=0),
            np.array([one.own_slope[0] for _, one in parts]),
            np.sum([one.shared_slope for _, one in parts], axis=0),
        )
        value, normal = with_priors(sum(value for value, _ in parts), data, self.beliefs, all_own, all_shared)
        return value, active_part(normal, self.own_active, self.shared_active)


def _terms(one: _Centroids, weight: np.ndarray, own: np.ndarray, shared: np.ndarray) -> tuple[float, Arrowhead]:
    """One image's part."""
    spots = spots_at(one.still.scene, own, shared)
    apart = spots.xy - one.xy
    by = np.nan_to_num(np.concatenate([spots.by_own[:, 1:], spots.by_shared[:, 1:]], axis=2))
    second = np.einsum("s,sip,siq->pq", weight, by, by)
    slope = np.einsum("s,sip,si->p", weight, by, apart)
    n = len(own)
    value = 0.5 * float(np.sum(weight[:, None] * apart**2))
    return value, Arrowhead(second[None, :n, :n], second[None, :n, n:], second[n:, n:], slope[None, :n], slope[n:])


def _weights(
    found: list[_Centroids], own: np.ndarray, shared: np.ndarray, scale2: float
) -> tuple[list[np.ndarray], float]:
    """Student weights of all centroids, and the next square of the scale."""
    squares = [
        np.sum((spots_at(one.still.scene, mine, shared).xy - one.xy) ** 2, axis=1)
        for one, mine in zip(found, own, strict=True)
    ]
    total = [one.variance + scale2 for one in found]
    student = [(_STUDENT + 2) / (_STUDENT + square / all_) for square, all_ in zip(squares, total, strict=True)]
    excess = np.concatenate([w * s / 2 - one.variance for w, s, one in zip(student, squares, found, strict=True)])
    return [w / all_ for w, all_ in zip(student, total, strict=True)], max(float(np.mean(excess)), 1e-4)


def _centroids(still: Still) -> _Centroids:
    """Centroids of an image's bright spots: within half a box of the brightest 3 x 3 pixels."""
    boxes, half = still.boxes, still.boxes.counts.shape[1] // 2
    net = boxes.good * (boxes.counts - boxes.background[:, None, None])
    columns, rows = np.arange(2 * half + 1) + 0.5, np.arange(2 * half + 1) + 0.5
    smooth = sum(np.roll(net, (i, j), axis=(1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1))
    smooth[:, [0, -1]], smooth[:, :, [0, -1]] = -np.inf, -np.inf
    peak = np.argmax(smooth.reshape(len(net), -1), axis=1)
    near = (np.abs(rows[:, None] - 0.5 - (peak // (2 * half + 1))[:, None, None]) <= half // 2) & (
        np.abs(columns - 0.5 - (peak % (2 * half + 1))[:, None, None]) <= half // 2
    )
    variance = near * boxes.good * np.maximum(boxes.counts, boxes.background[:, None, None])
    photons, noise = np.sum(near * net, axis=(1, 2)), np.sqrt(np.sum(variance, axis=(1, 2)))
    use = (photons > _SIGNIFICANT * noise) & ((boxes.flags & (GAP | NEIGHBOUR)) == 0)
    if use.sum() < _FEWEST:
        raise InputError(
            f"{still.name}: centroids need {_FEWEST} bright spots that stand alone; {int(use.sum())} do; check its "
            "crystal, or leave the image out."
        )
    near, net, photons = near[use], net[use], photons[use]
    x, y = np.sum(near * net * columns, axis=(1, 2)), np.sum(near * net * rows[:, None], axis=(1, 2))
    xy = np.stack([x, y], axis=1) / photons[:, None]
    apart2 = (columns - xy[:, :1, None]) ** 2 + (rows[:, None] - xy[:, 1:, None]) ** 2
    spread = np.sum(variance[use] * apart2, axis=(1, 2)) / 2 / photons**2
    scene = replace(still.scene, reflections=still.scene.reflections.those(use))
    return _Centroids(replace(still, scene=scene, boxes=boxes.those(use)), xy + boxes.corner[use], spread)
