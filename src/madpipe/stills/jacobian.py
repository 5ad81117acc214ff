"""Expected photons of pixels with their derivatives by what a fit may vary, each a name of :data:`PARAMETERS`.

The nearest reflection of a pixel is a constant: on the border of two reflections' cells there is no derivative. The
derivative by the wavelength leaves the sensor's attenuation as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from madpipe.physics.rotations import rotation
from madpipe.stills.forward import PixelSlopes, expected_with_slopes, outward_normal
from madpipe.stills.geometry import Crystal, Panel
from madpipe.stills.scene import Scene

_Columns = Float[np.ndarray, "number pixel"]
_Numbers = Float[np.ndarray, "number"]
_Tangents = Float[np.ndarray, "tangent 3 3"]


@dataclass(frozen=True)
class Parameter:
    """One or more numbers that may vary together."""

    labels: tuple[str, ...]
    unit: str
    moved: Callable[[Scene, Panel, _Numbers], tuple[Scene, Panel]]  # by these numbers from where they stand
    columns: Callable[[Scene, Panel, PixelSlopes], _Columns] | None  # of the Jacobian; None: one a tangent
    tangents: Callable[[Crystal], _Tangents] | None = None  # changes of the axes [angstrom]


def values_with_jacobian(
    scene: Scene, panel: Panel, names: Sequence[str], pixels: Int[np.ndarray, "pixel"] | None = None
) -> tuple[Float[np.ndarray, "pixel"], Float[np.ndarray, "pixel number"]]:
    """Expected photons, and their derivatives by the numbers of each named parameter in turn.

    Parameters
    ----------
    scene, panel, pixels:
        As :func:`madpipe.stills.forward.expected`.
    names:
        Of :data:`PARAMETERS`.
    """
    chosen = [PARAMETERS[name] for name in names]
    tangents = [one.tangents(scene.crystal) for one in chosen if one.tangents is not None]
    found = expected_with_slopes(scene, panel, np.concatenate([*tangents, np.zeros((0, 3, 3))]), pixels)
    along, columns = iter(found.by_tangent), []
    for one in chosen:
        columns += [next(along) for _ in one.labels] if one.columns is None else list(one.columns(scene, panel, found))
    return found.bragg + found.background, np.stack(columns, axis=1)


def labels_of(names: Sequence[str]) -> list[str]:
    """Names of the Jacobian's columns."""
    return [label for name in names for label in PARAMETERS[name].labels]


def turned_axes(crystal: Crystal) -> _Tangents:
    """Changes of the axes for a rotation about x, y, z of the laboratory, [angstrom/radian]."""
    return np.cross(np.eye(3)[:, None], crystal.axes[None])


def axes_of_cell(cell: Float[np.ndarray, "6"]) -> Float[np.ndarray, "3 3"]:
    """Rows a, b, c of a cell [angstrom, radian] in its own frame: a along x, b in the plane of x and y."""
    a, b, c, alpha, beta, gamma = cell
    shear = (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    rise = np.sqrt(np.sin(beta) ** 2 - shear**2)
    rows = [[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [c * np.cos(beta), c * shear, c * rise]]
    return np.array(rows)


def strained_axes(crystal: Crystal) -> _Tangents:
    """Changes of the axes with a, b, c [1] and alpha, beta, gamma [angstrom/radian], at fixed orientation.

    The orientation is that of the frame of :func:`axes_of_cell`.
    """
    cell = _cell(crystal)
    a, b, c, alpha, beta, gamma = cell
    own = axes_of_cell(cell)
    cos_b, sin_b, cos_g, sin_g = np.cos(beta), np.sin(beta), np.cos(gamma), np.sin(gamma)
    shear, rise = own[2, 1] / c, own[2, 2] / c
    by_shear = {
        "alpha": -np.sin(alpha) / sin_g,
        "beta": sin_b * cos_g / sin_g,
        "gamma": cos_b - shear * cos_g / sin_g,
    }
    changes = np.zeros((6, 3, 3))
    for axis, length in enumerate((a, b, c)):
        changes[axis, axis] = own[axis] / length
    for number, (name, slope) in enumerate(by_shear.items(), start=3):
        by_cosine = -sin_b if name == "beta" else 0.0
        changes[number, 2] = c * np.array([by_cosine, slope, -(cos_b * by_cosine + shear * slope) / rise])
    changes[5, 1] = b * np.array([-sin_g, cos_g, 0])
    return changes @ np.linalg.inv(own) @ crystal.axes


def _cell(crystal: Crystal) -> Float[np.ndarray, "6"]:
    """Cell with angles in radian."""
    return np.concatenate([crystal.cell[:3], np.radians(crystal.cell[3:])])


def _with_cell(scene: Scene, change: _Numbers) -> Scene:
    """The scene with another cell, its orientation kept."""
    cell = _cell(scene.crystal)
    turn = np.linalg.inv(axes_of_cell(cell)) @ scene.crystal.axes
    return replace(scene, crystal=Crystal(axes_of_cell(cell + change) @ turn, scene.crystal.space_group))


def _farther(panel: Panel, change: Float[np.ndarray, "3"]) -> Panel:
    """The panel after a shift [mm]."""
    return replace(panel, origin=panel.origin + change)


def _of_a_pixel(panel: Panel) -> Float[np.ndarray, "2 3"]:
    """Where the panel goes when the beam's centre moves by a pixel along fast, along slow [mm]."""
    return -np.stack([panel.fast * panel.pixel[0], panel.slow * panel.pixel[1]])


def _longer_wave(scene: Scene, change: float) -> Scene:
    """The scene at another wavelength of its beam; other sources in proportion."""
    beam = replace(scene.beam, wavelength=scene.beam.wavelength + change)
    ratio = beam.wavelength / scene.beam.wavelength
    sources = scene.sources and replace(scene.sources, wavelengths=scene.sources.wavelengths * ratio)
    return replace(scene, beam=beam, sources=sources)


def _with_background(scene: Scene, change: float) -> Scene:
    """The scene with more constant background."""
    return replace(scene, background=replace(scene.background, constant=scene.background.constant + change))


PARAMETERS = {
    "misset": Parameter(  # a rotation of the crystal, vector in the laboratory frame
        ("rotation_x", "rotation_y", "rotation_z"),
        "radian",
        lambda s, p, d: (replace(s, crystal=s.crystal.turned(rotation(d))), p),
        None,
        turned_axes,
    ),
    "spread": Parameter(
        ("spread",),
        "radian",
        lambda s, p, d: (replace(s, spread=s.spread + float(d[0])), p),
        lambda s, p, f: f.by_spread[None],
    ),
    "cells": Parameter(
        ("cells_a", "cells_b", "cells_c"),
        "",
        lambda s, p, d: (replace(s, cells=s.cells + d), p),
        lambda s, p, f: f.by_cells,
    ),
    "cell": Parameter(
        ("a", "b", "c", "alpha", "beta", "gamma"),
        "angstrom, radian",
        lambda s, p, d: (_with_cell(s, d), p),
        None,
        strained_axes,
    ),
    "distance": Parameter(
        ("distance",),
        "mm",
        lambda s, p, d: (s, _farther(p, outward_normal(p) * d[0])),
        lambda s, p, f: (outward_normal(p) @ f.by_position)[None],
    ),
    "beam_centre": Parameter(
        ("centre_fast", "centre_slow"),
        "pixel",
        lambda s, p, d: (s, _farther(p, d @ _of_a_pixel(p))),
        lambda s, p, f: _of_a_pixel(p) @ f.by_position,
    ),
    "scale": Parameter(
        ("scale",),
        "photon/electron^2/steradian",
        lambda s, p, d: (replace(s, scale=s.scale + float(d[0])), p),
        lambda s, p, f: (f.bragg / s.scale)[None],
    ),
    "background": Parameter(
        ("background",),
        "photon",
        lambda s, p, d: (_with_background(s, float(d[0])), p),
        lambda s, p, f: np.ones((1, len(f.bragg))),
    ),
    "wavelength": Parameter(
        ("wavelength",),
        "angstrom",
        lambda s, p, d: (_longer_wave(s, float(d[0])), p),
        lambda s, p, f: f.by_wavelength[None],
    ),
}
