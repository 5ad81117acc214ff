r"""Images that the network is trained with: the demo's detector and cell, drawn anew in every step, all at once.

The equation is that of :mod:`madpipe.stills.forward` for the square shape of whole N and one F. With
:math:`y = \cos^2 \pi \delta`, (sin(N pi delta) / sin(pi delta))^2 is a polynomial of y, which needs one cosine of each
domain, axis and pixel; a test compares the images.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.stills.config import StillsTrainConfig
from madpipe.stills.forward import outward_normal
from madpipe.stills.mosaic import quadrature
from madpipe.stills.network.design import SIDE, what_is_seen
from madpipe.stills.network.turns import rotation_of_vector
from madpipe.stills.pixel_factors import Factors, seen
from madpipe.stills.simulate.demo import demo

EXPOSURES = 2  # of each crystal, other photons, background and noise
_POLYNOMIALS = {  # (sin N x / sin x)^2 = (y if last) * (a y^2 + b y + c)^2, y = cos^2 x: Chebyshev's U of N - 1
    2: (0.0, 0.0, 2.0, 1.0),
    3: (0.0, 4.0, -1.0, 0.0),
    4: (0.0, 8.0, -4.0, 1.0),
    5: (16.0, -12.0, 1.0, 0.0),
    6: (32.0, -32.0, 6.0, 1.0),
}


class Batch(NamedTuple):
    """Images with what they are of."""

    seen: Float[Tensor, "image 2 64 64"]  # what the network reads
    told: Float[Tensor, "image 5"]  # what it is told beside: see :func:`told_of`
    rotation: Float[Tensor, "image 3 3"]  # from the nominal orientation
    ln_spread: Float[Tensor, "image"]  # of degrees


class Crystals(NamedTuple):
    """Crystals without noise."""

    rotation: Float[Tensor, "crystal 3 3"]  # of their mean from the nominal orientation
    ln_spread: Float[Tensor, "crystal"]  # realised, of degrees
    cells: Float[Tensor, "crystal 3"]  # of a domain along a, b, c
    shift: Float[Tensor, "crystal 2"]  # of the detector along fast and slow [pixel]
    vectors: Float[Tensor, "crystal domain 3"]  # rotation of each domain about the mean [radian]
    weights: Float[Tensor, "crystal domain"]


class Exposures:
    """Draws batches for a training.

    Parameters
    ----------
    config:
        Turns, spreads, cells, photons, background, batch.
    place:
        Device.
    """

    def __init__(self, config: StillsTrainConfig, place: torch.device) -> None:
        self.config, self.place = config, place
        scene = demo(np.zeros(3))
        panel = scene.panels[0]
        middle = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5), axis=-1).reshape(-1, 2)
        at, direction = torch.from_numpy(np.ascontiguousarray(panel.position(middle).T)), scene.beam.direction
        normal, light, electric = (torch.from_numpy(one) for one in (outward_normal(panel), direction, panel.fast))
        factors = Factors(panel.pixel[0] * panel.pixel[1], normal, light, 0.0, electric, 0.0)
        steps = torch.from_numpy(np.stack([panel.fast, panel.slow], axis=1) * panel.pixel)
        axes = torch.from_numpy(scene.crystal.axes)
        everything = (at, steps, light, axes, seen(at, factors))
        self.at, self.steps, self.light, self.axes, self.seen = (one.float().to(place) for one in everything)
        self.wavelength = scene.beam.wavelength

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """Draw the batch of a step; the generator is on the CPU."""
        crystals = self.crystals(-(-self.config.batch // EXPOSURES), generator)
        return self.exposed(crystals, generator)

    def crystals(self, count: int, generator: torch.Generator) -> Crystals:
        """Draw crystals: turn of any direction, its angle even; spread even; one whole N; domains in a random frame."""
        config, place = self.config, self.place

        def even(ends: tuple[float, float]) -> Tensor:
            return ends[0] + (ends[1] - ends[0]) * torch.rand(count, generator=generator)

        axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
        turn = axis * even((0.0, math.radians(config.farthest)))[:, None]
        spread = torch.deg2rad(even(config.spread))
        shift = torch.rand(count, 2, generator=generator) - 0.5
        fewest, most = config.cells
        cells = torch.randint(fewest, most + 1, (count, 1), generator=generator).float().expand(-1, 3)
        law = quadrature()
        vectors, weights = torch.from_numpy(law.vectors).float(), torch.from_numpy(law.weights).float()
        frame = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))[0]
        vectors = vectors @ frame.transpose(1, 2)
        uneven = config.uneven * torch.randn(count, len(weights), generator=generator)
        weights = torch.softmax(weights.log() + uneven, dim=1)
        vectors = vectors - (weights[..., None] * vectors).sum(1, keepdim=True)  # mean rotation to first order
        rms = (weights * vectors.square().sum(2)).sum(1).sqrt()
        stand = vectors * spread[:, None, None]
        drawn = (rotation_of_vector(turn), torch.rad2deg(spread * rms).log(), cells, shift, stand, weights)
        return Crystals(*(one.to(place) for one in drawn))

    def exposed(self, crystals: Crystals, generator: torch.Generator) -> Batch:
        """Count photons of each crystal, several times."""
        config, place = self.config, self.place
        bragg = torch.stack([self.expected(crystals, number) for number in range(len(crystals.cells))])
        bragg = (bragg / bragg.sum(1, keepdim=True)).repeat(EXPOSURES, 1)
        photons = _between_logs(config.photons, len(bragg), generator).to(place)
        background = _between_logs(config.background, len(bragg), generator).to(place)
        expected = bragg * photons[:, None] + background[:, None]
        counts = torch.poisson(expected, generator=self._on_device(generator))
        return Batch(
            what_is_seen(counts.unflatten(1, (SIDE, SIDE))),
            told_of(crystals.cells, crystals.shift).repeat(EXPOSURES, 1),
            crystals.rotation.repeat(EXPOSURES, 1, 1),
            crystals.ln_spread.repeat(EXPOSURES),
        )

    def expected(self, crystals: Crystals, number: int) -> Float[Tensor, "pixel"]:
        """Bragg photons of one crystal at unit scale and F = 1; its arrays stay in a processor's cache.

        Solid angle and polarisation are those of the detector that is not shifted: right to 1e-4.
        """
        turns = rotation_of_vector(crystals.vectors[number]) @ crystals.rotation[number]
        axes = (self.axes @ turns.transpose(1, 2)).transpose(0, 1).contiguous()  # a, b, c, then the domain
        at = self.at + (self.steps @ crystals.shift[number])[:, None]
        q = (at * at.square().sum(0).rsqrt() - self.light[:, None]) / self.wavelength
        table = [_POLYNOMIALS[int(one)] for one in crystals.cells[number].tolist()]
        squares = [_ratio(one @ q, numbers) for one, numbers in zip(axes, table, strict=True)]
        total = squares[0].mul_(squares[1]).mul_(squares[2])
        return (crystals.weights[number] @ total) * self.seen

    def _on_device(self, generator: torch.Generator) -> torch.Generator:
        """A generator for the counts, where they are drawn."""
        if self.place.type == "cpu":
            return generator
        seed = int(torch.randint(1 << 62, (), generator=generator))
        return torch.Generator(self.place).manual_seed(seed)


def told_of(cells: Float[Tensor, "image 3"], shift: Float[Tensor, "image 2"]) -> Float[Tensor, "image 5"]:
    """What the network is told of an image: cells along a, b, c, where the beam is within its pixel; all about 0."""
    return torch.cat([5 * torch.log(cells / 5), 2 * shift], dim=1)


def _ratio(
    indices: Float[Tensor, "domain pixel"], numbers: tuple[float, float, float, float]
) -> Float[Tensor, "domain pixel"]:
    """(sin(N pi h) / sin(pi h))^2 from one cosine; the input is overwritten."""
    y = indices.mul_(2 * math.pi).cos_().add_(1).mul_(0.5)
    a, b, c, last = numbers
    found = (y * a).add_(b).mul_(y).add_(c).square_() if a else (y * b).add_(c).square_()
    return found.mul_(y) if last else found


def _between_logs(ends: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Numbers even in their logarithm."""
    low, high = (math.log(end) for end in ends)
    return torch.exp(low + (high - low) * torch.rand(count, generator=generator))
