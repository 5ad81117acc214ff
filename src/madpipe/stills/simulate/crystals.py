"""A set of still images, one crystal each, by the pixel simulator; with what a user is told of them, and the truth."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
import torch
from jaxtyping import Float, Int

from madpipe.physics.noise import poisson
from madpipe.physics.rotations import rotation
from madpipe.stills.config import SimulatedStills
from madpipe.stills.forward import image
from madpipe.stills.geometry import Beam, Crystal, Panel, finest
from madpipe.stills.misset import standing
from madpipe.stills.mosaic import SpotKernel, quadrature
from madpipe.stills.records import StillsTruth
from madpipe.stills.reflections.model import indices_within
from madpipe.stills.scene import Background, Scene, StructureFactors
from madpipe.stills.symmetry import crystal_of_cell

_STEP = 1.75  # of a sum, in widths of a spot
_EDGE = 1.02  # resolution of the structure factors, beyond the detector's corner


@dataclass(frozen=True)
class DrawnStills:
    """A set before it is exposed: what is true, and what a user is told."""

    scenes: tuple[Scene, ...]
    told: tuple[Crystal, ...]
    truth: StillsTruth

    @property
    def beam(self) -> Beam:
        """Of all images."""
        return self.scenes[0].beam

    @property
    def panel(self) -> Panel:
        """Of all images."""
        return self.scenes[0].panels[0]

    def counts(self, generator: torch.Generator) -> Iterator[list[Int[np.ndarray, "row column"]]]:
        """Expose image after image; Poisson's counts on each panel."""
        for scene in self.scenes:
            drawn = poisson(torch.from_numpy(image(scene, scene.panels[0])), generator)
            yield [drawn.numpy().astype(np.int32)]


def draw_stills(sample: SimulatedStills, generator: torch.Generator) -> DrawnStills:
    """Draw crystals, intensities and scales; no photon yet.

    Parameters
    ----------
    sample:
        Its section of the configuration.
    generator:
        Draws, in this order: intensities, the reference's errors, orientations, scales.

    Raises
    ------
    InputError
        No cell, no space group, or a cell that the space group does not allow.
    """
    crystal_of_cell(np.array(sample.cell), sample.space_group)  # or it says what is wrong with them
    beam = Beam(np.array([0.0, 0.0, 1.0]), sample.wavelength, polarised=1.0, electric=np.array([1.0, 0.0, 0.0]))
    panel = _panel(sample)
    hkl, intensity, reference = _intensities(sample, finest(beam, [panel]) / _EDGE, generator)
    crystals = [_crystal(sample, generator) for _ in range(sample.images)]
    off = math.radians(sample.told_off) * _normal((sample.images, 3), generator)
    told = [one.turned(rotation(-turn)) for one, turn in zip(crystals, off, strict=True)]
    ln_scale = sample.scale_sd * _normal((sample.images,), generator)
    b_factor = sample.b_sd * _normal((sample.images,), generator)
    scenes = [
        _scene(sample, beam, panel, one, _factors(sample, hkl, intensity, one, b))
        for one, b in zip(crystals, b_factor, strict=True)
    ]
    unit = sample.photons / statistics.fmean(float(image(scene, panel).sum()) for scene in scenes[:_TRIED])
    scenes = [_exposed(scene, unit * math.exp(g), sample.background) for scene, g in zip(scenes, ln_scale, strict=True)]
    truth = StillsTruth(
        axes=np.stack([one.axes for one in crystals]),
        ln_scale=ln_scale,
        wilson_b=b_factor,
        spread=sample.spread,
        cells=np.array(sample.cells),
        hkl=hkl,
        intensity=intensity,
        reference=reference,
        photons_per_intensity=np.array([scene.scale for scene in scenes]),
    )
    return DrawnStills(tuple(scenes), tuple(told), truth)


_TRIED = 3  # images whose photons tell the mean


def _panel(sample: SimulatedStills) -> Panel:
    """A square detector across the beam, which meets it two pixels off its middle."""
    fast, slow = np.array([-1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
    middle = (sample.size / 2 + 0.5) * sample.pixel
    corner = np.array([0.0, 0.0, sample.distance]) - middle * (fast + slow)
    return Panel(corner, fast, slow, (sample.pixel, sample.pixel), (sample.size, sample.size))


def _intensities(
    sample: SimulatedStills, resolution: float, generator: torch.Generator
) -> tuple[Int[np.ndarray, "unique 3"], Float[np.ndarray, "unique"], Float[np.ndarray, "unique"]]:
    """Unique reflections, F^2 [electron^2], and the same with a reference's errors."""
    crystal = standing(np.array(sample.cell), np.zeros(3))
    group = gemmi.SpaceGroup(sample.space_group)
    every = indices_within(Crystal(crystal.axes, sample.space_group), resolution)
    unit = gemmi.ReciprocalAsu(group)
    hkl = every[[unit.is_in(one) for one in every.tolist()]]
    inverse_d2 = np.sum((hkl @ crystal.reciprocal.T) ** 2, axis=1)
    if sample.amplitude is not None:
        intensity = np.full(len(hkl), sample.amplitude**2)
    else:
        operations = group.operations()
        centric = np.asarray(operations.centric_flag_array(hkl.astype(np.int32)))
        strong = np.asarray(operations.epsilon_factor_without_centering_array(hkl.astype(np.int32)), dtype=float)
        acentric = -np.log1p(-torch.rand(len(hkl), generator=generator, dtype=torch.float64).numpy())
        drawn = np.where(centric, _normal((len(hkl),), generator) ** 2, acentric)
        intensity = 1e4 * strong * drawn * np.exp(-sample.wilson_b * inverse_d2 / 2)
    spread = math.sqrt(math.log1p(sample.reference_error**2))
    return hkl, intensity, intensity * np.exp(spread * _normal((len(hkl),), generator) - spread**2 / 2)


def _crystal(sample: SimulatedStills, generator: torch.Generator) -> Crystal:
    """A crystal at its misset, or turned at random: a unit quaternion is uniform."""
    if sample.misset is not None:
        axes = standing(np.array(sample.cell), np.radians(sample.misset)).axes
        return Crystal(axes, sample.space_group)
    axes = standing(np.array(sample.cell), np.zeros(3)).axes
    quaternion = _normal((4,), generator)
    quaternion /= np.linalg.norm(quaternion)
    angle = 2 * math.acos(min(1.0, abs(quaternion[0])))
    axis = math.copysign(1.0, quaternion[0]) * quaternion[1:]
    turn = rotation(angle * axis / max(float(np.linalg.norm(axis)), 1e-300))
    return Crystal(axes, sample.space_group).turned(turn)


def _factors(
    sample: SimulatedStills,
    hkl: Int[np.ndarray, "unique 3"],
    intensity: Float[np.ndarray, "unique"],
    crystal: Crystal,
    wilson_b: float,
) -> StructureFactors:
    """Structure factors of all symmetry mates under an image's own B; alike ones include the direct beam's."""
    if sample.amplitude is not None and wilson_b == 0:
        return StructureFactors.flat(sample.amplitude)
    inverse_d2 = np.sum((hkl @ crystal.reciprocal.T) ** 2, axis=1)
    amplitude = np.sqrt(intensity * np.exp(-wilson_b * inverse_d2 / 2))
    return StructureFactors.symmetric(hkl, amplitude, gemmi.SpaceGroup(crystal.space_group))


def _scene(sample: SimulatedStills, beam: Beam, panel: Panel, crystal: Crystal, factors: StructureFactors) -> Scene:
    """One image at unit scale, without background."""
    return Scene(
        beam=beam,
        panels=(panel,),
        crystal=crystal,
        cells=np.array(sample.cells),
        factors=factors,
        scale=1.0,
        shape=sample.shape,
        mosaicity=SpotKernel.isotropic() if sample.shape == "gauss" else quadrature(),
        spread=math.radians(sample.spread),
        negligible=1e-6,
        oversample=_oversample(sample, panel, crystal, beam),
    )


def _oversample(sample: SimulatedStills, panel: Panel, crystal: Crystal, beam: Beam) -> int:
    """Sub-pixels along a side that sum a spot of the longest side of a domain to .2 %.

    A Gaussian of width s summed in steps h is off by 2 exp(-2 pi^2 s^2 / h^2); of N cells s is 1 / (N a sqrt(2 pi)).
    """
    longest = float((np.array(sample.cells) * np.linalg.norm(crystal.axes, axis=1)).max())
    step = panel.pixel[0] / (sample.distance * beam.wavelength)
    return max(1, math.ceil(step * longest * math.sqrt(2 * math.pi) / _STEP))


def _exposed(scene: Scene, scale: float, background: float) -> Scene:
    """The scene at a scale and with a background."""
    return Scene(**{**vars(scene), "scale": scale, "background": Background(background)})


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> np.ndarray:
    """Normal deviates."""
    found: np.ndarray = torch.randn(shape, generator=generator, dtype=torch.float64).numpy()
    return found
