"""Where core and shell lie in a particle, and the resonant atoms' share that follows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import SimulatedSample
from madpipe.mad.simulate.bodies import directions, soft_step, somewhere

_PRECIPITATES = 6


@dataclass(frozen=True)
class Place:
    """Where a voxel is: what compositions are functions of."""

    depth: Tensor  # below the surface [angstrom]
    position: Tensor  # (axis, *grid) [angstrom]
    direction: Tensor  # a random unit vector
    voxel: float  # [angstrom]

    @property
    def along(self) -> Tensor:
        """Coordinate along the random direction [angstrom]."""
        return torch.tensordot(self.direction, self.position, dims=1)


def share_of_core(place: Place, sample: SimulatedSample, generator: torch.Generator) -> Float[Tensor, "*grid"]:
    """Share of core, the rest being shell, of every voxel."""
    return _COMPOSITIONS[sample.composition](place, sample, generator)


def _core_shell(place: Place, sample: SimulatedSample, _: torch.Generator) -> Tensor:
    """Sharp core below a shell of even thickness."""
    return soft_step(place.depth - sample.shell_thickness_angstrom, place.voxel)


def _radial_gradient(place: Place, _: SimulatedSample, __: torch.Generator) -> Tensor:
    """From shell at the surface to core at the deepest point."""
    return (place.depth / place.depth.max()).clamp(0, 1)


def _linear_gradient(place: Place, sample: SimulatedSample, _: torch.Generator) -> Tensor:
    """From shell to core across the particle."""
    return (place.along / sample.particle_size_angstrom + 0.5).clamp(0, 1)


def _janus(place: Place, _: SimulatedSample, __: torch.Generator) -> Tensor:
    """Two halves."""
    return soft_step(place.along, place.voxel)


def _multi_shell(place: Place, sample: SimulatedSample, _: torch.Generator) -> Tensor:
    """Shells of even thickness, shell and core in turn."""
    period = 2 * sample.shell_thickness_angstrom
    return soft_step((place.depth % period - sample.shell_thickness_angstrom), place.voxel)


def _off_centre_core(place: Place, sample: SimulatedSample, _: torch.Generator) -> Tensor:
    """Core below a shell that is thick on one side and thin on the other."""
    cosine = place.along / place.position.norm(dim=0).clamp(min=place.voxel)
    return soft_step(place.depth - sample.shell_thickness_angstrom * (1 + 0.8 * cosine), place.voxel)


def _homogeneous(place: Place, _: SimulatedSample, __: torch.Generator) -> Tensor:
    """Core everywhere."""
    return torch.ones_like(place.depth)


def _patchy_shell(place: Place, sample: SimulatedSample, generator: torch.Generator) -> Tensor:
    """Core below a shell that is thick in places and absent in others."""
    axes = directions(len(place.position), 3, generator)
    heights = torch.rand(3, generator=generator, dtype=torch.float64) - 0.2
    outward = place.position / place.position.norm(dim=0).clamp(min=place.voxel)
    cosine = torch.tensordot(axes.T, outward, dims=1).clamp(-1, 1).acos()
    waves = sum(height * (degree * one).cos() for degree, height, one in zip((1, 2, 3), heights, cosine, strict=True))
    return soft_step(place.depth - sample.shell_thickness_angstrom * (1 + 2 * waves).clamp(min=0), place.voxel)


def _domains(place: Place, sample: SimulatedSample, generator: torch.Generator) -> Tensor:
    """Two or three domains, cut by planes, each of a composition of its own between shell and core."""
    cuts = 1 + int(torch.randint(2, (), generator=generator))
    normals = directions(len(place.position), cuts, generator)
    offsets = (torch.rand(cuts, generator=generator, dtype=torch.float64) - 0.5) * 0.4 * sample.particle_size_angstrom
    levels = torch.rand(cuts + 1, generator=generator, dtype=torch.float64)
    core = levels[0].expand_as(place.depth)
    for normal, offset, level in zip(normals.T, offsets, levels[1:], strict=True):
        beyond = soft_step(torch.tensordot(normal, place.position, dims=1) - offset, place.voxel)
        core = core + (level - core) * beyond
    return core


def _precipitates(place: Place, sample: SimulatedSample, generator: torch.Generator) -> Tensor:
    """Small spheres of core, in a matrix of shell."""
    core, size = torch.zeros_like(place.depth), sample.particle_size_angstrom
    for _ in range(_PRECIPITATES):
        centre, radius = somewhere(len(place.position), generator), float(torch.rand((), generator=generator))
        distance = (place.position - size * centre.reshape(-1, *[1] * place.depth.ndim)).norm(dim=0)
        core = torch.maximum(core, soft_step((0.06 + 0.08 * radius) * size - distance, place.voxel))
    return core


def resonant_fraction(core: Tensor, sample: SimulatedSample) -> Tensor:
    """Resonant atoms' share from the share of core."""
    if sample.composition in _CONTROLS:
        return torch.full_like(core, _CONTROLS[sample.composition])
    return sample.shell_fraction + (sample.core_fraction - sample.shell_fraction) * core


_CONTROLS = {"pure_resonant": 1.0, "no_resonant": 0.0}
_COMPOSITIONS = {
    "core_shell": _core_shell,
    "radial_gradient": _radial_gradient,
    "linear_gradient": _linear_gradient,
    "janus": _janus,
    "multi_shell": _multi_shell,
    "uniform": _homogeneous,
    "off_centre_core": _off_centre_core,
    "pure_resonant": _homogeneous,
    "no_resonant": _homogeneous,
    "patchy_shell": _patchy_shell,
    "domains": _domains,
    "precipitates": _precipitates,
}
