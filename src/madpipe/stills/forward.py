r"""THE equation of a pixel, in expected photons.

.. math:: \mu = \frac{G}{n^2} \sum_{sub} \sum_{src} w_{src}\, \Omega(X)\, P(X)\, A(X)\, L(q) + b(X),
    \qquad q = (X / |X| - s) / \lambda

X: middle of a sub-pixel; Omega, P, A: solid angle, polarisation, absorption (:mod:`madpipe.stills.pixel_factors`); L:
mean of F^2 F_latt^2 over domains and spindle steps (:mod:`madpipe.stills.diffraction`); G = r_e^2 times the photons per
area; b: constant and water's background. All factors are taken at each sub-pixel and for each source (nanoBragg: at a
pixel's first sub-pixel, for the first source, which the option ``first_subpixel`` reproduces). Not included: air,
absorption in the crystal, parallax, the detector's point spread.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.physics.susceptibility import CLASSICAL_ELECTRON_RADIUS
from madpipe.stills.diffraction import mean_derivatives, mean_values
from madpipe.stills.geometry import Panel
from madpipe.stills.pixel_factors import Factors, absorption, polarisation, seen, seen_slopes
from madpipe.stills.scene import Scene
from madpipe.stills.sensor import attenuation

_WATER_RING, _WATER_WIDTH = 1 / 3.1, 0.06  # 1/d of liquid water's first maximum, its rms width [1/angstrom]
_PART = 2**16  # pixels whose arrays are held at once: half a megabyte each
_WATER_FLAT = 0.3  # share of the ring's top that is there at all angles

_Pixels = Int[np.ndarray, "pixel"] | None
_Values = Float[np.ndarray, "pixel"]


@dataclass(frozen=True)
class PixelSlopes:
    """Expected photons of pixels and their derivatives, background apart."""

    bragg: _Values
    background: _Values
    by_tangent: Float[np.ndarray, "tangent pixel"]  # along changes of the axes
    by_spread: _Values  # [photon/radian]
    by_cells: Float[np.ndarray, "3 pixel"]
    by_position: Float[np.ndarray, "3 pixel"]  # where the pixel stands [photon/mm]
    by_wavelength: _Values  # all sources' wavelengths in proportion, by the beam's [photon/angstrom]


def photons_per_electron2(fluence: float) -> float:
    """Scale G of a beam of so many photons per square metre: r_e^2 fluence [photon/electron^2/steradian]."""
    return (CLASSICAL_ELECTRON_RADIUS * 1e-10) ** 2 * fluence


def expected(scene: Scene, panel: Panel, pixels: _Pixels = None) -> _Values:
    """Expected photons.

    Parameters
    ----------
    scene:
        What is looked at.
    panel:
        Where; one of the scene's, or another.
    pixels:
        Numbers of the pixels, counted along fast, then slow; None: all of the panel.
    """
    return np.concatenate([_expected(scene, panel, part) for part in _parts(panel, pixels)])


def _expected(scene: Scene, panel: Panel, pixels: Int[np.ndarray, "pixel"]) -> _Values:
    """Expected photons of as many pixels as fit into memory."""
    light, places = scene.light, _places(scene, panel, pixels)
    total = torch.zeros_like(places[0][0])
    for at in places:
        unit = at / at.norm(dim=0)
        for source, weight in enumerate(light.weights):
            q = (unit - torch.from_numpy(light.directions[source])[:, None]) / light.wavelengths[source]
            where, which = (places[0], 0) if scene.first_subpixel else (at, source)
            factor = seen(where, _factors(scene, panel, light.directions[which]))
            total += weight * factor * mean_values(scene, q)
    return (total * (scene.scale / len(places))).numpy() + _background(scene, panel, pixels)


def image(scene: Scene, panel: Panel) -> Float[np.ndarray, "slow fast"]:
    """Expected photons of each pixel of a panel."""
    return expected(scene, panel).reshape(panel.shape)


def expected_with_slopes(
    scene: Scene, panel: Panel, tangents: Float[np.ndarray, "tangent 3 3"], pixels: _Pixels = None
) -> PixelSlopes:
    """Expected photons and all their derivatives; ``tangents`` are changes of the crystal's axes [angstrom]."""
    parts = [_expected_with_slopes(scene, panel, tangents, part) for part in _parts(panel, pixels)]
    columns = ([getattr(part, one.name) for part in parts] for one in fields(PixelSlopes))
    return PixelSlopes(*(np.concatenate(column, axis=-1) for column in columns))


def _expected_with_slopes(
    scene: Scene, panel: Panel, tangents: Float[np.ndarray, "tangent 3 3"], pixels: Int[np.ndarray, "pixel"]
) -> PixelSlopes:
    """The same of as many pixels as fit into memory."""
    light, places = scene.light, _places(scene, panel, pixels)
    sums: list[Tensor] = []
    for at in places:
        for source, weight in enumerate(light.weights):
            where, which = (places[0], 0) if scene.first_subpixel else (at, source)
            factors = _factors(scene, panel, light.directions[which])
            ray = light.directions[source], float(light.wavelengths[source])
            terms = _terms(scene, at, where, ray, factors, tangents)
            share = weight * scene.scale / len(places)
            sums = [a + b * share for a, b in zip(sums, terms, strict=True)] if sums else [b * share for b in terms]
    bragg, *others = (one.numpy() for one in sums)
    return PixelSlopes(bragg, _background(scene, panel, pixels), *others)


def _terms(
    scene: Scene,
    at: Float[Tensor, "3 point"],
    where: Float[Tensor, "3 point"],
    ray: tuple[Float[np.ndarray, "3"], float],
    factors: Factors,
    tangents: Float[np.ndarray, "tangent 3 3"],
) -> tuple[Tensor, ...]:
    """One sub-pixel and one source: photons of unit scale and derivatives, in the order of :class:`PixelSlopes`."""
    length = at.norm(dim=0)
    unit = at / length
    q = (unit - torch.from_numpy(ray[0])[:, None]) / ray[1]
    found = mean_derivatives(scene, q, tangents)
    factor = seen(where, factors)
    across = (found.by_q - unit * (unit * found.by_q).sum(0)) / (length * ray[1])
    return (
        factor * found.value,
        factor * found.by_tangent,
        factor * found.by_spread,
        factor * found.by_cells,
        factor * across + seen_slopes(where, factors) * found.value,
        -factor * (found.by_q * q).sum(0) / scene.beam.wavelength,
    )


def _parts(panel: Panel, pixels: _Pixels) -> list[Int[np.ndarray, "pixel"]]:
    """Numbers of the pixels, a part at a time."""
    numbers = np.arange(panel.shape[0] * panel.shape[1]) if pixels is None else pixels
    return np.array_split(numbers, max(1, -(-len(numbers) // _PART)))


def _places(scene: Scene, panel: Panel, pixels: Int[np.ndarray, "pixel"]) -> list[Float[Tensor, "3 pixel"]]:
    """Positions of each sub-pixel in turn, slow before fast [mm]."""
    count = scene.oversample
    corner = np.stack([pixels % panel.shape[1], pixels // panel.shape[1]], axis=-1).astype(float)
    steps = (np.arange(count) + 0.5) / count
    shifts = [np.array([fast, slow]) for slow in steps for fast in steps]
    return [torch.from_numpy(np.ascontiguousarray(panel.position(corner + shift).T)) for shift in shifts]


def _factors(scene: Scene, panel: Panel, direction: Float[np.ndarray, "3"]) -> Factors:
    """What solid angle, polarisation and absorption need to know."""
    beam = scene.beam
    normal = outward_normal(panel)
    electric = beam.electric if beam.electric is not None else np.eye(3)[np.argmin(np.abs(direction))]
    electric = electric - direction * (electric @ direction)
    electric = electric / np.linalg.norm(electric)
    depth = panel.thickness * attenuation(panel.material, beam.wavelength) if panel.thickness else 0.0
    kahn = beam.polarised if beam.electric is not None else 0.0
    vectors = (torch.from_numpy(one) for one in (normal, direction, electric))
    normal_, source, electric_ = vectors
    return Factors(panel.pixel[0] * panel.pixel[1], normal_, source, kahn, electric_, depth)


def outward_normal(panel: Panel) -> Float[np.ndarray, "3"]:
    """The panel's unit normal that points away from the sample."""
    side: np.ndarray = panel.normal * np.sign(panel.normal @ panel.origin)
    return side


def _background(scene: Scene, panel: Panel, pixels: Int[np.ndarray, "pixel"]) -> _Values:
    """Background at the middle of each pixel [photon]."""
    found = np.full(len(pixels), scene.background.constant)
    if not scene.background.water:
        return found
    middle = np.stack([pixels % panel.shape[1] + 0.5, pixels // panel.shape[1] + 0.5], axis=-1)
    at = torch.from_numpy(np.ascontiguousarray(panel.position(middle).T))
    return found + water(at, _factors(scene, panel, scene.beam.direction), scene)


def water(at: Float[Tensor, "3 point"], factors: Factors, scene: Scene) -> _Values:
    r"""Photons scattered by liquid water: a ring at d = 3.1 angstrom on a flat part, times what a pixel sees.

    .. math:: b \propto (0.3 + 0.7\, e^{-(|q| - 1/3.1)^2 / 2\, (0.06)^2})\, \cos^3\alpha\, P\, A

    alpha: angle of the ray with the panel's normal, cos^3 the fall of the solid angle over the panel. A plain shape for
    tests of background, not a model of water's structure; the first maximum is that of Head-Gordon and Hura, Chem.
    Rev. 102, 2651 (2002), Q = 2.0 1/angstrom.
    """
    unit = at / at.norm(dim=0)
    q = ((unit - torch.from_numpy(scene.beam.direction)[:, None]) / scene.beam.wavelength).norm(dim=0)
    ring = torch.exp(-((q - _WATER_RING) ** 2) / (2 * _WATER_WIDTH**2))
    height = scene.background.water * (_WATER_FLAT + (1 - _WATER_FLAT) * ring)
    slant = (factors.normal @ unit) ** 3
    return (height * slant * polarisation(at, factors) * absorption(at, factors)).numpy()
