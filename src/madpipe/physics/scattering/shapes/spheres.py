"""Spheres and concentric shells."""

from itertools import accumulate
from math import pi

from madpipe.physics.scattering.shapes.form_factor import Areas, FormFactor, Lengths, LengthSpec
from madpipe.physics.scattering.shapes.solids import BALL, Size

_RADIUS = LengthSpec("radius", 60.0, 2.0, 20000.0, "radius")
_CORE = LengthSpec("core_radius", 60.0, 2.0, 20000.0, "radius")
_SHELL = LengthSpec("thickness", 10.0, 0.5, 2000.0, "thickness")


def _concentric(lengths: Lengths) -> list[Size]:
    """Balls with radii that grow by each thickness."""
    return [(radius,) for radius in accumulate(lengths)]


def _sphere_areas(lengths: Lengths) -> Areas:
    """Each ball's surface, between its region and the next."""
    return {(place, place + 1): 4 * pi * size[0] ** 2 for place, size in enumerate(_concentric(lengths))}


def _vesicle_areas(lengths: Lengths) -> Areas:
    """Both surfaces, between the wall and the solvent."""
    (inner,), (outer,) = _concentric(lengths)
    return {(0, 1): 4 * pi * (inner**2 + outer**2)}


def core_multi_shell(shells: int) -> FormFactor:
    """A core with so many concentric shells, each of its own contrast (an onion).

    Parameters
    ----------
    shells:
        Number of shells, at least 1; one of thickness 0 is not there.

    Returns
    -------
    :
        Lengths core_radius, thickness_1, ...; regions core, shell_1, ... from the inside outwards.
    """
    numbers = range(1, shells + 1)
    return FormFactor(
        name="core_multi_shell",
        lengths=(_CORE, *(LengthSpec(f"thickness_{n}", 10.0, 0.0, 2000.0, "thickness") for n in numbers)),
        regions=("core", *(f"shell_{n}" for n in numbers)),
        solid=BALL,
        nested=_concentric,
        areas=_sphere_areas,
    )


SPHERE = FormFactor("sphere", (_RADIUS,), ("core",), BALL, _concentric, _sphere_areas)
CORE_SHELL_SPHERE = FormFactor(
    "core_shell_sphere", (_CORE, _SHELL), ("core", "shell"), BALL, _concentric, _sphere_areas
)
CORE_MULTI_SHELL = core_multi_shell(3)
VESICLE = FormFactor(
    "vesicle",
    (LengthSpec("core_radius", 100.0, 5.0, 20000.0, "radius"), LengthSpec("thickness", 30.0, 0.5, 2000.0, "thickness")),
    ("wall",),
    BALL,
    _concentric,
    _vesicle_areas,
    hollow=True,
)
