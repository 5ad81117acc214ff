"""Particles to train on: transforms of the atoms of both kinds, without energies, exposure or noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.mad.config import PriorConfig, SimulatedSample
from madpipe.mad.simulate.particle import make_particle
from madpipe.mad.simulate.sample import bragg_vector, draw_sample, number_densities
from madpipe.physics.fourier import diffract

SLAB = 7  # slices kept about a slice of a volume: the widest window reaches 3 to either side
_SLABS_PER_AXIS = 4
_Cut = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Scenes:
    """Frames of 2-D particles, and slabs of 3-D ones; sum of |resonant + other|^2 over a whole particle is 1."""

    resonant: Complex[Tensor, "frame *axes"]  # transform of the resonant atoms
    other: Complex[Tensor, "frame *axes"]  # and of the others
    particle: tuple[int, ...]  # number of the particle that a frame is of

    def __len__(self) -> int:
        return len(self.particle)

    def standing_out(self) -> Float[Tensor, "frame"]:
        """How much the two kinds of atoms differ in where they are, 0 to 1: what makes a particle hard to get right."""
        flat = [each.flatten(1) for each in (self.resonant, self.other)]
        norms = [each.norm(dim=1).clamp(min=1e-12) for each in flat]
        overlap = (flat[0] * flat[1].conj()).sum(1).abs() / (norms[0] * norms[1])
        balance = 2 * norms[0] * norms[1] / (norms[0] ** 2 + norms[1] ** 2)
        return (1 - overlap) * balance


def draw_frames(prior: PriorConfig, particles: range, generator: torch.Generator, label: str) -> Scenes:
    """Draw two-dimensional particles."""
    return _scenes(prior, particles, generator, label, 2, _whole)


def draw_slabs(prior: PriorConfig, particles: range, generator: torch.Generator, label: str) -> Scenes:
    """Draw three-dimensional particles and keep slabs about some slices along each axis, the brighter ones sooner."""
    return _scenes(prior, particles, generator, label, 3, _slabs)


def draw_volumes(prior: PriorConfig, particles: range, generator: torch.Generator, label: str) -> Scenes:
    """Draw three-dimensional particles and keep them whole."""
    return _scenes(prior, particles, generator, label, 3, _whole)


def _scenes(
    prior: PriorConfig, particles: range, generator: torch.Generator, label: str, ndim: int, cut: _Cut
) -> Scenes:
    """Draw particles and cut frames from each."""
    found, numbers = [], []
    for number in progress(particles, label):
        pair = atoms(prior, ndim, generator)
        parts = cut(pair, generator)
        found.append(parts)
        numbers += [number] * parts.shape[1]
    size = (prior.grid if ndim == 2 else prior.volume_grid,) * ndim
    both = torch.cat(found, 1) if found else torch.zeros((2, 0, *size), dtype=torch.complex64)
    return Scenes(both[0], both[1], tuple(numbers))


def atoms(prior: PriorConfig, ndim: int, generator: torch.Generator) -> Complex[Tensor, "2 *axes"]:
    """Transforms of the resonant and of the other atoms of one particle of the prior."""
    like = SimulatedSample(dimensions=cast("Literal[2, 3]", ndim), noise=False)
    sample = draw_sample(prior, like, generator)
    q_length = float(bragg_vector(sample).norm())
    particle = make_particle(sample, q_length, generator)
    both = torch.stack([diffract(density, ndim) for density in number_densities(particle, sample, q_length)])
    return (both / both.sum(0).abs().square().sum().sqrt()).to(torch.complex64)


def _whole(pair: Complex[Tensor, "2 *axes"], _: torch.Generator) -> Complex[Tensor, "2 1 *axes"]:
    """The frame or volume itself."""
    return pair[:, None]


def _slabs(pair: Complex[Tensor, "2 z y x"], generator: torch.Generator) -> Complex[Tensor, "2 slab slice y x"]:
    """Slabs about slices drawn by the root of their intensity, so that the dark ones do not crowd out the peak."""
    intensity = pair.sum(0).abs().square()
    found = []
    for axis in range(3):
        along = intensity.sum([other for other in range(3) if other != axis]).sqrt()
        inside = along[SLAB // 2 : len(along) - SLAB // 2]
        first = torch.multinomial(inside, _SLABS_PER_AXIS, generator=generator)
        turned = pair.movedim(1 + axis, 1)
        found += [turned[:, start : start + SLAB] for start in first.tolist()]
    return torch.stack(found, 1)
