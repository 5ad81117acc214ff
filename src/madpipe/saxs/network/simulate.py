"""Training curves on the fly: table curves at random sizes, in windows of q, smeared, with background and noise."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.physics.scattering.structure_factors import hard_sphere
from madpipe.saxs.network.classes import CLASSES, MOST, NAMES
from madpipe.saxs.network.features import POINTS, STEP, Gridded, Seen, seen
from madpipe.saxs.network.particles import TO_PER_CM
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.table import BEGIN, FINEST, Table, axis

_SPANS = ((2.3, 5.5), (5.5, 8.0), 0.15)  # of ln q: usual, wide, share of the wide ones
_LAST = (math.log(4.0), math.log(180.0))  # ln(q size) at the end of a curve
_FIRST = (math.log(0.021), math.log(2.5))  # ln(q size) at its begin
_Q_FIRST = (2e-4, 3e-2)  # 1/angstrom
_SCALE = (1e-5, 10.0)  # volume fraction times contrast squared [1e-12/angstrom^4]
_COMPACT = {"sphere", "core_shell_sphere", "vesicle", "ellipsoid"}
_RODS = {"cylinder", "disk", "core_shell_cylinder", "core_shell_disk"}
_TAPS = 10  # neighbours on both sides that a pinhole mixes
_ALONG = 20  # nodes along a slit
_STEEP = -4.0  # slope beyond the table, Porod's


class Example(NamedTuple):
    """What a network is shown, and what it shall say."""

    seen: Seen
    label: Int[Tensor, "curve"]
    truth: Float[Tensor, "curve parameter"]  # of its class: ln(length q_first), numbers, scale as :func:`told_scale`
    curves: Gridded


class Window(NamedTuple):
    """Part of the axis that a curve covers."""

    begin: Float[Tensor, "curve"]  # ln(q size) of the first point
    step: Float[Tensor, "curve"]  # of ln q
    points: Int[Tensor, "curve"]  # of the grid


def draw(table: Table, config: SaxsTrainConfig, count: int, generator: torch.Generator) -> Example:
    """Draw so many examples of a table's curves.

    Parameters
    ----------
    table:
        Smooth curves.
    config:
        Noise, shares of smeared curves, structure factors, parasitic scattering, hidden scales.
    count:
        Examples.
    generator:
        Of everything.
    """
    pick = torch.randint(len(table.label), (count,), generator=generator)
    label, numbers = table.label[pick], table.parameters[pick]
    level = interacting(table.level[pick], label, config.structure, generator)
    return expose(level, label, numbers, config, generator)


def expose(
    level: Float[Tensor, "curve table"],
    label: Int[Tensor, "curve"],
    numbers: Float[Tensor, "curve parameter"],
    config: SaxsTrainConfig,
    generator: torch.Generator,
) -> Example:
    """Measure smooth curves of the table's axis: window, smearing, scattering beside the particles', noise, gaps.

    Parameters
    ----------
    level:
        ln of the intensity without scale.
    label, numbers:
        Classes and their parameters, as the table has them.
    config, generator:
        As of :func:`draw`.
    """
    window = random_window(len(level), generator)
    smooth, width, slit = smeared(level, window, config.smeared, generator)
    peak = smooth.amax(1, keepdim=True)
    intensity = torch.exp(smooth - peak)
    intensity = intensity + beside(intensity, window, config.parasitic, generator)
    grid = measured(intensity, window, config.noise, generator)
    first = _even(len(level), tuple(map(math.log, _Q_FIRST)), generator)
    scale = _even(len(level), tuple(map(math.log, _SCALE)), generator) + math.log(TO_PER_CM)
    rise = scale + 3 * (window.begin - first) + peak[:, 0]
    shown = _uniform(len(level), generator) >= config.hidden_scale
    curves = grid._replace(first=first, level=grid.level + rise[:, None], width=width, slit=slit, absolute=shown)
    prepared = seen(curves, slopes=config.slopes, scale=config.scale)
    return Example(prepared, label, _truth(numbers, label, window, scale - 3 * first, prepared.shift), curves)


def interacting(
    level: Float[Tensor, "curve table"], label: Int[Tensor, "curve"], share: float, generator: torch.Generator
) -> Float[Tensor, "curve table"]:
    """Multiply a share of the curves of compact particles, rods and disks by a hard-sphere structure factor."""
    kinds = torch.tensor([1 if name in _COMPACT else 2 if name in _RODS else 0 for name in NAMES])[label]
    chosen = torch.nonzero((kinds > 0) & (_uniform(len(level), generator) < share))[:, 0]
    if not len(chosen):
        return level
    compact = kinds[chosen] == 1
    radius = torch.where(compact, 0.8, 0.35).float() * torch.exp(_even(len(chosen), (-0.3, 0.4), generator))
    phi = torch.exp(_even(len(chosen), (math.log(0.01), math.log(0.2)), generator))
    factor = hard_sphere(axis().double(), radius.double(), phi.double())
    return level.index_add(0, chosen, torch.log(factor).float())


def random_window(count: int, generator: torch.Generator) -> Window:
    """Draw which part of the axis each curve covers."""
    usual, wide = (_even(count, ends, generator) for ends in _SPANS[:2])
    span = torch.where(_uniform(count, generator) < _SPANS[2], wide, usual)
    last = _even(count, _LAST, generator)
    begin = (last - span).clamp(*_FIRST)
    span = torch.minimum(span, _LAST[1] - begin).clamp(min=1.5)
    step = (span / (POINTS - 1)).clamp(min=STEP)
    return Window(begin, step, (span / step).round().long() + 1)


def read(level: Float[Tensor, "curve table"], place: Float[Tensor, "curve *any"]) -> Float[Tensor, "curve *any"]:
    """Interpolate tabulated levels at ln(q size); beyond the end the slope is Porod's, before the begin the first."""
    wanted = ((place - BEGIN) / FINEST).flatten(1)
    inside = wanted.clamp(0, level.shape[1] - 1.001)
    below = inside.long()
    low = level.gather(1, below)
    found = low + (inside - below) * (level.gather(1, below + 1) - low)
    slope = (level[:, 20:21] - level[:, :1]) / 20  # a sheet's is not zero
    beyond = (wanted - inside).clamp(min=0) * FINEST * _STEEP + (wanted - inside).clamp(max=0) * slope
    return (found + beyond).unflatten(1, place.shape[1:])


def smeared(
    level: Float[Tensor, "curve table"], window: Window, share: float, generator: torch.Generator
) -> tuple[Float[Tensor, "curve point"], Float[Tensor, "curve point"], Float[Tensor, "curve point"]]:
    """Read curves in their windows; smear a share of them, three quarters by a pinhole, the others by a slit.

    Returns
    -------
    :
        Levels, and over q: standard deviation of the pinhole, half height of the slit.
    """
    count, points = len(level), torch.arange(POINTS)
    place = window.begin[:, None] + window.step[:, None] * points
    found = read(level, place)
    kind = _uniform(count, generator) / max(share, 1e-9)
    pinhole, slit = kind < 0.75, (kind >= 0.75) & (kind < 1)
    width = torch.exp(_even(count, (math.log(0.01), math.log(0.12)), generator))[:, None].expand(-1, POINTS)
    fixed = _uniform(count, generator) < 0.5  # the same dq at every q
    width = torch.where(fixed[:, None], (2 * width * torch.exp(window.begin[:, None] - place)).clamp(min=1e-3), width)
    width = width * pinhole[:, None]
    length = torch.exp(_even(count, (math.log(0.3), math.log(500.0)), generator))[:, None]
    length = length * torch.exp(window.begin[:, None] - place) * slit[:, None]
    rows = torch.nonzero(pinhole)[:, 0]
    found = found.index_copy(0, rows, _pinhole(level[rows], place[rows], width[rows], window.step[rows]))
    rows = torch.nonzero(slit)[:, 0]
    return found.index_copy(0, rows, _slit(level[rows], place[rows], length[rows])), width, length


def _pinhole(level: Tensor, place: Tensor, width: Tensor, step: Tensor) -> Float[Tensor, "curve point"]:
    """Average over a Gaussian of q of a relative width, on neighbours of the grid."""
    offsets = torch.arange(-_TAPS, _TAPS + 1)
    ends = place[:, :1] + step[:, None] * offsets[:_TAPS], place[:, -1:] + step[:, None] * offsets[_TAPS + 1 :]
    values = read(level, torch.cat([ends[0], place, ends[1]], dim=1))
    peak = values.amax(1, keepdim=True)
    ratio = torch.exp(step[:, None] * offsets)[:, None]
    weight = torch.exp(-0.5 * ((ratio - 1) / width.clamp(min=1e-3)[..., None]) ** 2) * ratio
    mixed = (torch.exp(values - peak).unfold(1, 2 * _TAPS + 1, 1) * weight).sum(2) / weight.sum(2)
    return torch.log(mixed) + peak


def _slit(level: Tensor, place: Tensor, length: Tensor) -> Float[Tensor, "curve point"]:
    r"""Average along a slit, :math:`u = q \sinh s` making its nodes dense near q."""
    nodes, share = np.polynomial.legendre.leggauss(_ALONG)
    end = torch.asinh(length.clamp(min=1e-3))[..., None]
    s = end * torch.from_numpy((nodes + 1) / 2).float()
    weight = end * torch.from_numpy(share / 2).float() * torch.cosh(s)
    values = read(level, place[..., None] + torch.log(torch.cosh(s)))
    peak = values.amax(2, keepdim=True)
    return torch.log((torch.exp(values - peak) * weight).sum(2) / weight.sum(2)) + peak[..., 0]


def beside(
    intensity: Float[Tensor, "curve point"], window: Window, share: float, generator: torch.Generator
) -> Float[Tensor, "curve point"]:
    """Draw a flat background, and for a share of the curves a power law at small q."""
    count = len(intensity)
    end = intensity.gather(1, (window.points - 1)[:, None])[:, 0]
    flat = torch.exp((torch.log(end) + _even(count, (-7.0, 2.5), generator)).clamp(max=-2.5))
    power = _even(count, (2.5, 4.2), generator)[:, None]
    amount = torch.exp(_even(count, (-3.0, 1.0), generator)) * (_uniform(count, generator) < share)
    fall = torch.exp(-power * window.step[:, None] * torch.arange(POINTS))
    return flat[:, None] + (amount * intensity[:, 0])[:, None] * fall


def measured(
    intensity: Float[Tensor, "curve point"], window: Window, noise: tuple[float, float], generator: torch.Generator
) -> Gridded:
    """Add noise of counts over pixels and of a constant relative size; leave gaps where q is sampled evenly.

    The error that the network is told is wrong by up to a factor of two in a fifth of the curves.
    """
    count, points = len(intensity), torch.arange(POINTS)
    level = torch.exp(_even(count, tuple(map(math.log, noise)), generator))[:, None]
    counting = _uniform(count, generator)[:, None] < 0.6
    pixels = torch.exp(_even(count, (0.0, 2.0), generator)[:, None] * window.step[:, None] * points)
    inside = points < window.points[:, None]
    poisson = 1 / torch.sqrt(intensity * pixels)
    middle = (
        torch.where(inside, torch.log(poisson), torch.zeros_like(poisson)).sum(1, keepdim=True) / window.points[:, None]
    )
    relative = torch.where(counting, level * poisson * torch.exp(-middle), level).clamp(max=30.0)
    floor = level * _uniform(count, generator)[:, None] * 0.5
    sigma = intensity * torch.sqrt(relative**2 + floor**2) + 1e-12
    noisy = intensity + sigma * torch.randn(count, POINTS, generator=generator, dtype=torch.float32)
    wrong = _uniform(count, generator)[:, None] < 0.2
    told = sigma * torch.where(wrong, torch.exp(_even(count, (-0.7, 0.7), generator)[:, None]), torch.ones_like(level))
    error = told / torch.sqrt(noisy**2 + 4 * told**2)
    logs = torch.asinh(noisy / (2 * told)) + torch.log(told)
    level, error, known = _gaps(logs, error, window, generator)
    blank = torch.zeros_like(window.step)
    return Gridded(blank, window.step, level, error, known, torch.zeros_like(level), torch.zeros_like(level), blank > 1)


def _gaps(
    level: Tensor, error: Tensor, window: Window, generator: torch.Generator
) -> tuple[Tensor, Tensor, Bool[Tensor, "curve point"]]:
    """Sample half of the curves evenly in q: at small q points are far apart, and levels between them interpolated."""
    count, points = len(level), torch.arange(POINTS)
    last = (window.points - 1)[:, None]
    q = torch.exp(window.step[:, None] * points)
    even = _uniform(count, generator)[:, None] < 0.5
    number = torch.exp(_even(count, (math.log(60.0), math.log(1500.0)), generator))[:, None]
    spacing = (torch.exp(window.step[:, None] * last) - 1) / number
    half = window.step[:, None] / 2
    here = torch.floor((q * torch.exp(half) - 1) / spacing) > torch.floor((q * torch.exp(-half) - 1) / spacing)
    here = (here | ~even | (points == 0) | (points == last)) & (points <= last)
    before = torch.where(here, points, -1).cummax(1).values
    after = torch.where(here, points, POINTS).flip(1).cummin(1).values.flip(1).clamp(max=POINTS - 1)
    share = (points - before).to(level.dtype) / (after - before).clamp(min=1)
    filled = [one.gather(1, before) * (1 - share) + one.gather(1, after) * share for one in (level, error)]
    near = torch.minimum(points - before, (after - points).abs()) * window.step[:, None] <= window.step[:, None].clamp(
        min=0.25
    )
    return filled[0], filled[1], near & (points <= last)


def _truth(
    numbers: Tensor, label: Tensor, window: Window, scale: Float[Tensor, "curve"], shift: Float[Tensor, "curve"]
) -> Float[Tensor, "curve parameter"]:
    """Parameters of each curve's class as the network shall answer them."""
    lengths = torch.tensor([len(one.lengths) for one in CLASSES])[label][:, None]
    last = torch.tensor([len(one.parameters) - 1 for one in CLASSES])[label][:, None]
    places = torch.arange(MOST)
    truth = numbers + torch.where(places < lengths, window.begin[:, None], torch.zeros_like(numbers))
    return torch.where(places == last, (scale - shift)[:, None], truth)


def _uniform(count: int, generator: torch.Generator) -> Float[Tensor, "curve"]:
    """Draw evenly between 0 and 1."""
    return torch.rand(count, generator=generator, dtype=torch.float32)


def _even(count: int, ends: tuple[float, ...], generator: torch.Generator) -> Float[Tensor, "curve"]:
    """Draw evenly between two ends."""
    return ends[0] + (ends[1] - ends[0]) * _uniform(count, generator)
