"""Parallelepipeds, and sheets without an end."""

from itertools import accumulate

import torch

from madpipe.physics.scattering.shapes.form_factor import Areas, FormFactor, Lengths, LengthSpec
from madpipe.physics.scattering.shapes.solids import BOX, SLAB, Size


def _half_sides(lengths: Lengths) -> list[Size]:
    return [tuple(length / 2 for length in lengths)]


def _box_areas(lengths: Lengths) -> Areas:
    a, b, c = lengths
    return {(0, 1): 2 * (a * b + b * c + c * a)}


def _half_thicknesses(lengths: Lengths) -> list[Size]:
    """The first length is the middle layer's whole thickness, each other one that of a layer on either side."""
    return [(half,) for half in accumulate([lengths[0] / 2, *lengths[1:]])]


def _sheet_areas(lengths: Lengths) -> Areas:
    """Two surfaces of each layer, per area of the sheet."""
    return {(place, place + 1): torch.full_like(length, 2.0) for place, length in enumerate(lengths)}


def _side(name: str, default: float) -> LengthSpec:
    return LengthSpec(name, default, 2.0, 50000.0, "length")


PARALLELEPIPED = FormFactor(
    "parallelepiped",
    (_side("length_a", 35.0), _side("length_b", 75.0), _side("length_c", 400.0)),
    ("core",),
    BOX,
    _half_sides,
    _box_areas,
)
LAMELLA = FormFactor(
    "lamella",
    (LengthSpec("thickness", 40.0, 2.0, 2000.0, "length"),),
    ("core",),
    SLAB,
    _half_thicknesses,
    _sheet_areas,
)
BILAYER = FormFactor(
    "bilayer",
    (
        LengthSpec("thickness_tails", 30.0, 2.0, 2000.0, "length"),
        LengthSpec("thickness_heads", 10.0, 0.5, 500.0, "thickness"),
    ),
    ("tails", "heads"),
    SLAB,
    _half_thicknesses,
    _sheet_areas,
)
