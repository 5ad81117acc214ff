"""The scene of the refinement demo: 64 x 64 pixels about the beam, a cube of 5 x 5 x 5 cells of 100 angstrom."""

import numpy as np
from jaxtyping import Float

from madpipe.stills.forward import photons_per_electron2
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.misset import standing
from madpipe.stills.mosaic import Mosaicity, quadrature
from madpipe.stills.scene import Scene, StructureFactors

MISSET = np.radians([5.0, 3.0, -2.0])  # true
SPREAD = float(np.radians(0.8))  # true
CELL = np.array([100.0, 100.0, 100.0, 90.0, 90.0, 90.0])  # [angstrom, degree]
_HALF, _DISTANCE, _SIDE = 33, 100.0, 64  # the beam's pixel; [mm]; pixels of a side


def demo(
    misset: Float[np.ndarray, "3"] = MISSET,
    spread: float = SPREAD,
    mosaicity: Mosaicity | None = None,
    shape: str = "square",
    pixel: float = 0.1,
    oversample: int = 1,
) -> Scene:
    """Give the demo's scene.

    Parameters
    ----------
    misset:
        Missetting angles [radian].
    spread:
        Rms angle of the domains [radian].
    mosaicity:
        Their law; None: the quadrature.
    shape:
        Of the crystal.
    pixel:
        Its size [mm]; the beam stands on the same pixel.
    oversample:
        Sub-pixels of a side.
    """
    corner = np.array([_DISTANCE, _HALF * pixel, -_HALF * pixel])
    fast, slow = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
    return Scene(
        beam=Beam(np.array([1.0, 0.0, 0.0]), 1.0),
        panels=(Panel(corner, fast, slow, (pixel, pixel), (_SIDE, _SIDE)),),
        crystal=standing(CELL, misset),
        cells=np.full(3, 5.0),
        factors=StructureFactors.flat(100.0),
        scale=photons_per_electron2(1e28),
        shape=shape,
        mosaicity=mosaicity or quadrature(),
        spread=spread,
        oversample=oversample,
    )
