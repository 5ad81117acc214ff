"""Smooth curves of each class without a scale: unit size, unit volume fraction and contrast, on one axis of ln(q size).

A curve serves at any size, in any window of q and with any noise, so that a training draws from a table.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.saxs.network.classes import CLASSES, MOST, NAMES, ShapeClass
from madpipe.saxs.network.particles import (
    Spread,
    core_shell_spheres,
    gaussian,
    lognormal,
    round_rods,
    schulz,
    single,
)
from madpipe.saxs.network.rods import Angles, angles_for, slab_amplitude, sphere_amplitude, spheroids

FINEST = 1 / 40  # of ln(q size) between points of the table
BEGIN, POINTS = -3.91, 369  # ln(q size) of the first point, and how many: up to 200
_FLOAT = torch.float32
_NODES = (96, 256)  # of narrow and of wide distributions: a step is at most 3 rad at the last point
_CHUNK = 32
_WIDTHS = ((0.01, 0.1), (0.1, 0.35))  # relative spread of sizes, narrow and wide
_SHELL = (0.05, 0.9)  # of the outer radius or half length
_ASPECT = (1.5, 30.0)
_CONTRAST = (0.5, 3.5)  # of shell against solvent and of core against shell, any sign, in one unit
_KINDS = (schulz, lognormal, gaussian)


class Table(NamedTuple):
    """Curves and what they were made with."""

    label: Int[Tensor, "curve"]
    level: Float[Tensor, "curve point"]  # ln of mean square amplitude over mean volume, in units of the size
    parameters: Float[Tensor, "curve parameter"]  # as the class names them: ln lengths over the size, numbers, 0


class Draw(NamedTuple):
    """Particles of one class in units of their size: intensity without the scale, and parameters but for the scale."""

    intensity: Float[Tensor, "particle q"]
    parameters: list[Float[Tensor, "particle"]]


def axis() -> Float[Tensor, "point"]:
    """Values of q times size at which curves are tabulated."""
    return torch.exp(BEGIN + FINEST * torch.arange(POINTS, dtype=torch.float64)).float()


def simulated_table(count: int, generator: torch.Generator, names: tuple[str, ...] = NAMES) -> Table:
    """Draw so many curves of each class.

    Parameters
    ----------
    count:
        Curves of each class.
    generator:
        Of all parameters.
    names:
        Classes; labels are their places among all classes.
    """
    parts = [_class_table(one, number, count, generator) for number, one in enumerate(CLASSES) if one.name in names]
    return Table(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _class_table(shape: ShapeClass, number: int, count: int, generator: torch.Generator) -> Table:
    """Draw curves of one class."""
    levels, rows = [], []
    for size in [_CHUNK] * (count // _CHUNK) + [count % _CHUNK] * bool(count % _CHUNK):
        drawn = _DRAWS[shape.name](size, generator)
        levels.append(torch.log(drawn.intensity.clamp(min=1e-30)))
        row = torch.zeros(size, MOST, dtype=_FLOAT)
        for place, values in enumerate(drawn.parameters):
            row[:, place] = values
        rows.append(row)
    return Table(torch.full((count,), number), torch.cat(levels), torch.cat(rows))


def _uniform(size: int, ends: tuple[float, float], generator: torch.Generator) -> Float[Tensor, "particle"]:
    """Draw evenly."""
    return ends[0] + (ends[1] - ends[0]) * torch.rand(size, generator=generator, dtype=torch.float32)


def _logarithmic(size: int, ends: tuple[float, float], generator: torch.Generator) -> Float[Tensor, "particle"]:
    """Draw evenly in the logarithm."""
    return ends[0] * (ends[1] / ends[0]) ** torch.rand(size, generator=generator, dtype=torch.float32)


def _spread(size: int, generator: torch.Generator) -> tuple[Spread, Float[Tensor, "particle"]]:
    """Draw a kind of distribution, and whether it is narrow, for all; and widths."""
    wide = int(torch.randint(2, (), generator=generator))
    width = _logarithmic(size, _WIDTHS[wide], generator)
    kind = _KINDS[int(torch.randint(len(_KINDS), (), generator=generator))]
    return kind(width, _NODES[wide]), width


def _contrasts(size: int, generator: torch.Generator) -> Float[Tensor, "particle 2"]:
    """Contrasts of core and shell, the shell's 1."""
    sign = 2 * torch.randint(2, (size,), generator=generator) - 1
    ratio = 1 + sign * _uniform(size, _CONTRAST, generator) / _uniform(size, _CONTRAST, generator)
    return torch.stack([ratio, torch.ones_like(ratio)], dim=1)


def _sphere(size: int, generator: torch.Generator) -> Draw:
    """Homogeneous spheres of radius 1."""
    spread, width = _spread(size, generator)
    one, none = torch.ones_like(width), torch.zeros_like(width)[:, None]
    contrasts = torch.stack([one, none[:, 0]], dim=1)
    square, volume = core_shell_spheres(axis(), one, none, spread, contrasts)
    return Draw(square / volume[:, None], [torch.log(one), torch.log(width)])


def _shell(size: int, ends: tuple[float, float], contrasts: Tensor, generator: torch.Generator) -> tuple[Draw, Tensor]:
    """Spheres in a shell of outer radius 1: the core alone is spread, or both in proportion; and the outer volume."""
    spread, width = _spread(size, generator)
    share = _logarithmic(size, ends, generator)
    together = torch.rand((), generator=generator) < 0.5
    thickness = share[:, None] * (spread.relative if together else torch.ones_like(spread.relative))
    square, volume = core_shell_spheres(axis(), 1 - share, thickness, spread, contrasts)
    core = 4 / 3 * torch.pi * ((1 - share)[:, None] * spread.relative) ** 3
    material = volume - (core * spread.weights).sum(1)
    numbers = [torch.log(1 - share), torch.log(share), torch.log(width)]
    return Draw(square / volume[:, None], numbers), volume / material


def _core_shell_sphere(size: int, generator: torch.Generator) -> Draw:
    """Core and shell of random contrasts."""
    contrasts = _contrasts(size, generator)
    drawn, _ = _shell(size, _SHELL, contrasts, generator)
    core, shell, width = drawn.parameters
    return Draw(drawn.intensity, [core, shell, torch.asinh(contrasts[:, 0]), width])


def _vesicle(size: int, generator: torch.Generator) -> Draw:
    """A shell about solvent; its volume is the material's."""
    contrasts = torch.tensor([0.0, 1.0], dtype=_FLOAT).expand(size, 2)
    drawn, ratio = _shell(size, (0.03, 0.7), contrasts, generator)
    return Draw(drawn.intensity * ratio[:, None], drawn.parameters)


def _ellipsoid(size: int, generator: torch.Generator) -> Draw:
    """Ellipsoids of revolution, oblate or prolate by 1.4 to 10, the larger radius 1."""
    spread, width = _spread(size, generator)
    small = 1 / _logarithmic(size, (1.4, 10.0), generator)
    oblate, one = torch.rand(size, generator=generator) < 0.5, torch.ones_like(small)
    polar, equatorial = torch.where(oblate, small, one), torch.where(oblate, one, small)
    square, volume = spheroids(axis(), polar, equatorial, spread.relative, spread.weights)
    return Draw(square / volume[:, None], [torch.log(polar), torch.log(equatorial), torch.log(width)])


def _rods(size: int, flat: bool, coated: bool, generator: torch.Generator) -> Draw:
    """Cylinders of outer half length 1, or disks of outer radius 1; radius or length is spread."""
    spread, width = _spread(size, generator)
    small = 1 / _logarithmic(size, _ASPECT, generator)
    one = torch.ones_like(small)
    outer, half = (one, small) if flat else (small, one)
    contrasts = _contrasts(size, generator) if coated else torch.tensor([1.0, 0.0], dtype=_FLOAT).expand(size, 2)
    thickness = small * _uniform(size, _SHELL, generator) if coated else torch.zeros_like(small)
    radius, length = outer - thickness, 2 * (half - thickness)
    spreads = (spread, single(width)) if torch.rand((), generator=generator) < 0.6 else (single(width), spread)
    square, volume = round_rods(_angles(), radius, length, thickness, spreads, contrasts)
    lengths = [radius, thickness, length] if coated else [radius, length]
    ratio = [torch.asinh(contrasts[:, 0])] if coated else []
    return Draw(square / volume[:, None], [*map(torch.log, lengths), *ratio, torch.log(width)])


def _coil(size: int, _: torch.Generator) -> Draw:
    """Gaussian coils of radius of gyration 1, by Debye's function, over their volume."""
    square = (axis().double() ** 2).expand(size, -1)
    debye = torch.where(square < 1e-2, 1 - square / 3 + square**2 / 12, 2 * (torch.expm1(-square) + square) / square**2)
    return Draw(debye.float(), [torch.zeros(size, dtype=_FLOAT)])


def _lamella(size: int, generator: torch.Generator) -> Draw:
    """Sheets of half thickness 1."""
    spread, width = _spread(size, generator)
    thickness = 2 * spread.relative
    amplitude = thickness[:, None] * slab_amplitude(axis()[:, None] * thickness[:, None] / 2)
    square = (amplitude**2 @ spread.weights[:, :, None])[..., 0] * 2 * torch.pi / axis() ** 2
    return Draw(
        square / (thickness * spread.weights).sum(1)[:, None], [torch.full_like(width, 2.0).log(), torch.log(width)]
    )


def _fractal(size: int, generator: torch.Generator) -> Draw:
    """Mass fractals of spheres, Teixeira's, of correlation length 1."""
    radius = 1 / _logarithmic(size, (3.0, 100.0), generator)
    dimension = _uniform(size, (1.1, 2.9), generator)
    q, power = axis(), dimension[:, None] - 1
    factor = torch.sin(power * torch.atan(q)) / (
        (q * radius[:, None]) ** dimension[:, None] * (1 + q**-2) ** (power / 2)
    )
    structure = 1 + dimension[:, None] * torch.exp(torch.lgamma(power)) * factor
    volume = 4 / 3 * torch.pi * radius**3
    one = sphere_amplitude(q * radius[:, None]) ** 2 * volume[:, None]
    return Draw(structure * one, [torch.log(radius), torch.zeros_like(radius), torch.log(dimension)])


@cache
def _angles() -> Angles:
    """Angles for the axis and particles that reach to a distance of 1 on both sides, some twice as far."""
    return angles_for(axis(), 1.5)


_DRAWS: dict[str, Callable[[int, torch.Generator], Draw]] = {
    "sphere": _sphere,
    "core_shell_sphere": _core_shell_sphere,
    "vesicle": _vesicle,
    "ellipsoid": _ellipsoid,
    "cylinder": lambda size, generator: _rods(size, False, False, generator),
    "disk": lambda size, generator: _rods(size, True, False, generator),
    "core_shell_cylinder": lambda size, generator: _rods(size, False, True, generator),
    "core_shell_disk": lambda size, generator: _rods(size, True, True, generator),
    "coil": _coil,
    "lamella": _lamella,
    "fractal": _fractal,
}
