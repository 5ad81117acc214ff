"""Beam, detector and crystal in one laboratory frame.

The frame is that of NeXus where nothing else is said: z along the beam, y up, x = y cross z (to the left, seen from the
source). The imgCIF frame of DIALS has x and z turned round: :data:`IMGCIF_TO_NEXUS` takes one into the other, both
ways. Nothing below depends on the frame: the beam is a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

IMGCIF_TO_NEXUS = np.diag([-1.0, 1.0, -1.0])

_Vector = Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Beam:
    """A nearly monochromatic beam."""

    direction: _Vector  # of travel, of unit length
    wavelength: float  # [angstrom]
    bandwidth: float = 0.0  # rms, relative to the wavelength
    polarised: float = 0.0  # Kahn's factor: 1 fully polarised, 0 not at all
    electric: _Vector | None = None  # direction of the electric field; None: not polarised

    @property
    def s0(self) -> _Vector:
        """Wave vector over 2 pi [1/angstrom]."""
        return self.direction / self.wavelength


@dataclass(frozen=True)
class Panel:
    """A flat rectangle of pixels."""

    origin: _Vector  # outer corner of the first pixel, from the sample [mm]
    fast: _Vector  # direction of growing column, of unit length
    slow: _Vector  # of growing row
    pixel: tuple[float, float]  # size along fast and slow [mm]
    shape: tuple[int, int]  # rows, columns
    name: str = "panel"
    thickness: float = 0.0  # of the sensor [mm]; 0: all photons are seen
    material: str = "Si"

    @property
    def normal(self) -> _Vector:
        """Unit vector fast x slow."""
        return np.cross(self.fast, self.slow)

    def position(self, at: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point 3"]:
        """Where pixel coordinates (fast, slow) lie [mm]; the middle of the first pixel is (0.5, 0.5)."""
        along, down = at[..., :1] * self.pixel[0], at[..., 1:] * self.pixel[1]
        return self.origin + along * self.fast + down * self.slow

    def hit(self, rays: Float[np.ndarray, "*point 3"]) -> Float[np.ndarray, "*point 2"]:
        """Pixel coordinates (fast, slow) where rays from the sample meet the panel's plane; NaN where they go away."""
        axes = np.stack([self.fast * self.pixel[0], self.slow * self.pixel[1], self.origin], axis=1)
        found = rays @ np.linalg.inv(axes).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(found[..., 2:] > 0, found[..., :2] / found[..., 2:], np.nan)


@dataclass(frozen=True)
class Crystal:
    """A crystal lattice as it stands in the beam."""

    axes: Float[np.ndarray, "3 3"]  # rows a, b, c in the laboratory frame [angstrom]
    space_group: str = "P 1"  # Hermann-Mauguin, as gemmi spells it

    @property
    def reciprocal(self) -> Float[np.ndarray, "3 3"]:
        """Columns a*, b*, c*: q = reciprocal @ (h, k, l) [1/angstrom], without 2 pi."""
        return np.linalg.inv(self.axes)

    @property
    def cell(self) -> Float[np.ndarray, "6"]:
        """Lengths [angstrom] and angles [degree] of the cell."""
        lengths = np.linalg.norm(self.axes, axis=1)
        cosine = [self.axes[i] @ self.axes[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
        return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosine, -1, 1)))])

    def turned(self, rotation: Float[np.ndarray, "3 3"]) -> "Crystal":
        """The crystal after a rotation of the laboratory frame."""
        return Crystal(self.axes @ rotation.T, self.space_group)


def finest(beam: Beam, panels: Sequence[Panel]) -> float:
    """Least d that any corner of the panels sees [angstrom]."""
    largest = 0.0
    for panel in panels:
        rows, columns = panel.shape
        at = panel.position(np.array([[0.0, 0.0], [columns, 0], [0, rows], [columns, rows]]))
        unit = at / np.linalg.norm(at, axis=1, keepdims=True)
        largest = max(largest, float(np.linalg.norm(unit - beam.direction, axis=1).max()))
    return beam.wavelength / largest
