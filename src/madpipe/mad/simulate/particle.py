"""A particle in real space: body, composition and displacement on a grid.

The depth below the surface is the coordinate that everything hangs on: occupancy, core and shells are functions of
it, so that no core can stick out of its shell.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import SimulatedSample
from madpipe.physics.fourier import diffract, grid, image, q_axis, real_axis

_POISSON_RATIO = 0.3  # of nickel and its alloys
_CORRELATION = 0.25  # correlation length of the random strain over the particle size
_Points = Float[Tensor, "axis *points"]
_Values = Float[Tensor, "*points"]


@dataclass(frozen=True)
class Particle:
    """A particle on its grid; every array has the shape of the grid."""

    occupancy: Float[Tensor, "*grid"]  # share of the voxel that is filled [1]
    resonant_fraction: Float[Tensor, "*grid"]  # resonant atoms' share of the atoms [1]
    displacement: Float[Tensor, "*grid"]  # along the Bragg vector, zero outside [angstrom]
    voxel_size: float  # edge of a voxel [angstrom]


@dataclass(frozen=True)
class _Body:
    """A star-shaped body of unit scale."""

    reach: Callable[[_Points], _Values]  # unit vectors -> distance of the surface
    depth: Callable[[_Points, float], _Values]  # points, scale -> depth below the surface


def make_particle(sample: SimulatedSample, q_length: float, generator: torch.Generator) -> Particle:
    """Draw the particle that a sample describes.

    Parameters
    ----------
    sample:
        Shape, composition, sizes, misfit.
    q_length:
        Length of the Bragg vector, along the first axis of the grid [1/angstrom].
    generator:
        Orientation, facets, axes of the composition and the random strain come from it.
    """
    voxel = sample.particle_size_angstrom * sample.oversampling / sample.grid
    position = grid([real_axis(sample.grid, voxel)] * sample.dimensions)
    body = _SHAPES[sample.shape](sample.dimensions, generator)
    depth = body.depth(position, _scale_for(body, sample, generator))
    occupancy = _soft_step(depth, voxel)
    direction = _directions(sample.dimensions, 1, generator)[:, 0]
    core = _COMPOSITIONS[sample.composition](_Place(depth, position, direction, voxel), sample)
    displacement = misfit_displacement(sample.misfit * core * occupancy, voxel)
    displacement += random_displacement(position, sample, q_length, occupancy, generator)
    displacement = _without_ramp(displacement, position, occupancy)
    return Particle(occupancy, _resonant_fraction(core, sample), displacement * (occupancy > 0), voxel)


def misfit_displacement(eigenstrain: Float[Tensor, "*grid"], voxel_size: float) -> Float[Tensor, "*grid"]:
    r"""Displacement along the first axis caused by an isotropic stress-free strain, e.g. a core's misfit.

    .. math:: u = \nabla\phi,\qquad \nabla^2\phi = \frac{1+\nu}{1-\nu}\,\varepsilon^*

    Parameters
    ----------
    eigenstrain:
        Stress-free linear strain :math:`\varepsilon^*` of each voxel [1].
    voxel_size:
        [angstrom].

    Returns
    -------
    :
        [angstrom]. Infinite, homogeneous, isotropic medium: free surfaces and elastic contrast are left out, and
        the grid repeats periodically.

    References
    ----------
    Goodier, Phil. Mag. 23, 1017 (1937); Mura, Micromechanics of Defects in Solids (1987), section 12 (inside a
    sphere: strain (1 + nu) / (3 (1 - nu)) times the misfit).
    """
    ndim = eigenstrain.ndim
    k = grid([q_axis(size, voxel_size) for size in eigenstrain.shape])
    k_squared = k.square().sum(0)
    k_squared[tuple(size // 2 for size in eigenstrain.shape)] = torch.inf
    factor = (1 + _POISSON_RATIO) / (1 - _POISSON_RATIO)
    spectrum = diffract(eigenstrain.to(torch.complex128), ndim)
    # diffract uses exp(+ikr), so a derivative in space is -ik: grad of -eps/k^2 is +ik eps/k^2
    return image(1j * k[0] * factor * spectrum / k_squared, ndim).real


def random_displacement(
    position: Float[Tensor, "axis *grid"],
    sample: SimulatedSample,
    q_length: float,
    occupancy: Float[Tensor, "*grid"],
    generator: torch.Generator,
) -> Float[Tensor, "*grid"]:
    """Smooth Gaussian random displacement whose phase Q.u has the rms asked for inside the particle [angstrom]."""
    ndim, shape = len(position), position.shape[1:]
    white = torch.randn(*shape, generator=generator, dtype=torch.float64)
    if sample.strain_phase_rms == 0:
        return torch.zeros(shape, dtype=torch.float64)
    voxel = sample.particle_size_angstrom * sample.oversampling / sample.grid
    k_squared = grid([q_axis(size, voxel) for size in shape]).square().sum(0)
    width = _CORRELATION * sample.particle_size_angstrom
    smooth = image(diffract(white.to(torch.complex128), ndim) * torch.exp(-k_squared * width**2 / 2), ndim).real
    smooth = _without_ramp(smooth, position, occupancy)
    rms = ((smooth.square() * occupancy).sum() / occupancy.sum()).sqrt()
    return smooth * (sample.strain_phase_rms / (rms * q_length))


def _without_ramp(values: Tensor, position: Tensor, weight: Tensor) -> Tensor:
    """Take out the mean and the slope over the particle: experimenters centre the frame on the peak."""
    # normal equations, not lstsq: its last bits depend on where the arrays lie in memory
    columns = torch.cat([torch.ones_like(values)[None], position / position.abs().max()]).flatten(1)
    weighted = columns * weight.flatten()
    ramp = torch.linalg.solve(weighted @ columns.T, weighted @ values.flatten())
    return values - (ramp @ columns).reshape(values.shape)


def _soft_step(distance: Tensor, width: float) -> Tensor:
    """Rise from 0 to 1 over one voxel about distance 0: the share of a voxel cut by a plane."""
    return (distance / width + 0.5).clamp(0, 1)


def _directions(ndim: int, count: int, generator: torch.Generator) -> Float[Tensor, "axis count"]:
    """Draw unit vectors uniformly."""
    vector = torch.randn(ndim, count, generator=generator, dtype=torch.float64)
    return vector / vector.norm(dim=0)


def _scale_for(body: _Body, sample: SimulatedSample, generator: torch.Generator) -> float:
    """Scale that makes the body's largest extent the sample's size [angstrom]."""
    probe = _directions(sample.dimensions, 4096, generator)
    return sample.particle_size_angstrom / float((body.reach(probe) + body.reach(-probe)).max())


def _facetted(ndim: int, generator: torch.Generator) -> _Body:
    """Convex body with flat facets: a truncated octahedron or an octagon, facet distances varied, turned at random."""
    normals, distances = _octagon() if ndim == 2 else _truncated_octahedron()
    normals = _random_rotation(ndim, generator) @ normals
    distances = distances * (1 + 0.2 * (torch.rand(len(distances), generator=generator, dtype=torch.float64) - 0.5))

    def reach(direction: Tensor) -> Tensor:
        cosine = torch.tensordot(normals.T, direction, dims=1)
        return torch.where(cosine > 1e-9, distances[:, None] / cosine.clamp(min=1e-9), torch.inf).amin(0)

    def depth(point: Tensor, scale: float) -> Tensor:
        # one facet at a time: the table of all facets would hold 14 grids
        planes = (scale * d - torch.tensordot(n, point, dims=1) for n, d in zip(normals.T, distances, strict=True))
        nearest = next(planes)
        for plane in planes:
            nearest = torch.minimum(nearest, plane)
        return nearest

    return _Body(reach, depth)


def _octagon() -> tuple[Tensor, Tensor]:
    """Normals and distances of an irregular octagon."""
    angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    distances = torch.tensor([1.0, 1.12] * 4, dtype=torch.float64)
    return torch.stack([angles.cos(), angles.sin()]), distances


def _truncated_octahedron() -> tuple[Tensor, Tensor]:
    """Normals and distances of {111} and {100} facets in the proportion of a Wulff shape of an fcc metal."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    octahedral = torch.cartesian_prod(signs, signs, signs).T / math.sqrt(3)
    cubic = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)], dim=1)
    distances = torch.cat([torch.ones(8, dtype=torch.float64), torch.full((6,), 1.15, dtype=torch.float64)])
    return torch.cat([octahedral, cubic], dim=1), distances


def _random_rotation(ndim: int, generator: torch.Generator) -> Float[Tensor, "axis axis"]:
    """Draw a rotation uniformly (QR of a Gaussian matrix, signs fixed; Mezzadri, Notices AMS 54, 592 (2007))."""
    q, r = torch.linalg.qr(torch.randn(ndim, ndim, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()
    return q * torch.linalg.det(q)  # a mirror would be as good a particle; in 2-D this may be one


def _smooth(ndim: int, generator: torch.Generator) -> _Body:
    """Star-shaped body: a sphere or disc with waves of second to fourth degree along random axes."""
    axes = _directions(ndim, 3, generator)
    heights = 0.3 * (torch.rand(3, generator=generator, dtype=torch.float64) - 0.5)

    def reach(direction: Tensor) -> Tensor:
        cosine = torch.tensordot(axes.T, direction, dims=1)
        waves = torch.stack([(degree * cosine[i].clamp(-1, 1).acos()).cos() for i, degree in enumerate((2, 3, 4))])
        return 1 + torch.tensordot(heights, waves, dims=1)

    def depth(point: Tensor, scale: float) -> Tensor:
        distance = point.norm(dim=0)
        return scale * reach(point / distance.clamp(min=1e-9)) - distance

    return _Body(reach, depth)


@dataclass(frozen=True)
class _Place:
    """Where a voxel is: what compositions are functions of."""

    depth: Tensor  # below the surface [angstrom]
    position: Tensor  # (axis, *grid) [angstrom]
    direction: Tensor  # a random unit vector
    voxel: float  # [angstrom]

    @property
    def along(self) -> Tensor:
        """Coordinate along the random direction [angstrom]."""
        return torch.tensordot(self.direction, self.position, dims=1)


def _core_shell(place: _Place, sample: SimulatedSample) -> Tensor:
    """Sharp core below a shell of even thickness."""
    return _soft_step(place.depth - sample.shell_thickness_angstrom, place.voxel)


def _radial_gradient(place: _Place, _: SimulatedSample) -> Tensor:
    """From shell at the surface to core at the deepest point."""
    return (place.depth / place.depth.max()).clamp(0, 1)


def _linear_gradient(place: _Place, sample: SimulatedSample) -> Tensor:
    """From shell to core across the particle."""
    return (place.along / sample.particle_size_angstrom + 0.5).clamp(0, 1)


def _janus(place: _Place, _: SimulatedSample) -> Tensor:
    """Two halves."""
    return _soft_step(place.along, place.voxel)


def _multi_shell(place: _Place, sample: SimulatedSample) -> Tensor:
    """Shells of even thickness, shell and core in turn."""
    period = 2 * sample.shell_thickness_angstrom
    return _soft_step((place.depth % period - sample.shell_thickness_angstrom), place.voxel)


def _off_centre_core(place: _Place, sample: SimulatedSample) -> Tensor:
    """Core below a shell that is thick on one side and thin on the other."""
    cosine = place.along / place.position.norm(dim=0).clamp(min=place.voxel)
    return _soft_step(place.depth - sample.shell_thickness_angstrom * (1 + 0.8 * cosine), place.voxel)


def _homogeneous(place: _Place, _: SimulatedSample) -> Tensor:
    """Core everywhere."""
    return torch.ones_like(place.depth)


def _resonant_fraction(core: Tensor, sample: SimulatedSample) -> Tensor:
    """Resonant atoms' share from the share of core."""
    if sample.composition in _CONTROLS:
        return torch.full_like(core, _CONTROLS[sample.composition])
    return sample.shell_fraction + (sample.core_fraction - sample.shell_fraction) * core


_SHAPES = {"facetted": _facetted, "smooth": _smooth}
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
}
