"""What the network is trained on: frames of simulated particles, and patches with noise drawn from them on the fly."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.mad.config import SimulatedSample, TrainConfig
from madpipe.mad.loss import Target
from madpipe.mad.network import Measured
from madpipe.mad.records import Stack
from madpipe.mad.sample import draw_sample, simulate
from madpipe.physics.noise import poisson

_GAP_SHARE = 0.15  # of patches have a detector gap, so that the network learns to look across one
_GAP_WIDTH = (1, 4)  # points


@dataclass(frozen=True)
class Frames:
    """Frames of many particles at unit exposure: 2-D particles whole, slices of 3-D ones. Float32, energy last."""

    expected: Float[Tensor, "frame y x energy"]  # [photon]
    truth: Float[Tensor, "frame y x 5"]  # |F_T|, |F_A| [sqrt(photon)], sin, cos of Delta_phi, f0 [electron]
    f_prime: Float[Tensor, "frame energy"]  # [electron]
    f_double_prime: Float[Tensor, "frame energy"]  # [electron]
    particle: Int[Tensor, "frame"]  # number of the particle: the split is by particle

    def draw(self, number: int, generator: torch.Generator) -> Int[Tensor, "drawn"]:
        """Draw frames, every particle as often as any other, however many slices it gave."""
        _, member, count = self.particle.unique(return_inverse=True, return_counts=True)
        share = count.double().reciprocal()[member]
        return torch.multinomial(share, number, replacement=True, generator=generator)

    def part(self, chosen: Int[Tensor, "drawn"]) -> "Frames":
        """Give some of the frames."""
        names = ("expected", "truth", "f_prime", "f_double_prime", "particle")
        return Frames(**{name: getattr(self, name)[chosen] for name in names})


def simulate_frames(config: TrainConfig, particles: range, generator: torch.Generator, label: str) -> Frames:
    """Simulate particles of the prior, without noise, and keep frames of them.

    Of every 1 / volume_share particles one is three-dimensional and gives ``slices`` slices along its first axis,
    drawn by their share of the root of the intensity, so that the dark ones do not crowd out the peak.
    """
    prior, parts = config.prior, []
    for number in progress(particles, label):
        is_volume = math.floor((number + 1) * prior.volume_share) > math.floor(number * prior.volume_share)
        low, high = prior.energy_shift_ev
        shift = low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
        like = SimulatedSample(
            element=config.element,
            edge=config.edge,
            partner=config.partner,
            energies_ev=tuple(energy + shift for energy in sorted(config.energies_ev)),
            dimensions=3 if is_volume else 2,
            noise=False,
        )
        stack = simulate(draw_sample(prior, like, generator), generator)
        parts.append(frames_of(stack, number, prior.slices, generator))
    names = ("expected", "truth", "f_prime", "f_double_prime", "particle")
    return Frames(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def frames_of(stack: Stack, number: int, slices: int, generator: torch.Generator) -> Frames:
    """Give the frame of a 2-D stack or some slices of a 3-D one, with the truth that the network is to find."""
    truth = stack.truth
    phase = np.angle(truth.f_total * truth.f_resonant.conj())
    f0 = np.broadcast_to(stack.f0, stack.shape)
    columns = [np.abs(truth.f_total), np.abs(truth.f_resonant), np.sin(phase), np.cos(phase), f0]
    expected = torch.as_tensor(np.moveaxis(truth.expected, 0, -1), dtype=torch.float32)
    unknowns = torch.as_tensor(np.stack(columns, -1), dtype=torch.float32)
    if len(stack.shape) == 2:
        expected, unknowns = expected[None], unknowns[None]
    else:
        share = expected.sum((1, 2, 3)).sqrt()
        chosen = torch.multinomial(share, min(slices, len(share)), generator=generator)
        expected, unknowns = expected[chosen], unknowns[chosen]

    def of_every_frame(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32).expand(len(expected), -1)

    particle = torch.full((len(expected),), number)
    return Frames(expected, unknowns, of_every_frame(stack.f_prime), of_every_frame(stack.f_double_prime), particle)


def draw_patches(
    frames: Frames, batch: int, edge: int, photons: tuple[float, float], generator: torch.Generator
) -> tuple[Measured, Target]:
    """Draw patches: frame, position, turn and mirror image, exposure, detector gap and Poisson noise.

    Parameters
    ----------
    frames:
        Where from.
    batch, edge:
        How many patches, and how many points they are wide.
    photons:
        Least and largest mean photons per point and energy of a patch; the exposure that gives it is drawn
        log-uniformly between.

    Notes
    -----
    F_T, F_A and Delta_phi are fields in Q: a turned or mirrored frame is that of a turned or mirrored particle.
    """
    frame = frames.draw(batch, generator)
    row, column = _places(frames, batch, edge, generator)
    expected = frames.expected[frame[:, None, None], row, column].movedim(-1, 1)
    truth = frames.truth[frame[:, None, None], row, column].movedim(-1, 1)
    exposure = _exposures(expected, photons, generator)
    good = _without_gaps(batch, edge, generator)
    return expose(expected, truth, frames.f_prime[frame], frames.f_double_prime[frame], exposure, good, generator)


def expose_frames(frames: Frames, photons: tuple[float, float], generator: torch.Generator) -> tuple[Measured, Target]:
    """Measure whole frames, each with an exposure that brings its mean into the range, drawn log-uniformly."""
    expected, truth = frames.expected.movedim(-1, 1), frames.truth.movedim(-1, 1)
    good = torch.ones(truth[:, 0].shape, dtype=torch.bool)
    exposure = _exposures(expected, photons, generator)
    return expose(expected, truth, frames.f_prime, frames.f_double_prime, exposure, good, generator)


def expose(
    expected: Float[Tensor, "batch energy y x"],
    truth: Float[Tensor, "batch 5 y x"],
    f_prime: Float[Tensor, "batch energy"],
    f_double_prime: Float[Tensor, "batch energy"],
    exposure: Float[Tensor, "batch"],
    good: Bool[Tensor, "batch y x"],
    generator: torch.Generator,
) -> tuple[Measured, Target]:
    """Measure for a time: intensities scale with the exposure, structure factors with its root; then noise."""
    expected = expected * exposure[:, None, None, None]
    f_total, f_resonant, sine, cosine, f0 = truth.unbind(1)
    root = exposure.sqrt()[:, None, None]
    measured = Measured(poisson(expected, generator), good, f_prime, f_double_prime, f0)
    return measured, Target(f_total * root, f_resonant * root, sine, cosine, expected)


def _places(
    frames: Frames, batch: int, edge: int, generator: torch.Generator
) -> tuple[Int[Tensor, "batch y x"], Int[Tensor, "batch y x"]]:
    """Rows and columns of patches anywhere in a frame, in one of the eight orientations of a square."""
    height, width = frames.truth.shape[1:3]

    def below(high: int, *shape: int) -> Tensor:
        return torch.randint(high, (batch, *shape), generator=generator)

    top, left = below(height - edge + 1)[:, None, None], below(width - edge + 1)[:, None, None]
    along = torch.arange(edge)
    first, second = along[:, None].expand(edge, edge), along[None, :].expand(edge, edge)
    mirrored_y, mirrored_x, swapped = (below(2)[:, None, None].bool() for _ in range(3))
    row = torch.where(swapped, second, first)
    column = torch.where(swapped, first, second)
    row = top + torch.where(mirrored_y, edge - 1 - row, row)
    column = left + torch.where(mirrored_x, edge - 1 - column, column)
    return row, column


def _exposures(
    expected: Float[Tensor, "batch energy y x"], photons: tuple[float, float], generator: torch.Generator
) -> Float[Tensor, "batch"]:
    """Exposures that bring the mean of each patch into the range [1]."""
    low, high = math.log(photons[0]), math.log(photons[1])
    mean = torch.exp(low + (high - low) * torch.rand(len(expected), generator=generator, dtype=torch.float32))
    return mean / expected.mean((1, 2, 3)).clamp(min=torch.finfo(expected.dtype).tiny)


def _without_gaps(batch: int, edge: int, generator: torch.Generator) -> Bool[Tensor, "batch y x"]:
    """Points outside the detector gap that some patches have across them."""

    def below(high: int) -> Tensor:
        return torch.randint(high, (batch, 1, 1), generator=generator)

    along = torch.arange(edge)
    coordinate = torch.where(below(2).bool(), along[:, None], along[None, :])
    start, width = below(edge), _GAP_WIDTH[0] + below(_GAP_WIDTH[1] - _GAP_WIDTH[0] + 1)
    has_gap = torch.rand(batch, 1, 1, generator=generator, dtype=torch.float32) < _GAP_SHARE
    return ~(has_gap & (coordinate >= start) & (coordinate < start + width))
