"""Which reflection a spot is, how many spots a lattice explains, and how many it would by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.index.detector import landed, rotation
from madpipe.stills.index.spots import Spots

EXCITATION = 6e-3  # error of excitation that a spot may have [1/angstrom]
_NEIGHBOURS = np.array(list(product((0, -1, 1), repeat=3)))
_Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Match:
    """The likeliest reflection of each spot."""

    indices: Int[np.ndarray, "spot 3"]
    off: Float[np.ndarray, "spot 2"]  # predicted less measured position (fast, slow) [pixel]
    excitation: Float[np.ndarray, "spot"]  # error |s0 + q| - 1/wavelength [1/angstrom]

    @property
    def distance(self) -> Float[np.ndarray, "spot"]:
        """From spot to reflection [pixel]; infinite where the reflection is not excited."""
        apart = np.linalg.norm(self.off, axis=1)
        return np.where((np.abs(self.excitation) <= EXCITATION) & np.isfinite(apart), apart, np.inf)

    def within(self, pixels: float) -> Bool[np.ndarray, "spot"]:
        """Spots that lie so near to their reflection."""
        return self.distance <= pixels


@dataclass(frozen=True)
class Widths:
    """How far a spot of the lattice lies from its reflection, one standard deviation."""

    place: float = 0.7  # an axis [pixel]
    excitation: float = 2e-3  # [1/angstrom]


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
    excitation = np.linalg.norm(s, axis=-1) - 1 / beam.wavelength
    many = len(_NEIGHBOURS)
    at, _ = landed(s.reshape(-1, 3), np.repeat(spots.panel, many), panels)
    off = at.reshape(-1, many, 2) - spots.at[:, None]
    cost = np.square(off).sum(axis=-1) / widths.place**2 + np.square(excitation / widths.excitation)
    cost = np.where(np.isfinite(cost) & near.any(axis=-1), cost, np.inf)
    best = np.argmin(cost, axis=1)
    row = np.arange(len(spots))
    return Match(near[row, best].astype(np.int64), off[row, best], excitation[row, best])


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
