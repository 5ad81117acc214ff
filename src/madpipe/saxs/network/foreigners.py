"""Curves of no class, to learn how foreign curves look: cubes, sums of two kinds of particles, curves that waver."""

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.saxs.network.classes import MOST
from madpipe.saxs.network.particles import lognormal
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import Example, expose, read
from madpipe.saxs.network.table import Table, axis

_SIDE = 1.16  # of a cube whose corner is at a distance of 1
_WIDTHS = (0.01, 0.35)
_NODES = 96
_WAVES = 4
_RATES = (0.6, 5.5)  # radians of the waves for each unit of ln q
_AMPLITUDES = (0.1, 0.75)  # of ln I
_APART = (0.2, 5.0)  # ratio of the sizes of two particles
_SHARES = (0.1, 10.0)  # ratio of their intensities at the middle of the axis


def cubes(_: Table, count: int, config: SaxsTrainConfig, generator: torch.Generator) -> Example:
    """Simulate cubes of a lognormal spread of sizes, measured as the training's curves are."""
    side = torch.full((1, 3), _SIDE, dtype=torch.float64)
    one = torch.log(FORM_FACTORS["parallelepiped"].gram(axis().double(), side)[:, :, 0, 0]).float()
    width = _WIDTHS[0] * (_WIDTHS[1] / _WIDTHS[0]) ** torch.rand(count, generator=generator, dtype=torch.float32)
    spread = lognormal(width, _NODES)
    shifts = torch.log(spread.relative)
    place = torch.log(axis())[None, :, None] + shifts[:, None]
    square = torch.exp(read(one.expand(count, -1), place) + 6 * shifts[:, None]) @ spread.weights[:, :, None]
    return _exposed(torch.log(square[..., 0]), config, generator)


def mixtures(table: Table, count: int, config: SaxsTrainConfig, generator: torch.Generator) -> Example:
    """Add curves of two random particles of different sizes."""
    picks = torch.randint(len(table.label), (2, count), generator=generator)
    free = torch.rand(2, count, generator=generator, dtype=torch.float32)
    apart, ratio = (ends[0] * (ends[1] / ends[0]) ** one for ends, one in zip((_APART, _SHARES), free, strict=True))
    first = table.level[picks[0]]
    other = read(table.level[picks[1]], torch.log(axis())[None] + torch.log(apart)[:, None])
    middle = first.shape[1] // 2
    other = other + (first - other)[:, middle : middle + 1] + torch.log(ratio)[:, None]
    return _exposed(torch.logaddexp(first, other), config, generator)


def wobbled(table: Table, count: int, config: SaxsTrainConfig, generator: torch.Generator) -> Example:
    """Add random waves of ln q to curves of a table: what no particle scatters."""
    pick = torch.randint(len(table.label), (count,), generator=generator)
    free = torch.rand(_WAVES + 1, 2, count, 1, generator=generator, dtype=torch.float32)
    size = torch.randn(_WAVES, count, 1, generator=generator, dtype=torch.float32)
    waves = torch.zeros_like(table.level[pick])
    for (rate, phase), height in zip(free[1:], size, strict=True):
        turns = _RATES[0] * (_RATES[1] / _RATES[0]) ** rate * torch.log(axis())
        waves = waves + height * torch.sin(turns + 2 * torch.pi * phase)
    amplitude = _AMPLITUDES[0] * (_AMPLITUDES[1] / _AMPLITUDES[0]) ** free[0, 0]
    return _exposed(table.level[pick] + amplitude * waves, config, generator)


def _exposed(level: Float[Tensor, "curve table"], config: SaxsTrainConfig, generator: torch.Generator) -> Example:
    """Measure curves that have no class; label and parameters are of no use."""
    count = len(level)
    none = torch.zeros(count, MOST, dtype=level.dtype)
    return expose(level, torch.zeros(count, dtype=torch.long), none, config, generator)
