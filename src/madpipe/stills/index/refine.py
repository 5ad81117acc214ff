"""Orientation, cell and detector by least squares on the places of spots, of one still or of several together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.index.detector import MOVES, Mounting, landed, mounting_of, moved, moves_at, rotation
from madpipe.stills.index.lattice import primitive_basis, strain_basis, symmetrised
from madpipe.stills.index.matching import Match, Widths, match
from madpipe.stills.index.spots import Spots

TURNS = ("turn about x", "turn about y", "turn about z")
_FREEDOM = 4.0  # of Student's t, by which spots off their place lose weight
_DEGENERATE = 0.99  # correlation from which on the spots cannot tell two things apart
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
class _Pose:
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
    stills: Sequence[Still], panels: Sequence[Panel], free: Free | None = None, rounds: int = 30, scale: float = 1.0
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
    widths, steps = Widths(place=1.5), 0
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
    told = tuple(dict.fromkeys(line for part in parts for line in _degenerate(part, chosen)))
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


def _pose(crystal: Crystal, cell_is_free: bool) -> _Pose:
    """Start of a crystal."""
    exact = symmetrised(crystal)
    strains = strain_basis(exact) if cell_is_free else np.zeros((0, 3, 3))
    return _Pose(exact, strains, np.eye(3), np.zeros(len(strains)))


def _stepped(pose: _Pose, step: np.ndarray) -> _Pose:
    """A crystal after a step."""
    return replace(pose, turn=rotation(step[:3]) @ pose.turn, strain=pose.strain + step[3:])


def _normal(
    still: Still,
    pose: _Pose,
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
    near = found.within(4 * widths.place + 1.0) & ~still.spots.saturated
    spots, indices = still.spots.only(near), found.indices[near]
    places, excitations = derivatives(indices, spots.panel, axes, panels, still.beam, mounting, move, pose)
    rows = [places.reshape(-1, places.shape[-1]) / widths.place]
    gaps = [found.off[near].ravel() / widths.place]
    heavy = np.repeat(_weights(np.square(found.off[near] / widths.place).sum(axis=1), 2), 2)
    weights = [heavy]
    if free.excitation:
        gap = found.excitation[near] / widths.excitation
        rows, gaps = [*rows, excitations / widths.excitation], [*gaps, gap]
        weights = [*weights, _weights(gap**2, 1)]
    design, gap, weight = np.concatenate(rows), np.concatenate(gaps), np.concatenate(weights)
    own = 3 + len(pose.strains)
    held = np.concatenate([np.full(3, free.orientation), np.full(own - 3, True), _loose(free)])
    design = design * held
    precision = np.concatenate([np.where(held[:3], 1e-6, 1.0), np.full(own - 3, 1 / free.strain_sd**2)])
    pull = np.concatenate([np.zeros(3), precision[3:] * pose.strain])
    weighted = design * weight[:, None]
    return _Normal(weighted.T @ design, weighted.T @ gap, precision, pull, found)


def _weights(square: np.ndarray, dimensions: int) -> np.ndarray:
    """Weights of Student's t for the squares of residuals in units of their width."""
    found: np.ndarray = (_FREEDOM + dimensions) / (_FREEDOM + square)
    return found


def derivatives(
    indices: Int[np.ndarray, "spot 3"],
    panel: Int[np.ndarray, "spot"],
    axes: _Matrix,
    panels: tuple[Panel, ...],
    beam: Beam,
    mounting: Mounting,
    move: Float[np.ndarray, "5"],
    pose: _Pose,
) -> tuple[Float[np.ndarray, "spot 2 parameter"], Float[np.ndarray, "spot parameter"]]:
    r"""Derivatives of predicted places [pixel] and errors of excitation [1/angstrom].

    With q = R (1 + E)^-1 B h: a turn w moves q by w x q, a strain e_k by -R (1 + E)^-1 E_k (1 + E)^-1 B h; the place
    follows s = s0 + q through :func:`landed`, the error of excitation through n.dq, n = s/|s|.

    Parameters
    ----------
    indices:
        In the basis of axes.
    panel:
        Of each spot.
    axes:
        Rows, turned and strained as the pose says [angstrom].
    panels, beam, mounting, move:
        The moved detector, and how it was moved.
    pose:
        Gives the strains.

    Returns
    -------
    :
        By three turns [radian], the strains, five moves of the detector [radian, mm].
    """
    q = indices @ np.linalg.inv(axes).T
    s = q + beam.s0
    at, slope = landed(s, panel, panels)
    inside = pose.turn @ np.linalg.inv(pose.strained())
    strains = [-(q @ (inside @ one @ pose.turn.T).T) for one in pose.strains]
    shift = np.stack([*np.cross(np.eye(3)[:, None], q), *strains], axis=-1)
    own = slope @ shift
    excitation = np.einsum("si,sip->sp", s / np.linalg.norm(s, axis=1, keepdims=True), shift)
    detector = moves_at(at, panel, slope, s, panels, mounting, move)
    return np.concatenate([own, detector], axis=-1), np.pad(excitation, ((0, 0), (0, len(MOVES))))


def _loose(free: Free) -> Bool[np.ndarray, "5"]:
    """Which moves of the detector are free."""
    return np.array([free.tilt, free.tilt, free.beam_centre, free.beam_centre, free.distance])


def _detector_prior(free: Free, mounting: Mounting, panel: Panel) -> np.ndarray:
    """Precisions of the detector's moves."""
    tilt = np.radians(free.tilt_sd)
    shift = free.beam_centre_sd * np.array(panel.pixel)
    return 1 / np.square(np.array([tilt, tilt, *shift, free.distance_sd * mounting.distance]))


def _eliminated(
    parts: Sequence[_Normal], prior: np.ndarray, move: np.ndarray
) -> tuple[list[_Step], _Step, np.ndarray]:
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
    """Widths of spots about their reflections, from the medians of those that are near."""
    near = [one.within(4 * before.place + 1.0) for one in matches]
    off = np.concatenate([one.off[here] for one, here in zip(matches, near, strict=True)])
    excitation = np.concatenate([one.excitation[here] for one, here in zip(matches, near, strict=True)])
    if len(off) < 10:
        return before
    place = float(np.sqrt(np.median(np.square(off).sum(axis=1)) / (2 * np.log(2))))  # of a normal law in the plane
    along = 1.4826 * float(np.median(np.abs(excitation)))
    return Widths(float(np.clip(place, 0.05, 1.5)), float(np.clip(along, 1e-4, 3e-3)))


def _degenerate(part: _Normal, free: Free) -> list[str]:
    """Pairs of things that the spots of a still cannot tell apart, without the priors."""
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
    covariance[np.ix_(every, every)] = np.linalg.pinv(scaled + 1e-9 * np.eye(len(every)), hermitian=True)
    names = [name for name, places in groups.items() if places]
    told = []
    for first, name in enumerate(names):
        for other in names[first + 1 :]:
            value = _canonical(covariance, groups[name], groups[other])
            if value > _DEGENERATE:
                told.append(f"{name} and {other} are one to these spots (correlation {value:.4f}): priors tell them apart")
    return told


def _canonical(covariance: np.ndarray, one: list[int], other: list[int]) -> float:
    """Largest correlation of any combination of one group with any of another."""
    whiten = [np.linalg.inv(np.linalg.cholesky(covariance[np.ix_(places, places)])) for places in (one, other)]
    cross = whiten[0] @ covariance[np.ix_(one, other)] @ whiten[1].T
    return float(np.linalg.svd(cross, compute_uv=False)[0])
