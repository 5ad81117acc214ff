"""Measurements of training particles, drawn on the fly: energies, edges, exposure, disturbances, photons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.mad.config import PriorConfig, TrainConfig
from madpipe.mad.forward import anomalous_factor, dispersion_ratio, mad_intensity
from madpipe.mad.network.design.sums import (
    Seen,
    beside_middle,
    design_rows,
    mean_normal,
    own_sums,
    windowed,
    windowed_middle,
)
from madpipe.mad.network.loss import Target
from madpipe.mad.network.train.scenes import Scenes
from madpipe.physics.atoms import dispersion_correction, edge_energy, form_factor
from madpipe.physics.noise import beam_stop, gap, poisson

_MARGIN_EV = 10.0  # that the tables reach beyond the prior's energies
_MOMENTUM = (2.0, 5.0)  # |Q| of the Bragg peaks [1/angstrom]
_STEP_EV = (3.0, 15.0)  # between energies in a row
_OFF_EDGE_EV = 10.0  # how far from the edge their middle may lie
_IN_A_ROW = 0.5  # share of sets of energies that are evenly spaced
_GAP = (1, 4)  # points wide
_STOP = (1.0, 4.0)  # radius of a beam stop [point]
_SHIFT_EV = 1.0  # of the reference design's energies


@dataclass(frozen=True)
class Conditions:
    """How one frame is measured."""

    ratio: Complex[Tensor, "energy"]  # true (f' + i f'') / f0
    partner: Complex[Tensor, "energy"]  # the other metal's f0 + f' + i f'' [electron]
    f_prime: Float[Tensor, "energy"]  # as the experimenter has it [electron]
    f_double_prime: Float[Tensor, "energy"]
    f0: float
    exposure: Float[Tensor, "energy"]  # known
    scale: Float[Tensor, "energy"]  # not known
    background: float  # over the mean of the brightest energy
    photons: float  # of the brightest energy over the frame


@cache
def _table(element: str, low: int, high: int) -> Float[Tensor, "two node"]:
    """f', f'' of an element every electronvolt between two energies [electron]."""
    return torch.stack(dispersion_correction(element, torch.arange(low, high + 1, dtype=torch.float64)))


def tabulated(
    element: str, energy: Float[Tensor, "energy"], centre: float, reach: float
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    """f', f'' by interpolation in a table about an edge that is made once [electron]."""
    low, high = math.floor(centre - reach), math.ceil(centre + reach)
    place = (energy - low).clamp(0, high - low - 1e-6)
    index = place.long()
    table, share = _table(element, low, high), place - index
    f_prime, f_double_prime = table[:, index] * (1 - share) + table[:, index + 1] * share
    return f_prime, f_double_prime


class Draw:
    """Random numbers of a batch, from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between two others."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def logarithmic(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return low + int(torch.randint(high - low + 1, (), generator=self.generator))

    def happens(self, share: float) -> bool:
        """Let something happen now and then."""
        return self.uniform(0.0, 1.0) < share

    def normal(self, number: int) -> Float[Tensor, "energy"]:
        """Draw from the standard normal distribution."""
        return torch.randn(number, generator=self.generator, dtype=torch.float64)


def draw_conditions(config: TrainConfig, energies: int, least_photons: float, generator: torch.Generator) -> Conditions:
    """Draw edge, partner, Bragg peak, energies, exposure and disturbances of one frame."""
    draw, prior = Draw(generator), config.prior
    fixed = config.network == "unet_patches"
    element, edge, partner = prior.edges[0 if fixed else draw.whole(0, len(prior.edges) - 1)]
    centre, reach = edge_energy(element, edge), prior.energy_range_ev + _MARGIN_EV
    energy = centre + draw_energies(energies, prior, draw)
    if fixed:
        energy = torch.tensor(sorted(config.energies_ev), dtype=torch.float64) + draw.uniform(-_SHIFT_EV, _SHIFT_EV)
    f0, other = (
        float(form_factor(name, torch.tensor(draw.uniform(*_MOMENTUM), dtype=torch.float64)))
        for name in (element, partner)
    )
    offset = draw.uniform(-1.0, 1.0) * prior.energy_offset_ev if draw.happens(prior.disturbed) else 0.0
    jitter = draw.uniform(0.0, prior.scale_jitter) if draw.happens(prior.disturbed) else 0.0
    true = tabulated(element, energy + offset, centre, reach)
    known = tabulated(element, energy, centre, reach)
    return Conditions(
        ratio=dispersion_ratio(*true, torch.full_like(energy, f0)),
        partner=other + anomalous_factor(*tabulated(partner, energy + offset, centre, reach)),
        f_prime=known[0],
        f_double_prime=known[1],
        f0=f0,
        exposure=1 + prior.monitor * (2 * torch.rand(energies, generator=generator, dtype=torch.float64) - 1),
        scale=torch.exp(jitter * draw.normal(energies)),
        background=draw.logarithmic(1e-4, 1.0) if draw.happens(prior.disturbed) else 0.0,
        photons=draw.logarithmic(least_photons, prior.photons[1]),
    )


def draw_energies(number: int, prior: PriorConfig, draw: Draw) -> Float[Tensor, "energy"]:
    """Draw photon energies about an edge, in a row or anyhow [eV from the edge]."""
    reach = prior.energy_range_ev
    if draw.happens(_IN_A_ROW):
        step, middle = draw.uniform(*_STEP_EV), draw.uniform(-_OFF_EDGE_EV, _OFF_EDGE_EV)
        row = (torch.arange(number, dtype=torch.float64) - (number - 1) / 2) * min(step, 2 * reach / number)
        return (row + middle).clamp(-reach, reach)
    anyhow = torch.rand(number, generator=draw.generator, dtype=torch.float64)
    return (2 * reach * anyhow - reach).sort().values


def draw_batch(
    scenes: Scenes, config: TrainConfig, least_photons: float, share: Float[Tensor, "frame"], generator: torch.Generator
) -> tuple[Seen, Target]:
    """Draw frames, or slabs, and measure them; all of a batch at the same number of energies.

    Parameters
    ----------
    scenes:
        Where from.
    config:
        Batch, prior, network.
    least_photons:
        Of the brightest energy over a frame.
    share:
        How often each frame is drawn.
    generator:
        Draws everything.
    """
    draw = Draw(generator)
    fixed = config.network == "unet_patches"
    energies = len(config.energies_ev) if fixed else draw.whole(*config.prior.energies)
    number = config.batch * (scenes.resonant.shape[-1] // config.patch) if fixed else config.batch
    chosen = torch.multinomial(share, number, replacement=True, generator=generator)
    conditions = [draw_conditions(config, energies, least_photons, generator) for _ in range(number)]
    pair = _turned(torch.stack([scenes.resonant[chosen], scenes.other[chosen]]), draw)
    intensity, f_total, f_resonant = scattered(pair, conditions)
    if fixed:
        intensity, f_total, f_resonant = _patches([intensity, f_total, f_resonant], config.patch, draw)
    return expose(intensity, f_total, f_resonant, conditions, _mask(intensity.shape, config.prior, draw), generator)


def expose(
    intensity: Float[Tensor, "batch energy *axes"],
    f_total: Complex[Tensor, "batch *axes"],
    f_resonant: Complex[Tensor, "batch *axes"],
    conditions: Sequence[Conditions],
    good: Float[Tensor, "batch *axes"],
    generator: torch.Generator,
) -> tuple[Seen, Target]:
    """Draw the counts and gather what the network sees of them, and what it is to find."""
    dtype, shape = intensity.dtype, (-1, intensity.shape[1], *[1] * (intensity.ndim - 2))
    exposure = torch.stack([one.exposure for one in conditions])
    drift = torch.stack([one.scale for one in conditions]).to(dtype).reshape(shape)
    dark = torch.tensor([one.background for one in conditions], dtype=dtype) * intensity.flatten(1).mean(1)
    background = exposure.to(dtype).reshape(shape) * dark.reshape(-1, *[1] * (intensity.ndim - 1))
    expected = intensity * exposure.to(dtype).reshape(shape)
    net = poisson(expected * drift + background, generator) - background
    f_prime, f_double_prime = (
        torch.stack([getattr(one, name) for one in conditions]) for name in ("f_prime", "f_double_prime")
    )
    f0 = torch.tensor([one.f0 for one in conditions], dtype=torch.float64)
    rows = design_rows(f_prime, f_double_prime, f0)
    own = own_sums(net, good, background.sum(1).expand_as(good), exposure, rows)
    volume = intensity.ndim == 5
    sums = windowed_middle(own) if volume else windowed(own)
    at = (slice(None), intensity.shape[2] // 2) if volume else ()
    counts = net / exposure.to(dtype).reshape(shape)
    seen = Seen(
        sums,
        mean_normal(rows, exposure),
        volume,
        None if volume else counts,
        torch.cat([f_prime, f_double_prime], 1).to(dtype),
        beside_middle(own) if volume else None,
    )
    target = Target.of(f_total[at], f_resonant[at], intensity.movedim(1, 0)[(slice(None), *at)].movedim(0, 1), rows)
    return seen, target


def scattered(
    pair: Complex[Tensor, "two batch *axes"], conditions: Sequence[Conditions], *, whole: bool = False
) -> tuple[Float[Tensor, "batch energy *axes"], Complex[Tensor, "batch *axes"], Complex[Tensor, "batch *axes"]]:
    """Intensities at unit exposure [photon] and F_T, F_A [sqrt(photon)]; a slab's photons are those of its middle."""
    intensities, totals, resonants = [], [], []
    for resonant, other, one in zip(*pair, conditions, strict=True):
        mean = one.partner.mean()
        f_resonant, f_total = resonant * one.f0, resonant * one.f0 + other * complex(mean)
        shape = (-1, *[1] * resonant.ndim)
        rest, ratio = ((each.to(resonant.dtype)).reshape(shape) for each in (one.partner - mean, one.ratio))
        intensity = mad_intensity(f_total + rest * other, f_resonant, ratio)
        middle = intensity if whole or resonant.ndim == 2 else intensity[:, resonant.shape[0] // 2]
        photons = one.photons / float(middle.flatten(1).sum(1).max())
        intensities.append(intensity * photons)
        totals.append(f_total * math.sqrt(photons))
        resonants.append(f_resonant * math.sqrt(photons))
    return torch.stack(intensities), torch.stack(totals), torch.stack(resonants)


def _turned(pair: Complex[Tensor, "two batch *axes"], draw: Draw) -> Complex[Tensor, "two batch *axes"]:
    """Mirror and transpose a batch: a mirrored frame, or slab, is that of a mirrored particle."""
    for axis in range(-1, 1 - pair.ndim, -1):
        if draw.happens(0.5):
            pair = pair.flip(axis)
    return pair.transpose(-1, -2) if draw.happens(0.5) else pair


def _mask(shape: Sequence[int], prior: PriorConfig, draw: Draw) -> Float[Tensor, "batch *axes"]:
    """1 where a frame was measured: some have a gap, some a beam stop, the same in every slice of a slab."""
    batch, (height, width) = shape[0], shape[-2:]
    good = torch.ones(batch, height, width, dtype=torch.float32)
    middle = torch.stack(
        torch.meshgrid(torch.arange(height) - height // 2, torch.arange(width) - width // 2, indexing="ij")
    ).double()
    for frame in good:
        if draw.happens(prior.gap_share):
            along, wide = draw.whole(0, 1), draw.whole(*_GAP)
            frame[gap(middle[along], float(draw.whole(-height // 2, height // 2)), float(wide))] = 0
        if draw.happens(prior.gap_share):
            frame[beam_stop(middle, draw.uniform(*_STOP))] = 0
    return good.reshape(batch, *[1] * (len(shape) - 4), height, width).expand(batch, *shape[2:])


def _patches(arrays: Sequence[Tensor], edge: int, draw: Draw) -> list[Tensor]:
    """Cut a patch from anywhere in each frame, the same from each array."""
    height, width = arrays[0].shape[-2:]
    corners = [(draw.whole(0, height - edge), draw.whole(0, width - edge)) for _ in arrays[0]]
    return [
        torch.stack(
            [one[..., top : top + edge, left : left + edge] for one, (top, left) in zip(array, corners, strict=True)]
        )
        for array in arrays
    ]
