"""A second generator of stacks, written apart from the package's own: numpy and xraydb, nothing of its simulation.

What the package's own particles have in common, its network may have learnt, and what its sums have wrong, its fit has
too; against these particles either shows. Nothing is taken from madpipe but the two records that a stack consists of.
Bodies, compositions, strain, the transform and the counts are written down once more, each in another way: bodies are
filled on half a voxel and averaged, the phase of strain is a polynomial and not a random field, the transform is a sum
by matrices and not a fast one, f0 is Waasmaier and Kirfel's and not Hubbell's.

Convention: F = sum f exp(+i q.r), f = f0 + f' + i f'' with f'' >= 0; strain along the Bragg vector, the first axis.
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import xraydb

from madpipe.mad.records import Stack, Truth

LEAST_SIZE, LARGEST_SIZE = 10 / 32, 22 / 32  # of a particle's circumscribed sphere, over the grid
LEAST_SHARE = 0.02
_FINE = 2  # points along each axis of a voxel
_ATOMS_PER_CELL, _CELL = 4, 3.7  # fcc; [angstrom]
_Q_LENGTH = 2 * math.pi * math.sqrt(3) / _CELL  # 111 [1/angstrom]


@dataclass(frozen=True)
class Filled:
    """A particle on the fine points."""

    inside: np.ndarray  # bool
    share: np.ndarray  # resonant atoms over all atoms [1]
    phase: np.ndarray  # Q.u [radian]


def independent_stack(
    kind,
    *,
    dimensions=3,
    grid=32,
    photons=1e6,
    element="Co",
    edge="K",
    partner="Pt",
    energies_ev=None,
    size=None,
    shares=None,
    noise=True,
    seed=0,
):
    """Make a stack with its complex truth, in sqrt(photon) at unit scale.

    Parameters
    ----------
    kind:
        One of :data:`KINDS`.
    dimensions, grid:
        2 or 3, and the voxels along each axis.
    photons:
        Of the brightest energy, summed over the whole stack.
    element, edge, partner:
        Resonant element, its edge, and the other metal.
    energies_ev:
        Photon energies [eV]; drawn about the edge, unevenly, where none are given.
    size:
        Diameter of the particle's circumscribed sphere [voxel]; drawn where none is given.
    shares:
        Resonant atoms' share of the two parts of the particle [1]; drawn from 0.02 to 1 where none are given.
    noise:
        Whether the data are counts, or what is expected.
    seed:
        Of all that is drawn.
    """
    rng = np.random.default_rng([KINDS.index(kind), dimensions, grid, seed])
    size = rng.uniform(LEAST_SIZE, LARGEST_SIZE) * grid if size is None else size
    shares = rng.uniform(LEAST_SHARE, 1, 2) if shares is None else shares
    voxel = math.exp(rng.uniform(math.log(20), math.log(120)))  # [angstrom]
    filled = _centred(_KINDS[kind](_fine_points(grid, dimensions), size, shares, rng), grid)
    energy = _drawn_energies(element, edge, rng) if energies_ev is None else np.sort(np.asarray(energies_ev, float))

    wave = filled.inside * np.exp(1j * filled.phase) * (_ATOMS_PER_CELL * (voxel / _CELL) ** 3)
    resonant_atoms, partner_atoms = (_averaged(wave * part) for part in (filled.share, 1 - filled.share))
    q = [2 * math.pi / (grid * voxel) * (np.arange(grid) - grid // 2)] * dimensions
    q_bragg = np.array([_Q_LENGTH] + [0.0] * (dimensions - 1))
    q_length = np.sqrt(sum((axis + q_bragg[n]) ** 2 for n, axis in enumerate(np.meshgrid(*q, indexing="ij"))))
    f0, f0_partner = (_form_factor(one, q_length) for one in (element, partner))
    correction, partner_mean = _dispersion(element, energy), _dispersion(partner, energy).mean()
    f_resonant = f0 * _transform(resonant_atoms)
    f_normal = (f0_partner + partner_mean) * _transform(partner_atoms)

    electron2 = np.stack([np.abs(f_normal + f_resonant * (1 + one / f0)) ** 2 for one in correction])
    per_electron2 = photons / electron2.reshape(len(energy), -1).sum(1).max()
    expected, root = electron2 * per_electron2, math.sqrt(per_electron2)
    f0_bragg = float(_form_factor(element, np.array([_Q_LENGTH]))[0])
    partner_atom = complex(_form_factor(partner, np.array([_Q_LENGTH]))[0] + partner_mean)
    filling, sample = _averaged(filled.inside.astype(float)), {"composition": kind, "shape": kind, "seed": seed}
    sample |= {"element": element, "edge": edge, "partner": partner, "photons": photons, "energy_offset_ev": 0.0}
    truth = Truth(
        f_total=(f_resonant + f_normal) * root,
        f_resonant=f_resonant * root,
        f_normal=f_normal * root,
        rho_resonant=resonant_atoms * f0_bragg,
        rho_normal=partner_atoms * partner_atom,
        support=(filling >= 0.5).astype(np.uint8),
        displacement=_averaged(filled.inside * filled.phase) / np.where(filling > 0, filling, 1) / _Q_LENGTH,
        composition=_averaged(filled.inside * filled.share) / np.where(filling > 0, filling, 1),
        expected=expected,
        photons_per_electron2=float(per_electron2),
        f0_resonant=f0_bragg,
        f_normal_atom=partner_atom,
        drawn=json.dumps(
            {
                "sample": sample | {"size": size / grid, "shares": list(map(float, shares))},
                "scale": [1.0] * len(energy),
                "f_prime": correction.real.tolist(),
                "f_double_prime": correction.imag.tolist(),
                "mad_residual": 0.0,
            }
        ),
    )
    return Stack(
        data=rng.poisson(expected).astype(np.uint32) if noise else expected,
        energy=energy,
        f_prime=correction.real.copy(),
        f_double_prime=correction.imag.copy(),
        f0=f0,
        element=element,
        edge=edge,
        table="Chantler (xraydb)",
        title=f"independent {kind} {element}-{partner} particle",
        name=kind,
        chemical_formula=f"{element}{partner}",
        q_bragg=q_bragg,
        truth=truth,
        **dict(zip(("qz", "qy", "qx")[-dimensions:], q, strict=True)),
    )


def _fine_points(grid, ndim):
    """Coordinates of the middles of the half voxels, the origin at voxel grid // 2 [voxel]."""
    axis = (np.arange(_FINE * grid) + 0.5) / _FINE - 0.5 - grid // 2
    return np.stack(np.meshgrid(*[axis] * ndim, indexing="ij"))


def _averaged(fine):
    """Mean over the fine points of each voxel."""
    for axis in range(fine.ndim):
        fine = fine.reshape(*fine.shape[:axis], -1, _FINE, *fine.shape[axis + 1 :]).mean(axis + 1)
    return fine


def _transform(density):
    """Sum rho exp(+i q.r), the origins in the middle, along one axis after the other."""
    for axis, size in enumerate(density.shape):
        index = np.arange(size) - size // 2
        wave = np.exp(2j * math.pi * np.outer(index, index) / size)
        density = np.moveaxis(np.tensordot(wave, density, axes=(1, axis)), 0, axis)
    return density


def _form_factor(element, q_length):
    """f0 at |Q| [electron]; xraydb takes sin(theta) / lambda."""
    return xraydb.f0(element, q_length.ravel() / (4 * math.pi)).reshape(q_length.shape)


def _dispersion(element, energy):
    """f' + i f'' [electron], asked for one energy at a time: xraydb's spline depends on which others are."""
    return np.array([complex(xraydb.f1_chantler(element, one), xraydb.f2_chantler(element, one)) for one in energy])


def _drawn_energies(element, edge, rng):
    """Five to nine energies, on both sides of the edge and close to it [eV]."""
    about = [rng.uniform(*limits) for limits in ((-60, -10), (-9, -1), (1, 9), (10, 60))]
    about += list(rng.uniform(-60, 60, rng.integers(1, 6)))
    return np.unique(np.round(xraydb.xray_edge(element, edge).energy + np.array(about), 1))


def _centred(filled, grid):
    """Take out the mean slope of the phase, as whoever centres a frame on its peak does."""
    points = _fine_points(grid, filled.inside.ndim)[:, filled.inside]
    columns = np.stack([np.ones(points.shape[1]), *points])
    ramp = np.linalg.solve(columns @ columns.T, columns @ filled.phase[filled.inside])
    everywhere = ramp[0] + np.tensordot(ramp[1:], _fine_points(grid, filled.inside.ndim), axes=1)
    return Filled(filled.inside, filled.share, np.where(filled.inside, filled.phase - everywhere, 0.0))


def _direction(ndim, rng):
    vector = rng.normal(size=ndim)
    return vector / np.linalg.norm(vector)


def _turned(normals, rng):
    """Normals of facets after a random rotation: products of reflections at random planes."""
    ndim = normals.shape[1]
    for _ in range(4):
        mirror = _direction(ndim, rng)
        normals = normals - 2 * np.outer(normals @ mirror, mirror)
    return normals


def _turned_points(points, rng):
    """Coordinates of the same points along other axes."""
    return np.tensordot(_turned(np.eye(len(points)), rng), points, axes=1)


def _depth(points, normals, distances):
    """How deep points lie below the nearest of a body's facets [voxel]."""
    depth = np.full(points.shape[1:], np.inf)
    for normal, distance in zip(normals, distances, strict=True):
        depth = np.minimum(depth, distance - np.tensordot(normal, points, axes=1))
    return depth


def _fitted(normals, distances, size):
    """Distances of the facets for which the farthest corner, found along 20000 directions, lies at half the size."""
    probe = np.random.default_rng(0).normal(size=(20000, normals.shape[1]))
    cosine = (probe / np.linalg.norm(probe, axis=1)[:, None]) @ normals.T
    reach = np.where(cosine > 1e-6, distances / np.maximum(cosine, 1e-6), np.inf).min(1)
    return distances * (size / 2 / reach.max())


def _bend(points, size, rng):
    """Smooth strain: a polynomial of second and third degree of up to 2 radian at the rim."""
    along, across = (np.tensordot(_direction(len(points), rng), points, axes=1) / (size / 2) for _ in range(2))
    return rng.uniform(-2, 2) * along * across + rng.uniform(-1, 1) * along**3


def _jump(rng):
    """Phase between two parts of a particle, never a small one [radian]."""
    return rng.choice([-1, 1]) * rng.uniform(0.5, math.pi)


def _wulff_facets(ndim, rng):
    """Facets {100}, {110} and {111} whose surface energies are drawn by family and vary from facet to facet."""
    if ndim == 2:
        angle = np.arange(10) * math.pi / 5 + rng.uniform(-0.2, 0.2, 10)
        return np.stack([np.cos(angle), np.sin(angle)], 1), rng.uniform(0.8, 1.1, 10)
    every = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3)
    normals = every[np.abs(every).sum(1) > 0].astype(float)
    family = np.array([1.0, rng.uniform(0.92, 1.1), rng.uniform(0.85, 1.1)])[np.abs(normals).sum(1).astype(int) - 1]
    return normals / np.linalg.norm(normals, axis=1)[:, None], family * rng.uniform(0.92, 1.08, len(normals))


def _wulff(points, size, shares, rng):
    """Facetted body with a core of the same facets, off its middle, over which the phase jumps."""
    normals, distances = _wulff_facets(len(points), rng)
    normals, distances = _turned(normals, rng), _fitted(normals, distances, size)
    thickness = rng.uniform(0.06, 0.25) * size
    shift = _direction(len(points), rng) * rng.uniform(0, 0.8) * thickness
    core = _depth(points - shift.reshape(-1, *[1] * len(points)), normals, distances) > thickness
    phase = _jump(rng) * core + _bend(points, size, rng)
    return Filled(_depth(points, normals, distances) > 0, np.where(core, *shares), phase)


def _rounded(points, size, exponent):
    """Level of a rounded box, 1 at its surface, whose corners reach to half the size."""
    corner = len(points) ** (0.5 - 1 / exponent)  # of the unit body, along the diagonal
    return (np.abs(points * (corner * 2 / size)) ** exponent).sum(0)


def _janus(points, size, shares, rng):
    """Rounded box of two halves, one beside the other."""
    points = _turned_points(points, rng)
    half = np.tensordot(_direction(len(points), rng), points, axes=1) > rng.uniform(-0.15, 0.15) * size
    inside = _rounded(points, size, rng.uniform(2, 6)) < 1
    return Filled(inside, np.where(half, *shares), _jump(rng) * half + _bend(points, size, rng))


def _heavy_core(points, size, shares, rng):
    """Rounded box with a core of the least of the two shares, hence of the heavier metal where the partner is."""
    points, exponent, scale = _turned_points(points, rng), rng.uniform(2, 6), rng.uniform(0.5, 0.85)
    shift = _direction(len(points), rng) * rng.uniform(0, 0.8) * (1 - scale) * size / 4
    core = _rounded(points - shift.reshape(-1, *[1] * len(points)), scale * size, exponent) < 1
    inside = _rounded(points, size, exponent) < 1
    share = np.where(core, min(shares), max(shares))
    return Filled(inside, share, _jump(rng) * core + _bend(points, size, rng))


def _prism(points, size, angles, distances, rng):
    """Depth in a polygon of such facets, in a volume of a prism upon it; and which side of a cut a point is on."""
    normals = np.stack([np.cos(angles), np.sin(angles)], 1)
    if len(points) == 3:
        normals = np.concatenate([np.pad(normals, ((0, 0), (0, 1))), [[0, 0, 1], [0, 0, -1]]])
        distances = np.append(distances, 2 * [rng.uniform(0.5, 1) * distances.mean()])
    cut = rng.uniform(0, 2 * math.pi)
    cut = np.array([math.cos(cut), math.sin(cut), 0][: len(points)])
    turned = _turned(np.concatenate([normals, [cut]]), rng)
    normals, cut = turned[:-1], turned[-1]
    side = np.tensordot(cut, points, axes=1) > rng.uniform(-0.1, 0.1) * size
    return _depth(points, normals, _fitted(normals, distances, size)), side


def _two_domains(points, size, angles, distances, shares, rng):
    depth, side = _prism(points, size, angles, distances, rng)
    return Filled(depth > 0, np.where(side, *shares), _jump(rng) * side + _bend(points, size, rng))


def _hexagon(points, size, shares, rng):
    """Hexagon, in a volume a plate, of two domains."""
    return _two_domains(points, size, np.arange(6) * math.pi / 3, rng.uniform(0.92, 1.08, 6), shares, rng)


def _polygon(points, size, shares, rng):
    """Triangle with an acute corner of 30 to 50 degrees, in a volume a prism, of two domains."""
    first = math.radians(rng.uniform(30, 50))
    second = math.radians(rng.uniform(50, 80))
    third = math.pi - first - second
    angles = np.array([0, math.pi - first, math.pi + third])  # a corner's normals enclose pi less it
    # from the circumscribed circle's middle a side is as far as its opposite corner's cosine; never beyond a side
    distances = np.maximum(np.cos([second, third, first]), 0.1)
    return _two_domains(points, size, angles, distances, shares, rng)


def _void(points, size, shares, rng):
    """Facetted body whose composition rises along a line, with a void and a vortex of the phase, a dislocation's."""
    ndim, (normals, distances) = len(points), _wulff_facets(len(points), rng)
    normals, distances = _turned(normals, rng), _fitted(normals, distances, size)
    hole, vortex = (_direction(ndim, rng) * rng.uniform(0, 0.2) * size for _ in range(2))
    radius = rng.uniform(0.08, 0.15) * size
    full = np.linalg.norm(points - hole.reshape(-1, *[1] * ndim), axis=0) > radius
    away = _turned_points(points - vortex.reshape(-1, *[1] * ndim), rng)
    winding = rng.choice([-1, 1]) * np.arctan2(away[1], away[0])
    rise = np.clip(np.tensordot(_direction(ndim, rng), points, axes=1) / size + 0.5, 0, 1)
    share = shares[0] + (shares[1] - shares[0]) * rise
    return Filled(full & (_depth(points, normals, distances) > 0), share, winding + _bend(points, size, rng))


_KINDS = {
    "wulff": _wulff,
    "janus": _janus,
    "heavy_core": _heavy_core,
    "hexagon": _hexagon,
    "polygon": _polygon,
    "void": _void,
}
KINDS = tuple(_KINDS)
