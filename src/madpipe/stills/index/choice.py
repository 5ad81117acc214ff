"""The same of equivalent settings for all images; what positions alone cannot decide."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from madpipe.physics.rotations import rotation_angle
from madpipe.stills.geometry import Crystal
from madpipe.stills.symmetry import ambiguities, proper_rotations, triplet

_ONE_CRYSTAL = np.radians(5.0)  # turned less, two images are taken for one crystal


def resettled(crystal: Crystal, setting: Int[np.ndarray, "3 3"]) -> Crystal:
    """The same lattice with other names of its axes: axes -> W^T axes."""
    return replace(crystal, axes=setting.T @ crystal.axes)


def misorientation(one: Crystal, other: Crystal) -> float:
    """Angle of the rotation that is nearest to what takes one crystal's axes into the other's [radian]."""
    left, _, right = np.linalg.svd(np.linalg.inv(one.axes) @ other.axes)
    return float(rotation_angle((left @ right).T))


def alike(crystal: Crystal, first: Crystal) -> Crystal:
    """Of a crystal's settings the one that is turned least against another crystal.

    Settings that only the lattice has, not the crystal, are taken if the two crystals are then within five degrees, so
    surely one; else they are left as they are.

    Parameters
    ----------
    crystal:
        To be set.
    first:
        Of the same space group.
    """
    own = [resettled(crystal, one) for one in proper_rotations(crystal.space_group)]
    more = [resettled(one, law) for law in ambiguities(crystal) for one in own]
    nearest = min((*own, *more), key=lambda one: misorientation(first, one))
    if misorientation(first, nearest) < _ONE_CRYSTAL:
        return nearest
    return min(own, key=lambda one: misorientation(first, one))


def all_alike(crystals: Sequence[Crystal | None]) -> list[Crystal | None]:
    """Set all crystals as the first one stands; images without a crystal stay without."""
    first = next((one for one in crystals if one is not None), None)
    return [None if one is None or first is None else one if one is first else alike(one, first) for one in crystals]


def said_of_ambiguity(crystal: Crystal) -> str | None:
    """A line on settings that positions of spots cannot tell apart, None where there are none.

    Parameters
    ----------
    crystal:
        Whose lattice may be more symmetric than it is.
    """
    laws = ambiguities(crystal)
    if not laws:
        return None
    cell = ", ".join(f"{one:.4g}" for one in crystal.cell)
    return (
        f"needs intensities to tell {len(laws) + 1} settings apart: the lattice of {crystal.space_group} with the cell "
        f"{cell} "
        f"has the same spots when h,k,l become {' or '.join(triplet(one) for one in laws)}; images of other crystals "
        "may be in either; compare each with the reference before merging."
    )
