"""Which reflection a spot is, how many spots a lattice explains, and how many it would by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.rotations import rotation
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.index.detector import landed
from madpipe.stills.index.spots import Spots

_EXCITATION = 6e-3  # error of excitation that a spot may have [1/angstrom]
_DENSE = 4.5e-5  # reciprocal volume of a reflection over the largest error of excitation, at least [1/angstrom^2]
_NEIGHBOURS = np.array(list(product((0, -1, 1), repeat=3)))
_CLOSE = 8  # reflections about a spot that are looked at
_Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Widths:
    """How spots of the lattice lie about their reflections: standard deviations, and the share of mosaicity."""

    place: float = 0.7  # an axis, without mosaicity [pixel]
    azimuthal: float = 0.0  # about the beam, what mosaicity adds [radian]
    excitation: float = 2e-3  # [1/angstrom]
    mosaic: float = 0.0  # share of mosaicity in the width along the ray; see predicted

    def about(self, arm: Float[np.ndarray, "spot"]) -> Float[np.ndarray, "spot"]:
        """Width about the beam [pixel] of spots that a turn moves by their arm [pixel per radian]."""
        return np.sqrt(self.place**2 + np.square(self.azimuthal * arm))


@dataclass(frozen=True)
class Predicted:
    """Where reflections fall, and how that changes with the scattering vector."""

    q: Float[np.ndarray, "spot 3"]  # [1/angstrom]
    s: Float[np.ndarray, "spot 3"]  # s0 + q, with what mosaicity adds [1/angstrom]
    at: Float[np.ndarray, "spot 2"]  # (fast, slow) [pixel]
    slope: Float[np.ndarray, "spot 2 3"]  # of at by q [pixel angstrom]
    ray: Float[np.ndarray, "spot 3"]  # unit vector along s0 + q
    excitation: Float[np.ndarray, "spot"]  # error |s0 + q| - 1/wavelength [1/angstrom]
    bent: Float[np.ndarray, "spot 2 3"]  # slope of s alone, without mosaicity [pixel angstrom]
    outward: Float[np.ndarray, "spot 2"]  # unit vector away from the beam on the panel
    leaning: Float[np.ndarray, "spot"]  # what a mosaic share of one adds, outward [pixel]
    arm: Float[np.ndarray, "spot"]  # how far a turn about the beam moves it [pixel per radian]


@dataclass(frozen=True)
class Match:
    """The likeliest reflection of each spot."""

    indices: Int[np.ndarray, "spot 3"]  # in the primitive basis
    off: Float[np.ndarray, "spot 2"]  # predicted less measured position (fast, slow) [pixel]
    radial: Float[np.ndarray, "spot"]  # its part away from the beam [pixel]
    leaning: Float[np.ndarray, "spot"]  # what a mosaic share of one adds to radial [pixel]
    arm: Float[np.ndarray, "spot"]  # how far a turn about the beam moves it [pixel per radian]
    excitation: Float[np.ndarray, "spot"]  # error |s0 + q| - 1/wavelength [1/angstrom]
    reach: float  # largest error of excitation of a spot [1/angstrom]

    @property
    def distance(self) -> Float[np.ndarray, "spot"]:
        """From spot to reflection [pixel]; infinite where the reflection is not excited."""
        apart = np.linalg.norm(self.off, axis=1)
        return np.where((np.abs(self.excitation) <= self.reach) & np.isfinite(apart), apart, np.inf)

    @property
    def azimuthal(self) -> Float[np.ndarray, "spot"]:
        """Part of off about the beam, without sign [pixel]."""
        return np.sqrt(np.maximum(np.square(self.off).sum(axis=1) - self.radial**2, 0.0))

    def within(self, pixels: float) -> Bool[np.ndarray, "spot"]:
        """Spots that lie so near to their reflection."""
        return self.distance <= pixels

    def likely(self, widths: Widths, reach: float) -> Bool[np.ndarray, "spot"]:
        """Spots within some widths, and a pixel, of their reflection."""
        near = np.abs(self.radial) < reach * widths.place + 1
        return near & (self.azimuthal < reach * widths.about(self.arm) + 1) & np.isfinite(self.distance)


def predicted(
    indices: Float[np.ndarray, "spot 3"] | Int[np.ndarray, "spot 3"],
    panel: Int[np.ndarray, "spot"],
    axes: _Matrix,
    panels: Sequence[Panel],
    beam: Beam,
    mosaic: float = 0.0,
) -> Predicted:
    r"""Where reflections fall on the planes of given panels.

    A reflection off the Ewald sphere by :math:`\epsilon` scatters with the part of it that is on the sphere. If its
    width is that of a small crystal, a ball, that part lies along s = s0 + q. If it is that of mosaicity, a cap at
    constant \|q\|, it lies :math:`\epsilon \tan\theta` further out. In between, for a normal law of covariance
    :math:`\sigma^2 1 + \eta^2 (q^2 1 - q q^T)`, it lies :math:`\kappa \epsilon \tan\theta` out, with the share
    :math:`\kappa = S_m / (\sigma^2 + S_m)`, :math:`S_m = (\eta q \cos\theta)^2` (conditional mean; taken constant
    here).

    Parameters
    ----------
    indices:
        Whole.
    panel:
        On whose plane each falls.
    axes:
        Rows of the basis of the indices [angstrom].
    panels, beam:
        Geometry.
    mosaic:
        :math:`\kappa`.
    """
    q = indices @ np.linalg.inv(axes).T
    s = q + beam.s0
    length = np.linalg.norm(s, axis=-1, keepdims=True)
    ray, excitation = s / length, length[:, 0] - 1 / beam.wavelength
    along = np.einsum("si,si->s", q, ray)
    across = q - along[:, None] * ray
    lean = (
        across * (along / np.maximum(np.square(across).sum(axis=-1), 1e-12))[:, None]
    )  # tan(theta), away from the beam
    shifted = s + mosaic * excitation[:, None] * lean
    at, bent = landed(shifted, panel, panels)
    outward = np.einsum("sij,sj->si", bent, across)
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12)
    step = np.einsum("sij,sj->si", bent, lean)
    slope = bent + mosaic * step[:, :, None] * ray[:, None]
    leaning = excitation * np.einsum("si,si->s", step, outward)
    arm = np.linalg.norm(np.einsum("sij,sj->si", bent, np.cross(beam.direction, q)), axis=1)
    return Predicted(q, shifted, at, slope, ray, excitation, bent, outward, leaning, arm)


def match(
    spots: Spots, axes: _Matrix, panels: Sequence[Panel], beam: Beam, widths: Widths, q: np.ndarray | None = None
) -> Match:
    """Give each spot the reflection that is likeliest by place and excitation together.

    The nearest in space alone would be one of several along a long axis that lies along the beam.

    Parameters
    ----------
    spots:
        To be matched.
    axes:
        Rows of a primitive basis [angstrom].
    panels, beam:
        Geometry.
    widths:
        By which place and excitation are weighed.
    q:
        Scattering vectors of the spots, where they are known already [1/angstrom].
    """
    if q is None:
        q = spots.wave_vectors(panels, beam) - beam.s0
    near = np.rint(q @ axes.T)[:, None] + _NEIGHBOURS
    s = near @ np.linalg.inv(axes).T + beam.s0
    missed = np.square(s - beam.s0 - q[:, None]).sum(axis=-1)
    missed[~near.any(axis=-1)] = np.inf
    few = np.argsort(missed, axis=1, kind="stable")[:, :_CLOSE]
    near = np.take_along_axis(near, few[:, :, None], axis=1)
    found = predicted(near.reshape(-1, 3), np.repeat(spots.panel, _CLOSE), axes, panels, beam, widths.mosaic)
    off = found.at - np.repeat(spots.at, _CLOSE, axis=0)
    radial = np.einsum("si,si->s", off, found.outward)
    cost = np.square(radial / widths.place) + np.square(found.excitation / widths.excitation)
    cost = cost + (np.square(off).sum(axis=-1) - radial**2) / np.square(widths.about(found.arm))
    cost = np.where(np.isfinite(cost), cost, np.inf).reshape(-1, _CLOSE)
    best = np.arange(len(spots)) * _CLOSE + np.argmin(cost, axis=1)
    indices = near.reshape(-1, 3)[best].astype(np.int64)
    return Match(
        indices,
        off[best],
        radial[best],
        found.leaning[best],
        found.arm[best],
        found.excitation[best],
        largest_excitation(axes),
    )


def largest_excitation(axes: _Matrix) -> float:
    r"""Error of excitation that a spot of a lattice may have: 6e-3, less where reflections lie close [1/angstrom].

    Within e of the sphere and a tolerance t across, chance explains the share :math:`2 \pi t^2 e / V^*` of the spots,
    with V* the volume of the reciprocal cell. At e = V* / 4.5e-5 that is a tenth for t = 8e-4; with 6e-3 a lattice of
    300 angstrom in all directions, turned by some degrees, explains most spots.

    Parameters
    ----------
    axes:
        Rows of a primitive basis [angstrom].
    """
    return float(min(_EXCITATION, 1 / abs(np.linalg.det(axes)) / _DENSE))


def chance(
    spots: Spots,
    axes: _Matrix,
    panels: Sequence[Panel],
    beam: Beam,
    widths: Widths,
    pixels: Sequence[float] = (1.0, 2.0, 3.0),
    trials: int = 10,
    seed: int = 0,
) -> Float[np.ndarray, "limit"]:
    """Mean share of the spots that lie within distances of reflections when the lattice is turned at random.

    Parameters
    ----------
    spots, axes, panels, beam, widths:
        As in :func:`match`.
    pixels:
        The distances.
    trials, seed:
        Of the random turns.
    """
    generator = np.random.default_rng(seed)
    q = spots.wave_vectors(panels, beam) - beam.s0
    shares = []
    for _ in range(trials):
        x, y, z = generator.standard_normal(3)
        turn = rotation(np.array([x, y, z]) / np.sqrt(x * x + y * y + z * z) * generator.uniform(0.3, np.pi))
        found = match(spots, axes @ turn.T, panels, beam, widths, q)
        shares.append([found.within(limit).mean() for limit in pixels])
    return np.mean(shares, axis=0)
