"""Orientation, cell and detector by least squares on the places of spots, of one still or of several together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.rotations import rotation
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.index.detector import MOVES, Mounting, mounting_of, moved, moves_at
from madpipe.stills.index.matching import Match, Predicted, Widths, match, predicted
from madpipe.stills.index.spots import Spots
from madpipe.stills.symmetry import primitive_basis, strain_basis, symmetrised

_FREEDOM = 4.0  # of Student's t, by which spots off their place lose weight
_DEGENERATE = 0.99  # correlation from which on the spots cannot tell two things apart
_REACH = 4.0  # widths, and a pixel, within which a spot takes part
_FEWEST = 10  # spots that tell widths
_NORMAL = 1.4826  # standard deviation over the median of the size, of a normal law
_MEDIAN = 0.455  # of a squared normal deviate
_PLACES = (0.05, 1.5)  # widths that positions may have [pixel]
_EXCITATIONS = (1e-4, 3e-3)  # [1/angstrom]
_ROUNDING = 1e-9  # of a scaled normal matrix
_STILL = 1e-3  # steps, in standard deviations, at which the fit ends
_Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Free:
    """What is refined, and how far it may lie from what was said, one standard deviation."""

    orientation: bool = True
    cell: bool = True
    tilt: bool = True
    distance: bool = True
    beam_centre: bool = True
    excitation: bool = True  # errors of excitation count too: positions hardly see turns across the beam
    strain_sd: float = 0.005  # of the cell, relative
    tilt_sd: float = 2.0  # [degree]
    distance_sd: float = 0.02  # relative
    beam_centre_sd: float = 1.0  # [pixel]


@dataclass(frozen=True)
class Still:
    """One image as the refinement sees it."""

    spots: Spots
    beam: Beam
    crystal: Crystal  # start


@dataclass(frozen=True)
class Refined:
    """Where the fit ended."""

    crystals: tuple[Crystal, ...]
    panels: tuple[Panel, ...]
    matches: tuple[Match, ...]
    widths: Widths
    move: Float[np.ndarray, "5"]  # of the detector, in the order of MOVES [radian, mm]
    move_sd: Float[np.ndarray, "5"]
    turn_sd: Float[np.ndarray, "image 3"]  # of the crystals about x, y, z [radian]
    degenerate: tuple[str, ...] = ()  # what the spots cannot tell apart, in words
    steps: int = 0


@dataclass(frozen=True)
class Pose:
    """A crystal: turned and strained from its start."""

    start: Crystal
    strains: Float[np.ndarray, "strain 3 3"]
    turn: _Matrix = field(default_factory=lambda: np.eye(3))
    strain: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def strained(self) -> _Matrix:
        """1 + E."""
        found: np.ndarray = np.eye(3) + np.einsum("k,kij->ij", self.strain, self.strains)
        return found

    def crystal(self) -> Crystal:
        """As it stands."""
        return replace(self.start, axes=self.start.axes @ (self.turn @ self.strained()).T)


def refine(
    stills: Sequence[Still],
    panels: Sequence[Panel],
    free: Free | None = None,
    rounds: int = 30,
    scale: float = 1.0,
    width: float = 1.5,
) -> Refined:
    r"""Refine crystals, one for each still, and the one detector of all.

    Least squares of predicted less measured positions and of errors of excitation, in units of their widths, which are
    estimated as the fit goes; spots weigh as Student's t of four degrees of freedom makes them. Everything that is free
    is held near its start by a normal prior. The stills' own parameters are eliminated first, so the cost is linear in
    their number.

    Parameters
    ----------
    stills:
        Spots and crystals whose reflections lie within a few pixels of them.
    panels:
        The detector as it is said to stand.
    free:
        What is refined; without it everything.
    rounds:
        Steps at most.
    scale:
        Of the crystals' true reciprocal cells against the start's, as the search saw it on this detector: put into the
        detector's distance if that is free.
    width:
        Of spots about their reflections at the start [pixel].

    Notes
    -----
    Spots are matched anew before each step. The cell stays as symmetric as its space group.
    """
    chosen = free or Free()
    mounting = mounting_of(panels, stills[0].beam)
    poses = [_pose(one.crystal, chosen.cell) for one in stills]
    bases = [primitive_basis(one.start) for one in poses]
    move = np.zeros(5)
    if chosen.distance:
        move[4] = mounting.distance * (scale - 1)
    widths, steps = Widths(place=min(width, _PLACES[1])), 0
    for steps in range(1, rounds + 1):
        here = moved(panels, mounting, move)
        parts = [
            _normal(still, pose, basis, here, mounting, move, widths, chosen)
            for still, pose, basis in zip(stills, poses, bases, strict=True)
        ]
        prior = _detector_prior(chosen, mounting, panels[0])
        owns, shared, _ = _eliminated(parts, prior, move)
        move = move + shared.step
        poses = [_stepped(pose, own.step) for pose, own in zip(poses, owns, strict=True)]
        widths = _widths([part.match for part in parts], widths)
        size = max([float(np.abs(one.step / one.sd).max(initial=0.0)) for one in (shared, *owns)])
        if size < _STILL and steps > 5:
            break
    here = moved(panels, mounting, move)
    crystals = tuple(pose.crystal() for pose in poses)
    matches = tuple(
        match(still.spots, basis @ crystal.axes, here, still.beam, widths)
        for still, crystal, basis in zip(stills, crystals, bases, strict=True)
    )
    turns = np.array([one.sd[:3] for one in owns])
    told = _in_words([_degenerate(part, chosen) for part in parts])
    return Refined(crystals, here, matches, widths, move, shared.sd, turns, told, steps)


def conventional(refined: Refined, number: int) -> Int[np.ndarray, "spot 3"]:
    """Indices of a still's spots in the cell of its crystal, which :class:`Match` has in the primitive basis."""
    basis = primitive_basis(symmetrised(refined.crystals[number]))
    return np.rint(refined.matches[number].indices @ np.linalg.inv(basis).T).astype(np.int64)


@dataclass(frozen=True)
class _Normal:
    """Normal equations of one still: its own parameters first, then the five of the detector."""

    matrix: np.ndarray  # of the data alone
    right: np.ndarray
    prior: np.ndarray  # precision of its own parameters
    pull: np.ndarray  # of the prior on them
    match: Match


@dataclass(frozen=True)
class _Step:
    """A step and the standard deviations of what it changes."""

    step: np.ndarray
    sd: np.ndarray


def _pose(crystal: Crystal, cell_is_free: bool) -> Pose:
    """Start of a crystal."""
    exact = symmetrised(crystal)
    strains = strain_basis(exact) if cell_is_free else np.zeros((0, 3, 3))
    return Pose(exact, strains, np.eye(3), np.zeros(len(strains)))


def _stepped(pose: Pose, step: np.ndarray) -> Pose:
    """A crystal after a step."""
    return replace(pose, turn=rotation(step[:3]) @ pose.turn, strain=pose.strain + step[3:])


def _normal(
    still: Still,
    pose: Pose,
    basis: _Matrix,
    panels: tuple[Panel, ...],
    mounting: Mounting,
    move: np.ndarray,
    widths: Widths,
    free: Free,
) -> _Normal:
    """Linearise one still where it is."""
    axes = basis @ pose.crystal().axes
    found = match(still.spots, axes, panels, still.beam, widths)
    near = found.likely(widths, _REACH) & ~still.spots.saturated
    here = predicted(found.indices[near], still.spots.panel[near], axes, panels, still.beam, widths.mosaic)
    places, excitations = derivatives(here, still.spots.panel[near], panels, mounting, move, pose)
    around = np.stack([-here.outward[:, 1], here.outward[:, 0]], axis=-1)
    frame = np.stack([here.outward / widths.place, around / widths.about(here.arm)[:, None]], axis=1)
    gap = np.einsum("sij,sj->si", frame, found.off[near])
    rows, gaps = [np.einsum("sij,sjp->sip", frame, places).reshape(-1, places.shape[-1])], [gap.ravel()]
    weights = [np.repeat(_weights(np.square(gap).sum(axis=1), 2), 2)]
    if free.excitation:
        missed = here.excitation / widths.excitation
        rows, gaps = [*rows, excitations / widths.excitation], [*gaps, missed]
        weights = [*weights, _weights(missed**2, 1)]
    own = 3 + len(pose.strains)
    held = np.concatenate([np.full(3, free.orientation), np.full(own - 3, True), _loose(free)])
    design, missed = np.concatenate(rows) * held, np.concatenate(gaps)
    precision = np.concatenate([np.where(held[:3], 1e-6, 1.0), np.full(own - 3, 1 / free.strain_sd**2)])
    pull = np.concatenate([np.zeros(3), precision[3:] * pose.strain])
    weighted = design * np.concatenate(weights)[:, None]
    return _Normal(weighted.T @ design, weighted.T @ missed, precision, pull, found)


def _weights(square: np.ndarray, dimensions: int) -> np.ndarray:
    """Weights of Student's t for the squares of residuals in units of their width."""
    found: np.ndarray = (_FREEDOM + dimensions) / (_FREEDOM + square)
    return found


def derivatives(
    here: Predicted,
    panel: Int[np.ndarray, "spot"],
    panels: tuple[Panel, ...],
    mounting: Mounting,
    move: Float[np.ndarray, "5"],
    pose: Pose,
) -> tuple[Float[np.ndarray, "spot 2 parameter"], Float[np.ndarray, "spot parameter"]]:
    r"""Derivatives of predicted places [pixel] and errors of excitation [1/angstrom].

    With q = R (1 + E)^-1 B h: a turn w moves q by w x q, a strain e_k by -R (1 + E)^-1 E_k (1 + E)^-1 B h; the place
    follows s = s0 + q through :func:`landed`, the error of excitation through n.dq, n = s/|s|.

    Parameters
    ----------
    here:
        The reflections.
    panel:
        Of each spot.
    panels, mounting, move:
        The moved detector, and how it was moved.
    pose:
        Gives turn and strains.

    Returns
    -------
    :
        By three turns [radian], the strains, five moves of the detector [radian, mm]. Exact without mosaicity; with it,
        but for terms of the error of excitation times an angle.
    """
    inside = pose.turn @ np.linalg.inv(pose.strained())
    strains = [-(here.q @ (inside @ one @ pose.turn.T).T) for one in pose.strains]
    shift = np.stack([*np.cross(np.eye(3)[:, None], here.q), *strains], axis=-1)
    excitation = np.einsum("si,sip->sp", here.ray, shift)
    detector = moves_at(here.at, panel, here.bent, here.s, panels, mounting, move)
    places = np.concatenate([here.slope @ shift, detector], axis=-1)
    return places, np.pad(excitation, ((0, 0), (0, len(MOVES))))


def _loose(free: Free) -> Bool[np.ndarray, "5"]:
    """Which moves of the detector are free."""
    return np.array([free.tilt, free.tilt, free.beam_centre, free.beam_centre, free.distance])


def _detector_prior(free: Free, mounting: Mounting, panel: Panel) -> np.ndarray:
    """Precisions of the detector's moves."""
    tilt = np.radians(free.tilt_sd)
    shift = free.beam_centre_sd * np.array(panel.pixel)
    return 1 / np.square(np.array([tilt, tilt, *shift, free.distance_sd * mounting.distance]))


def _eliminated(parts: Sequence[_Normal], prior: np.ndarray, move: np.ndarray) -> tuple[list[_Step], _Step, np.ndarray]:
    """Solve for all steps: each still's own block is eliminated from the detector's."""
    matrix, right = np.diag(prior), prior * move
    solved = []
    for part in parts:
        own = len(part.prior)
        block = part.matrix[:own, :own] + np.diag(part.prior)
        mixed, gap = part.matrix[:own, own:], part.right[:own] + part.pull
        inverse = np.linalg.inv(block)
        matrix = matrix + part.matrix[own:, own:] - mixed.T @ inverse @ mixed
        right = right + part.right[own:] - mixed.T @ inverse @ gap
        solved.append((inverse, mixed, gap))
    covariance = np.linalg.inv(matrix)
    shared = -covariance @ right
    owns = []
    for inverse, mixed, gap in solved:
        reach = inverse @ mixed
        spread = inverse + reach @ covariance @ reach.T
        owns.append(_Step(-inverse @ (gap + mixed @ shared), np.sqrt(np.diag(spread))))
    return owns, _Step(shared, np.sqrt(np.diag(covariance))), covariance


def _widths(matches: Sequence[Match], before: Widths) -> Widths:
    """Widths of spots about their reflections, from medians, and the share of mosaicity, by regression."""
    near = [one.likely(before, _REACH) for one in matches]

    def of(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name)[here] for one, here in zip(matches, near, strict=True)])

    radial, leaning, excitation = of("radial"), of("leaning"), of("excitation")
    if len(radial) < _FEWEST:
        return before
    weight = _weights(np.square(radial / before.place), 1)
    more = -float((weight * radial * leaning).sum() / max((weight * leaning**2).sum(), 1e-12))
    place = float(np.clip(_NORMAL * np.median(np.abs(radial)), *_PLACES))
    turned = np.square(of("azimuthal")) - _MEDIAN * place**2
    return Widths(
        place=place,
        azimuthal=_NORMAL * float(np.sqrt(max(np.median(turned / np.square(of("arm"))), 0.0))),
        excitation=float(np.clip(_NORMAL * np.median(np.abs(excitation)), *_EXCITATIONS)),
        mosaic=float(np.clip(before.mosaic + more, 0, 1)),
    )


def _degenerate(part: _Normal, free: Free) -> dict[tuple[str, str], float]:
    """Correlations of pairs of things that the spots of a still cannot tell apart, without the priors."""
    own = len(part.prior)
    groups = {
        "orientation": list(range(3)) * free.orientation,
        "cell": list(range(3, own)),
        "tilt": [own, own + 1] * free.tilt,
        "beam centre": [own + 2, own + 3] * free.beam_centre,
        "distance": [own + 4] * free.distance,
    }
    every = [place for places in groups.values() for place in places]
    size = np.sqrt(np.maximum(np.diag(part.matrix)[every], 1e-30))
    covariance = np.zeros_like(part.matrix)
    scaled = part.matrix[np.ix_(every, every)] / np.outer(size, size)
    covariance[np.ix_(every, every)] = np.linalg.pinv(scaled + _ROUNDING * np.eye(len(every)), hermitian=True)
    names = [name for name, places in groups.items() if places]
    found = {
        (one, other): _canonical(covariance, groups[one], groups[other])
        for first, one in enumerate(names)
        for other in names[first + 1 :]
    }
    return {pair: value for pair, value in found.items() if value > _DEGENERATE}


def _in_words(found: Sequence[dict[tuple[str, str], float]]) -> tuple[str, ...]:
    """A line for each pair that no still tells apart, with its smallest correlation."""
    pairs = [pair for pair in found[0] if all(pair in one for one in found)]
    return tuple(
        f"{one} and {other} are one to these spots (correlation {min(each[one, other] for each in found):.4f}): what "
        "was said of them tells them apart, not the data"
        for one, other in pairs
    )


def _canonical(covariance: np.ndarray, one: list[int], other: list[int]) -> float:
    """Largest correlation of any combination of one group with any of another."""
    whiten = [np.linalg.inv(np.linalg.cholesky(covariance[np.ix_(places, places)])) for places in (one, other)]
    cross = whiten[0] @ covariance[np.ix_(one, other)] @ whiten[1].T
    return float(np.linalg.svd(cross, compute_uv=False)[0])
