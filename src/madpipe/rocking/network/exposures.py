"""Curves that the network is trained with: drawn anew in every step, measured with noise, background and misfits."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from madpipe.rocking import forward
from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.fit.information import Pool
from madpipe.rocking.model import layers_of
from madpipe.rocking.network.batched import Batched
from madpipe.rocking.profiles import Implanted, draw_implanted, from_free, to_free
from madpipe.rocking.simulate.scan import Setup

_WIDTHS = 8  # different resolutions within a batch
_SMOOTHEST = 12.0  # points, of the input at the first step of a training from coarse to fine


class Batch(NamedTuple):
    """Curves with what they are of."""

    seen: Float[Tensor, "curve 2 point"]  # what the network reads
    free: Float[Tensor, "curve 7"]  # the layers' free numbers
    expected: Float[Tensor, "curve point"]  # without noise, log10 over the largest
    floor: Float[Tensor, "curve"]  # background over the counts of full reflectivity
    done: Float[Tensor, ""]  # share of the training's steps


class Exposures:
    """Draws batches for a training.

    Parameters
    ----------
    config:
        Scan, counts, resolutions, batch.
    place:
        On a GPU curves are calculated all at once, on a CPU one by one, by the compiled solver.
    pool:
        Layers whose information says which curves are drawn more often; needed where ``sensitive_share`` is not 0.
    """

    def __init__(self, config: RockingTrainConfig, place: torch.device, pool: Pool | None = None) -> None:
        self.config, self.place, self.pool = config, place, pool
        self.setup = setup = Setup(config.scan, "training")
        spread = config.resolution_spread
        factors = np.linspace(1 - spread, 1 + spread, _WIDTHS)
        self.angles = forward.angles_for(setup.theta, setup.half_width * (1 - spread), setup.reflection)
        matrices = [
            forward.resolution(setup.theta, self.angles, setup.half_width * factor, config.scan.lorentzian).toarray()
            for factor in factors
        ]
        self.matrices = torch.from_numpy(np.array(matrices)).float().to(place)

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """Draw the batch of a step; the generator is on the CPU."""
        return self.measured(self._layers(generator), step, generator)

    def measured(self, values: Float[Tensor, "curve 7"], step: int, generator: torch.Generator) -> Batch:
        """Measure layers of these parameters as at a step."""
        config, place = self.config, self.place
        shift = math.radians(config.offset) / 2 * float(2 * torch.rand(1, generator=generator) - 1)
        shape = self._reflectivities(values, shift)
        groups = torch.tensor_split(shape, _WIDTHS)
        curves = torch.cat([one @ matrix.T for one, matrix in zip(groups, self.matrices, strict=True)])
        peak = _between_logs(config.peak_counts, len(values), generator).to(place)
        floor = _between_logs(config.background, len(values), generator).to(place)
        expected = peak[:, None] * (curves + floor[:, None])
        noise = self._on_device(generator)
        relative = torch.randn(expected.shape, generator=noise, device=place)
        relative *= config.systematic * torch.rand(len(values), 1, generator=noise, device=place)
        counts = torch.poisson(expected * (1 + relative).clamp(min=0), generator=noise)
        largest = expected.amax(1, keepdim=True)
        return Batch(
            what_is_seen(counts, self._smoothing(step)),
            to_free(values.T).T.float().to(place),
            torch.log10(expected / largest),
            floor,
            torch.tensor(step / config.steps, device=place),
        )

    def _layers(self, generator: torch.Generator) -> Float[Tensor, "curve 7"]:
        """Parameters from the prior, some of them chosen for how little their curves determine."""
        count = self.config.batch
        chosen = round(self.config.sensitive_share * count)
        even = draw_implanted(count - chosen, generator)
        if not chosen or self.pool is None:
            return even
        mixed = torch.cat([even, self.pool.draw(chosen, generator)])
        return mixed[torch.randperm(count, generator=generator)]

    def _reflectivities(self, values: Tensor, shift: float) -> Float[Tensor, "curve angle"]:
        """Reflectivities at all angles, off by a shift [radian]."""
        free = to_free(values.T).T.to(self.place)
        return curves_at(self.angles + shift, self.setup, self.place)(free).float()

    def _on_device(self, generator: torch.Generator) -> torch.Generator:
        """A generator for the counts, where they are drawn."""
        if self.place.type == "cpu":
            return generator
        seed = int(torch.randint(1 << 62, (), generator=generator))
        return torch.Generator(self.place).manual_seed(seed)

    def _smoothing(self, step: int) -> float:
        """How much the input is smoothed at a step [point]."""
        until = self.config.coarse_to_fine * self.config.steps
        return _SMOOTHEST * max(0.0, 1 - step / until) if until else 0.0


def curves_at(angles: np.ndarray, setup: Setup, place: torch.device) -> Callable[[Tensor], Tensor]:
    """Make the function from free numbers (curve, 7) to reflectivities (curve, angle), differentiable.

    Parameters
    ----------
    angles:
        theta [radian].
    setup:
        Reflection.
    place:
        On a GPU curves are calculated all at once, on a CPU one by one, by the compiled solver and its adjoint.
    """
    step = setup.step
    if place.type != "cpu":
        batched = Batched(torch.from_numpy(angles), setup.reflection, step, place)
        return lambda free: batched(from_free(free.T).float())
    profile = Implanted(step)

    def one(free: Tensor) -> Tensor:
        free = free.double()
        if free.requires_grad:
            return forward.differentiable_reflectivity(*profile.layers(free), angles, setup.reflection)
        return torch.from_numpy(forward.reflectivity(angles, layers_of(profile, free), setup.reflection))

    return lambda free: torch.stack([one(each) for each in free])


def what_is_seen(counts: Float[Tensor, "curve point"], smoothing: float = 0.0) -> Float[Tensor, "curve 2 point"]:
    """What the network reads of counts: log10 over the largest, which is the shape, and log10, which is the noise.

    Parameters
    ----------
    counts:
        At the angles of the network's scan.
    smoothing:
        Standard deviation of a Gaussian that both are smoothed with [point].
    """
    logs = torch.log10(counts + 1)
    seen = torch.stack([logs - logs.amax(1, keepdim=True) + 2.5, logs - 3.5], dim=1) / 1.5
    if smoothing < 0.3:
        return seen
    reach = math.ceil(3 * smoothing)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=counts.device) / smoothing) ** 2)
    padded = functional.pad(seen.flatten(0, 1)[:, None], (reach, reach), mode="replicate")
    return functional.conv1d(padded, (kernel / kernel.sum())[None, None]).view_as(seen)


def _between_logs(ends: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Numbers even in their logarithm."""
    low, high = (math.log(end) for end in ends)
    return torch.exp(low + (high - low) * torch.rand(count, generator=generator))
