"""Circular cylinders of any aspect, from disks to rods: homogeneous, coated, hollow."""

from math import pi

from torch import Tensor

from madpipe.physics.scattering.shapes.form_factor import Areas, FormFactor, Lengths, LengthSpec
from madpipe.physics.scattering.shapes.solids import ROD, Size

_RADIUS = LengthSpec("radius", 20.0, 2.0, 20000.0, "radius")
_LENGTH = LengthSpec("length", 400.0, 2.0, 200000.0, "length")
_THICKNESS = LengthSpec("thickness", 10.0, 0.5, 2000.0, "thickness")


def _plain(lengths: Lengths) -> list[Size]:
    radius, length = lengths
    return [(radius, length / 2)]


def _coated(lengths: Lengths) -> list[Size]:
    radius, thickness, length = lengths
    return [(radius, length / 2), (radius + thickness, length / 2 + thickness)]


def _bicelle(lengths: Lengths) -> list[Size]:
    """Core, core with both faces, the whole."""
    radius, rim, face, length = lengths
    return [(radius, length / 2), (radius, length / 2 + face), (radius + rim, length / 2 + face)]


def _pipe(lengths: Lengths) -> list[Size]:
    """Bore and the whole, equally long."""
    radius, thickness, length = lengths
    return [(radius, length / 2), (radius + thickness, length / 2)]


def _area(size: Size) -> Tensor:
    """Side and both ends of a cylinder."""
    radius, half = size
    return 2 * pi * radius * (2 * half + radius)


def _plain_areas(lengths: Lengths) -> Areas:
    return {(0, 1): _area(_plain(lengths)[0])}


def _coated_areas(lengths: Lengths) -> Areas:
    return {(place, place + 1): _area(size) for place, size in enumerate(_coated(lengths))}


def _bicelle_areas(lengths: Lengths) -> Areas:
    """Core 0, face 1, rim 2, solvent 3."""
    radius, _, face, length = lengths
    ends, whole = 2 * pi * radius**2, _area(_bicelle(lengths)[-1])
    return {
        (0, 1): ends,
        (0, 2): 2 * pi * radius * length,
        (1, 2): 4 * pi * radius * face,
        (1, 3): ends,
        (2, 3): whole - ends,
    }


def _pipe_areas(lengths: Lengths) -> Areas:
    """Both sides and the two rings of the wall."""
    radius, thickness, length = lengths
    outer = radius + thickness
    return {(0, 1): 2 * pi * (radius + outer) * length + 2 * pi * (outer**2 - radius**2)}


CYLINDER = FormFactor("cylinder", (_RADIUS, _LENGTH), ("core",), ROD, _plain, _plain_areas)
CORE_SHELL_CYLINDER = FormFactor(
    "core_shell_cylinder", (_RADIUS, _THICKNESS, _LENGTH), ("core", "shell"), ROD, _coated, _coated_areas
)
BICELLE = FormFactor(
    "bicelle",
    (
        LengthSpec("radius", 80.0, 2.0, 20000.0, "radius"),
        LengthSpec("thickness_rim", 10.0, 0.5, 2000.0, "thickness"),
        LengthSpec("thickness_face", 10.0, 0.5, 2000.0, "thickness"),
        LengthSpec("length", 50.0, 2.0, 200000.0, "length"),
    ),
    ("core", "face", "rim"),
    ROD,
    _bicelle,
    _bicelle_areas,
)
HOLLOW_CYLINDER = FormFactor(
    "hollow_cylinder", (_RADIUS, _THICKNESS, _LENGTH), ("wall",), ROD, _pipe, _pipe_areas, hollow=True
)
