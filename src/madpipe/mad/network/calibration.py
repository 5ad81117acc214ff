"""Factors that make a network's errors honest, learnt on particles that it never saw.

A factor is a smooth function of what is known of a point and of its frame without the truth: how bright, how well the
energies tell, what its own counts say of it, what the answer is, how wrong split counts say that it is. One small
perceptron per quantity, with an answer for the interval of 68.3 % and one for that of 95 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.mad.network.trust import log_ratio, widening
from madpipe.mad.records import PHASES, Split
from madpipe.mad.records import QUANTITIES as FIELDS

QUANTITIES = tuple(FIELDS.values())
LEVELS = ((1.0, 0.6827), (1.96, 0.95))  # errors, and the share of points that they are to cover
_CIRCUMSTANCES = 12
_JUDGED = {"f_total": 0, "f_resonant": 1, "delta_phi": 1, "f_normal": 2, "delta_phi_na": 2}  # by split counts
_WIDTH = 16  # of both hidden layers
_FARTHEST = 3.0  # standard deviations of a circumstance: beyond, nothing is extrapolated
_STEPS = (50, 1500)  # fewest and most, each point being visited thirty times in between
_VISITS, _BATCH, _RATE, _DECAY = 30, 4096, 1e-2, 1e-3
_SMALL = 1e-9
_TILE = 1 << 16  # points at once
Columns = dict[str, Float[Tensor, "point"]]
Layers = Sequence[Tensor]  # mean and deviation of the circumstances, then three layers, each bias in the last column


@dataclass(frozen=True)
class Setting:
    """How a frame or volume was measured."""

    photons: Float[Tensor, "point"]  # over all energies, as the network found them
    contrast: float  # of the energies, :func:`madpipe.mad.network.predict.contrast_of`
    energies: int
    volume: bool
    split: Split | None = None  # what split counts say of the answer


def share_of_counts(columns: Columns, predicted: Columns) -> Columns:
    """Give for every quantity the share of the information that the counts added, from errors after and before."""
    shares = {}
    for name in QUANTITIES:
        after, before = columns[f"{name}_errors"], predicted[f"{name}_errors"]
        shares[name] = (1 - (after / before.clamp(min=1e-300)).square()).clamp(0, 1)
    return shares


def sums_over(columns: Columns, photons: Float[Tensor, "point"]) -> Float[Tensor, "sum"]:
    """Sums over some points of a particle, from which its means come: photons, and what is averaged over them."""
    averaged = [
        columns["f_total"].square(),
        columns["f_resonant"].square(),
        columns["f_normal"].square(),
        columns["delta_phi"].sin().square(),
        columns["chi2"] / columns["dof"].clamp(min=1),
    ]
    return torch.stack([photons.sum(), *((photons * values).sum() for values in averaged)])


def circumstances(
    columns: Columns, shares: Columns, setting: Setting, sums: Float[Tensor, "sum"] | None = None
) -> Float[Tensor, "quantity circumstance point"]:
    """Give what a factor may depend on: of the point, of the measurement, and of the particle as it was answered.

    Of the point: photons, share of the counts, relative error (of a phase the error), how far its prediction was
    widened and what split counts found over what was stated, both in the logarithm. Of the measurement: contrast and
    number of energies, frame or volume. Of the particle, as means over its photons: |F_A|^2 and |F_N|^2 over |F_T|^2,
    sin^2 of Delta_phi, chi-square per degree of freedom, which tells that something else is wrong. These come from
    ``sums`` over all points (:func:`sums_over`), where the columns are of some.
    """
    photons = setting.photons
    every, *means = sums_over(columns, photons) if sums is None else sums
    total, resonant, normal, sine, chi2 = (one / every.clamp(min=_SMALL) for one in means)
    total = total.clamp(min=_SMALL)
    of_particle = [resonant / total, normal / total, sine, chi2]
    alike = [math.log(max(setting.contrast, _SMALL)), math.log(setting.energies), float(setting.volume)]
    alike += [float((value + 1e-4).log()) for value in of_particle]
    found = torch.empty(len(QUANTITIES), _CIRCUMSTANCES, len(photons), dtype=torch.float32, device=photons.device)
    for row, name in zip(found, QUANTITIES, strict=True):
        error = columns[f"{name}_errors"]
        relative = unbounded(error) if name in PHASES else error / columns[name].clamp(min=_SMALL)
        row[0], row[1], row[2] = photons.clamp(min=1e-3).log(), shares[name], relative.clamp(1e-5, 1e3).log()
        for place, value in enumerate(alike, 5):
            row[place] = value
    per_energy = photons / setting.energies
    found[:, 3] = widening(setting.split, per_energy).log()
    ratio = log_ratio(setting.split, per_energy)
    for row, name in zip(found, QUANTITIES, strict=True):
        row[4] = ratio[_JUDGED[name]]
    return found


def unbounded(error: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """A phase's error as it would be, did it not saturate; infinite, or nearly, where nothing is known."""
    return error / (1 - (error / UNKNOWN_PHASE).square()).clamp(min=_SMALL).sqrt()


def saturated(error: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """A phase's error as it is: its inverse square is that of the unbounded one and of a phase that is not known."""
    return error / (1 + (error / UNKNOWN_PHASE).square()).sqrt()


def apply(
    columns: Columns, circumstance: Float[Tensor, "quantity circumstance point"], layers: Layers | None
) -> Columns:
    """Multiply errors by their factors, those of phases before they saturate, and add 95 % intervals.

    No layers change nothing.
    """
    if layers is None:
        return columns
    scaled = dict(columns)
    # in parts, or the hidden layers of a large volume would fill the memory
    factors = torch.cat([_logarithms(part, layers).exp() for part in circumstance.split(_TILE, 2)], 2).double()
    for name, (narrow, wide) in zip(QUANTITIES, factors, strict=True):
        error = columns[f"{name}_errors"]
        whole = torch.maximum(narrow, LEVELS[1][0] * wide)  # the wider interval holds the narrower one
        if name in PHASES:
            bare = unbounded(error)
            scaled[f"{name}_errors"] = saturated(narrow * bare)
            scaled[f"{name}_errors_95"] = saturated(whole / LEVELS[1][0] * bare) * LEVELS[1][0]
        else:
            scaled[f"{name}_errors"] = narrow * error
            scaled[f"{name}_errors_95"] = whole * error
    return scaled


def needed(columns: Columns, off: Columns) -> Float[Tensor, "quantity level point"]:
    """Logarithm of the factor that would just bring a miss within 1, and within 1.96 errors.

    Parameters
    ----------
    columns:
        The answer.
    off:
        Answer less truth, by quantity; NaN where there is no truth.
    """
    found = []
    for name in QUANTITIES:
        bare = unbounded if name in PHASES else torch.Tensor.clone
        error = bare(columns[f"{name}_errors"])
        ratios = [bare(off[name].abs() / multiple) / error.clamp(min=1e-300) for multiple, _ in LEVELS]
        found.append(torch.stack(ratios).clamp(min=1e-4).log())
    return torch.stack(found).float()


def learnt(
    circumstance: Float[Tensor, "quantity circumstance point"],
    need: Float[Tensor, "quantity level point"],
    generator: torch.Generator,
) -> Layers:
    r"""Layers whose factors k_m bring the shares of points within 1 and 1.96 errors to 68.3 % and 95 %.

    .. math:: \min \sum_m E\left[\rho_{p_m}(\ln n_m - \ln k_m)\right], \quad \rho_p(r) = \max(p r, (p - 1) r)

    with n_m the factor that a point needs at level m: ln k_m is the quantile p_m of ln n_m (Koenker and Bassett,
    Econometrica 46, 33 (1978)). Deviations have longer tails than a normal distribution's, hence two factors.

    Parameters
    ----------
    circumstance, need:
        Of the same points, from :func:`circumstances` and :func:`needed`; NaN in the latter does not count.
    generator:
        Draws first weights and batches.
    """
    spread, centre = torch.std_mean(circumstance, 2)
    sizes = [(_WIDTH, _CIRCUMSTANCES + 1), (_WIDTH, _WIDTH + 1), (len(LEVELS), _WIDTH + 1)]
    layers = [
        torch.randn(len(QUANTITIES), *size, generator=generator, dtype=torch.float32) / math.sqrt(size[1])
        for size in sizes
    ]
    layers[-1].zero_()
    fixed = torch.stack([centre, spread.clamp(min=1e-3)])
    known = torch.isfinite(need)
    shares = torch.tensor([share for _, share in LEVELS], dtype=torch.float32)[None, :, None]
    for layer in layers:
        layer.requires_grad_()
    optimiser = torch.optim.AdamW(layers, lr=_RATE, weight_decay=_DECAY)
    points = need.shape[2]
    steps = min(max(_VISITS * points // _BATCH, _STEPS[0]), _STEPS[1])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        some = torch.randint(points, (min(_BATCH, points),), generator=generator)
        residual = need[:, :, some] - _logarithms(circumstance[:, :, some], [fixed, *layers])
        loss = torch.where(known[:, :, some], torch.maximum(shares * residual, (shares - 1) * residual), 0.0)
        optimiser.zero_grad()
        (loss.sum((1, 2)) / known[:, :, some].sum((1, 2)).clamp(min=1)).sum().backward()
        optimiser.step()
        schedule.step()
    return [fixed, *(layer.detach() for layer in layers)]


def packed(layers: Layers, *, refine: bool) -> dict[str, Tensor]:
    """Layers by the names under which they are kept."""
    return {f"{_name(refine)}.{number}": layer for number, layer in enumerate(layers)}


def unpacked(kept: dict[str, Tensor], *, refine: bool) -> Layers | None:
    """Layers from what was kept; none where there are none."""
    names = [f"{_name(refine)}.{number}" for number in range(4)]
    return [kept[name] for name in names] if names[0] in kept else None


def _name(refine: bool) -> str:
    return f"calibration.{'refined' if refine else 'predicted'}"


def _logarithms(
    circumstance: Float[Tensor, "quantity circumstance point"], layers: Layers
) -> Float[Tensor, "quantity level point"]:
    """Logarithm of the factor of every quantity at every level."""
    (centre, spread), *rest = layers
    values = ((circumstance - centre[..., None]) / spread[..., None]).clamp(-_FARTHEST, _FARTHEST)
    for number, layer in enumerate(rest):
        values = layer[:, :, :-1] @ values + layer[:, :, -1:]
        values = torch.tanh(values) if number < len(rest) - 1 else values
    return values
