"""The orientation of a crystal of known cell, from nothing but the spots of one still.

Three steps. Directions: a lattice vector t has whole q.t for all reflections q, so mean cos(2 pi q.t) over the spots,
with |t| known, stands out at its direction. Turns: about such a vector the lattice is turned until its other vectors
fit too. Indices: the best few are refined by whole indices, from low resolution outwards, and told apart by how many
spots they explain.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.stills.geometry import Crystal
from madpipe.stills.index.matching import largest_excitation
from madpipe.stills.symmetry import primitive_basis

_SCALE = 0.025  # relative error that cell and distance may have together
_PHASE = 0.2  # error of q.t that the steps of the scans leave at most
_COST = 2e7  # cosines of one scan
_SPREAD = 0.35  # of q.t, that a direction needs to be told from others: along the beam spots hardly differ
_VECTORS = 12  # of each length that are turned about
_SOUND = 24  # orientations that are refined, of each length
_ENOUGH = 0.4  # of the spots explained: no other length is looked for
_LENGTHS = 3  # different lattice vectors that are looked for
_MOST = (200, 150, 110, 80, 60, 45, 35, 25)  # spots of lowest resolution a scan may take, at its cost

_Vectors = Float[np.ndarray, "some 3"]
_Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Candidate:
    """An orientation, and how well it explains the spots."""

    crystal: Crystal
    explained: float  # share of the spots near a reflection, less what chance would give


def search(
    q: _Vectors, s: _Vectors, crystal: Crystal, tolerance: float, most: int = 5, seed: int = 0
) -> list[Candidate]:
    """Orientations of a crystal that explain spots, the best first.

    Parameters
    ----------
    q:
        Scattering vectors of the spots, on the Ewald sphere [1/angstrom].
    s:
        Scattered wave vectors of the same [1/angstrom].
    crystal:
        Of known cell, in any orientation.
    tolerance:
        Across s, within which a spot belongs to a reflection [1/angstrom].
    most:
        Number of orientations.
    seed:
        Of the turned lattices by which chance is known.

    Notes
    -----
    Lattices that symmetry makes equal may come twice.
    """
    combination = primitive_basis(crystal)
    basis = combination @ crystal.axes
    order = np.argsort(np.linalg.norm(q, axis=1), kind="stable")
    q, s = q[order], s[order]
    chance, volume = _chance(q, s, basis, tolerance, seed), float(np.linalg.det(basis))
    back = np.linalg.inv(combination)
    scored: list[Candidate] = []
    for vectors in _by_length(basis)[:_LENGTHS]:
        found = []
        for seen in _vectors_found(q, float(np.linalg.norm(vectors[0]))):
            found += [_turned_about(q, seen, vector, basis) for one in vectors for vector in (one, -one)]
        found.sort(key=lambda pair: -pair[0])
        for _, axes in found[:_SOUND]:
            whole = refined_by_indices(q, s, axes, tolerance, volume)
            share = float(belongs(q, s, whole, tolerance).mean()) - chance
            scored.append(Candidate(replace(crystal, axes=back @ whole), share))
        scored.sort(key=lambda one: -one.explained)
        if scored and scored[0].explained > _ENOUGH * (1 - chance):
            break
    return scored[:most]


def _by_length(basis: _Matrix) -> list[list[np.ndarray]]:
    """Short lattice vectors, one of each pair of opposites, grouped by their length, the shortest first."""
    numbers = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
    numbers = numbers[len(numbers) // 2 + 1 :]  # the other half are the opposites
    vectors = numbers @ basis
    lengths = np.linalg.norm(vectors, axis=1)
    groups: list[list[np.ndarray]] = []
    before = -np.inf
    for place in np.argsort(lengths, kind="stable"):
        if lengths[place] > before * 1.02:
            groups.append([])
            before = lengths[place]
        groups[-1].append(vectors[place])
    return groups


def _vectors_found(q: _Vectors, length: float) -> list[np.ndarray]:
    """Vectors of about a length that fit the spots best, refined, each once."""
    some, directions = _scan_of(q, length)
    sizes = length * (1 + np.linspace(-1, 1, 3 if length * _reach(some) < 12 else 5) * 0.8 * _SCALE)
    phases = (directions @ some.T.astype(np.float32)) * np.float32(2 * np.pi)
    scores = np.max([np.cos(phases * np.float32(size)).mean(axis=1) for size in sizes], axis=0)
    scores[phases.std(axis=1) * length < 2 * np.pi * _SPREAD] = -1
    best = np.argsort(-scores, kind="stable")[: 20 * _VECTORS]
    polished = _polished(some, length, directions[best].astype(float) * length)
    kept: list[np.ndarray] = []
    for vector in polished:
        if all(min(np.linalg.norm(vector - one), np.linalg.norm(vector + one)) > 0.02 * length for one in kept):
            kept.append(vector)
    return kept[:_VECTORS]


def _reach(q: _Vectors) -> float:
    """Longest scattering vector [1/angstrom]."""
    return float(np.linalg.norm(q, axis=1).max())


def _scan_of(q: _Vectors, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Spots of low resolution, as many as a scan fine enough for them can take, and its directions."""
    for count in _MOST:
        some = q[:count]
        number = int(2 * np.pi * (length * _reach(some) / _PHASE) ** 2)
        if number * len(some) <= _COST or count == _MOST[-1]:
            break
    number = int(np.clip(number, 1000, _COST / len(some)))
    index = np.arange(number) + 0.5
    height = 1 - index / number  # points of a spiral, evenly over half a sphere
    angle = np.pi * (1 + np.sqrt(5)) * index
    flat = np.sqrt(1 - height**2)
    return some, np.stack([flat * np.cos(angle), flat * np.sin(angle), height], -1).astype(np.float32)


def _polished(q: _Vectors, length: float, vectors: np.ndarray) -> np.ndarray:
    """Least squares of q.t on whole numbers for each vector, spots weighed by how near they are; the best first."""
    for _ in range(6):
        phase = vectors @ q.T
        off = np.rint(phase) - phase
        weight = np.exp(-((off / 0.2) ** 2))
        normal = np.einsum("vs,si,sj->vij", weight, q, q) + 1e-9 * np.eye(3)
        vectors = vectors + np.linalg.solve(normal, np.einsum("vs,si->vi", weight * off, q)[..., None])[..., 0]
        size = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors * np.clip(size, length * (1 - _SCALE), length * (1 + _SCALE)) / size
    score = np.cos(2 * np.pi * vectors @ q.T).mean(axis=1)
    return vectors[np.argsort(-score, kind="stable")]


def _turned_about(q: _Vectors, seen: np.ndarray, vector: np.ndarray, basis: _Matrix) -> tuple[float, _Matrix]:
    """Turn the lattice, its vector laid on the one seen, about it; the best turn and its score."""
    across = np.linalg.norm(np.cross(basis, vector), axis=1).max() / np.linalg.norm(vector)
    some = q[: _MOST[0]]
    some = some[: max(_MOST[-1], int(np.searchsorted(np.linalg.norm(some, axis=1), 40.0 / across)))]
    count = int(np.clip(2 * np.pi * across * _reach(some) / _PHASE, 90, 4000))
    start = basis @ _onto(vector, seen).T * (np.linalg.norm(seen) / np.linalg.norm(vector))
    axis = seen / np.linalg.norm(seen)
    angle = np.arange(count) * 2 * np.pi / count
    along = np.outer(start @ axis, axis)
    flat, turned = start - along, np.cross(axis, start)
    lattices = along + np.cos(angle)[:, None, None] * flat + np.sin(angle)[:, None, None] * turned
    phase = (lattices.reshape(-1, 3) @ some.T).astype(np.float32) * np.float32(2 * np.pi)
    scores = np.cos(phase).reshape(count, 3, -1).mean(axis=(1, 2))
    best = int(np.argmax(scores))
    return float(scores[best]), lattices[best]


def _onto(one: np.ndarray, other: np.ndarray) -> _Matrix:
    """The rotation that lays one direction on another by the shortest way."""
    a, b = one / np.linalg.norm(one), other / np.linalg.norm(other)
    if a @ b < -1 + 1e-9:  # opposite: half a turn about anything across
        across = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
        across /= np.linalg.norm(across)
        return 2 * np.outer(across, across) - np.eye(3)
    v = np.cross(a, b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    turn: np.ndarray = np.eye(3) + skew + skew @ skew / (1 + a @ b)
    return turn


def off_by(q: _Vectors, s: _Vectors, axes: _Matrix) -> tuple[_Vectors, _Vectors, Float[np.ndarray, "some"]]:
    """Nearest whole indices of spots, how far their reflections are off across s, and along it [1/angstrom].

    Parameters
    ----------
    q, s:
        Scattering vectors and scattered wave vectors [1/angstrom].
    axes:
        Rows a, b, c [angstrom].
    """
    indices = np.rint(q @ axes.T)
    gap = indices @ np.linalg.inv(axes).T - q
    along = np.einsum("ij,ij->i", gap, s) / np.linalg.norm(s, axis=1)
    return indices, gap - along[:, None] * s / np.linalg.norm(s, axis=1, keepdims=True), along


def belongs(q: _Vectors, s: _Vectors, axes: _Matrix, tolerance: float) -> np.ndarray:
    """Tell which spots lie within a tolerance of a reflection that is excited.

    Parameters
    ----------
    q, s:
        Scattering vectors and scattered wave vectors [1/angstrom].
    axes:
        Rows a, b, c [angstrom].
    tolerance:
        [1/angstrom].
    """
    _, across, along = off_by(q, s, axes)
    inside: np.ndarray = (np.linalg.norm(across, axis=1) < tolerance) & (np.abs(along) < largest_excitation(axes))
    return inside


def refined_by_indices(q: _Vectors, s: _Vectors, axes: _Matrix, tolerance: float, volume: float) -> _Matrix:
    """Turn and scale a lattice so that the spots' reflections lie on them, from low resolution outwards.

    Parameters
    ----------
    q, s:
        Scattering vectors and scattered wave vectors, those of low resolution first [1/angstrom].
    axes:
        Rows of a primitive basis near the truth [angstrom].
    tolerance:
        At the end, across s [1/angstrom].
    volume:
        Of the known cell's primitive basis, from which the lattice's edges may differ by 2.5 % [angstrom^3].
    """
    counts = np.unique(np.clip(np.array([30, 60, 120, 240, 480, len(q)]), 0, len(q)))
    for count in [*counts, len(q), len(q)]:
        some, rays = q[:count], s[:count]
        for wide in (3.0, 2.0):
            _, across, along = off_by(some, rays, axes)
            near = (np.linalg.norm(across, axis=1) < wide * tolerance) & (np.abs(along) < largest_excitation(axes))
            if near.sum() < 5:
                continue
            axes = _fitted(some[near], rays[near], across[near], axes)
            size = np.cbrt(np.linalg.det(axes) / volume)
            axes = axes * np.clip(size, 1 - _SCALE, 1 + _SCALE) / size
    return axes


def _fitted(q: _Vectors, s: _Vectors, across: _Vectors, axes: _Matrix) -> _Matrix:
    """One step of least squares for a small turn and a scale: across + P (w x q + c q) becomes least."""
    ray = s / np.linalg.norm(s, axis=1, keepdims=True)
    shift = np.stack([*np.cross(np.eye(3)[:, None], q), q], axis=-1)  # of a spot, by each of the four
    shift = shift - ray[..., None] * np.einsum("ij,ijk->ik", ray, shift)[:, None]
    design = shift.reshape(-1, 4)
    damped = 1e-6 * np.trace(design.T @ design) * np.diag([1, 1, 1, 10.0])
    step = -np.linalg.solve(design.T @ design + damped, design.T @ across.ravel())
    skew = np.array([[0, -step[2], step[1]], [step[2], 0, -step[0]], [-step[1], step[0], 0]])
    left, _, right = np.linalg.svd(np.eye(3) + skew)
    fitted: np.ndarray = axes @ (left @ right).T / (1 + step[3])
    return fitted


def _chance(q: _Vectors, s: _Vectors, axes: _Matrix, tolerance: float, seed: int) -> float:
    """Mean share of the spots that lattices turned at random explain."""
    generator = np.random.default_rng(seed)
    shares = []
    for _ in range(20):
        turn = np.linalg.qr(generator.standard_normal((3, 3)))[0]
        shares.append(belongs(q, s, axes @ (turn * np.linalg.det(turn)).T, tolerance).mean())
    return float(np.mean(shares))
