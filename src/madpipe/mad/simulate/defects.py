"""Voids and dislocations of a particle."""

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import SimulatedSample
from madpipe.mad.simulate.bodies import directions, soft_step, somewhere

_VOID_RADIUS = (0.04, 0.14)  # over the particle's size


def with_defects(
    position: Float[Tensor, "axis *grid"],
    sample: SimulatedSample,
    occupancy: Float[Tensor, "*grid"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "*grid"]]:
    """Draw the defects of a sample.

    Parameters
    ----------
    position:
        Of every voxel, from the middle [angstrom].
    sample:
        How many voids and dislocations.
    occupancy:
        Before there were voids [1].
    generator:
        Draws them; where there are none nothing is drawn.

    Returns
    -------
    :
        Occupancy without the voids, and the phase Q.u of the dislocations [radian]: of a straight line with Q.b = 2 pi
        it is the angle about the line, as of a screw dislocation along it (Robinson and Harder, Nature Materials 8, 291
        (2009), on how strain enters a Bragg peak's phase).
    """
    ndim, size = len(position), sample.particle_size_angstrom
    voxel = size * sample.oversampling / sample.grid
    for _ in range(sample.voids):
        low, high = _VOID_RADIUS
        radius = size * (low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64)))
        distance = (position - _broad(size * somewhere(ndim, generator), ndim)).norm(dim=0)
        occupancy = occupancy * soft_step(distance - radius, voxel)
    phase = torch.zeros_like(occupancy)
    for _ in range(sample.dislocations):
        first, second = _across(ndim, generator)
        away = position - _broad(size * somewhere(ndim, generator), ndim)
        phase = phase + torch.atan2(torch.tensordot(second, away, dims=1), torch.tensordot(first, away, dims=1))
    return occupancy, phase


def _across(ndim: int, generator: torch.Generator) -> tuple[Float[Tensor, "axis"], Float[Tensor, "axis"]]:
    """Draw two unit vectors at a right angle: across a dislocation's line, or, in a plane, any."""
    first, second = directions(ndim, 2, generator).T
    second = second - (first @ second) * first
    return first, second / second.norm()


def _broad(vector: Float[Tensor, "axis"], ndim: int) -> Tensor:
    """Give a vector the shape that a grid's positions have."""
    return vector.reshape(-1, *[1] * ndim)
