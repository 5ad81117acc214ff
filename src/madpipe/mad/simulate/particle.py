"""A particle in real space: body, composition and displacement on a grid.

The depth below the surface is the coordinate that everything hangs on: occupancy, core and shells are functions of
it, so that no core can stick out of its shell.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import SimulatedSample
from madpipe.mad.simulate.bodies import depth_below_surface, directions, soft_step
from madpipe.mad.simulate.compositions import Place, resonant_fraction, share_of_core
from madpipe.mad.simulate.defects import with_defects
from madpipe.physics.fourier import diffract, grid, image, q_axis, real_axis

_POISSON_RATIO = 0.3  # of nickel and its alloys
_CORRELATION = 0.25  # correlation length of the random strain over the particle size


@dataclass(frozen=True)
class Particle:
    """A particle on its grid; every array has the shape of the grid."""

    occupancy: Float[Tensor, "*grid"]  # share of the voxel that is filled [1]
    resonant_fraction: Float[Tensor, "*grid"]  # resonant atoms' share of the atoms [1]
    displacement: Float[Tensor, "*grid"]  # along the Bragg vector, zero outside [angstrom]
    voxel_size: float  # edge of a voxel [angstrom]


def make_particle(sample: SimulatedSample, q_length: float, generator: torch.Generator) -> Particle:
    """Draw the particle that a sample describes.

    Parameters
    ----------
    sample:
        Shape, composition, sizes, misfit, defects.
    q_length:
        Length of the Bragg vector, along the first axis of the grid [1/angstrom].
    generator:
        Orientation, facets, axes of the composition, the random strain and defects come from it, in this order.
    """
    voxel = sample.particle_size_angstrom * sample.oversampling / sample.grid
    position = grid([real_axis(sample.grid, voxel)] * sample.dimensions)
    depth = depth_below_surface(position, sample, generator)
    occupancy = soft_step(depth, voxel)
    direction = directions(sample.dimensions, 1, generator)[:, 0]
    core = share_of_core(Place(depth, position, direction, voxel), sample, generator)
    displacement = misfit_displacement(sample.misfit * core * occupancy, voxel)
    displacement += random_displacement(position, sample, q_length, occupancy, generator)
    displacement += sample.phase_step / q_length * core
    occupancy, winding = with_defects(position, sample, occupancy, generator)
    displacement += winding / q_length
    displacement = _without_ramp(displacement, position, occupancy)
    return Particle(occupancy, resonant_fraction(core, sample), displacement * (occupancy > 0), voxel)


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
