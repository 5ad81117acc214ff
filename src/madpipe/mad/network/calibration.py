"""Factors that make a network's errors honest, learnt on particles that it never saw.

The logarithm of a factor is linear in what is known of a point without the truth: how bright it is, what its own counts
say of it, how far its prediction was widened. Each quantity has a factor for the interval of 68.3 % and one for that of
95 %. More was tried and is no better on particles that it was not learnt on: of 448, half of them learnt
from, shares of cells of one particle within the 68.3 % interval miss it by .158 rms so, by .174 with a perceptron that
knows also how much of the particle is resonant, how far phases lie apart and chi-square, by .160 with a constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.mad.network.trust import widening
from madpipe.mad.records import PHASES, Split
from madpipe.mad.records import QUANTITIES as FIELDS

QUANTITIES = tuple(FIELDS.values())
LEVELS = ((1.0, 0.6827), (1.96, 0.95))  # errors, and the share of points that they are to cover
_CIRCUMSTANCES = 5
_FARTHEST = 3.0  # standard deviations of a circumstance: beyond, nothing is extrapolated
_STEPS = (50, 1500)  # fewest and most, each point being visited thirty times in between
_VISITS, _BATCH, _RATE, _DECAY = 30, 4096, 3e-2, 1e-3
_SMALL = 1e-9
_TILE = 1 << 18  # points at once
Columns = dict[str, Float[Tensor, "point"]]
Layers = Sequence[Tensor]  # mean and deviation of the circumstances, then their weights, bias in the last column


@dataclass(frozen=True)
class Setting:
    """How a frame or volume was measured."""

    photons: Float[Tensor, "point"]  # over all energies, as the network found them
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


def circumstances(columns: Columns, shares: Columns, setting: Setting) -> Float[Tensor, "quantity circumstance point"]:
    """Give what a factor may depend on.

    Photons, share of the counts, relative error (of a phase the error), how far the prediction was widened; frame or
    volume. All but the share and the last in the logarithm.
    """
    photons = setting.photons
    per_energy = photons / setting.energies
    found = torch.empty(len(QUANTITIES), _CIRCUMSTANCES, len(photons), dtype=torch.float32, device=photons.device)
    found[:, 0] = photons.clamp(min=1e-3).log()
    found[:, 3] = widening(setting.split, per_energy).log()
    found[:, 4] = float(setting.volume)
    for row, name in zip(found, QUANTITIES, strict=True):
        error = columns[f"{name}_errors"]
        relative = unbounded(error) if name in PHASES else error / columns[name].clamp(min=_SMALL)
        row[1], row[2] = shares[name], relative.clamp(1e-5, 1e3).log()
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
    # in parts, for a large volume's memory
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


def at_least(columns: Columns, raw: Columns, factors: Float[Tensor, "3 point"]) -> Columns:
    """Raise errors to these factors, of F_T, F_A, F_N, times what they were before calibration.

    A phase follows the modulus that it belongs to.
    """
    total, resonant, normal = factors
    raised = dict(columns)
    for name, factor in zip(QUANTITIES, (total, resonant, resonant, normal, normal), strict=True):
        error = raw[f"{name}_errors"]
        floor = saturated(unbounded(error) * factor) if name in PHASES else error * factor
        raised[f"{name}_errors"] = torch.maximum(columns[f"{name}_errors"], floor)
        raised[f"{name}_errors_95"] = torch.maximum(columns[f"{name}_errors_95"], LEVELS[1][0] * floor)
    return raised


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
        Draws batches.
    """
    spread, centre = torch.std_mean(circumstance, 2)
    weights = torch.zeros(len(QUANTITIES), len(LEVELS), _CIRCUMSTANCES + 1, dtype=torch.float32, requires_grad=True)
    fixed = torch.stack([centre, spread.clamp(min=1e-3)])
    known = torch.isfinite(need)
    shares = torch.tensor([share for _, share in LEVELS], dtype=torch.float32)[None, :, None]
    optimiser = torch.optim.AdamW([weights], lr=_RATE, weight_decay=_DECAY)
    points = need.shape[2]
    steps = min(max(_VISITS * points // _BATCH, _STEPS[0]), _STEPS[1])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        some = torch.randint(points, (min(_BATCH, points),), generator=generator)
        residual = need[:, :, some] - _logarithms(circumstance[:, :, some], [fixed, weights])
        loss = torch.where(known[:, :, some], torch.maximum(shares * residual, (shares - 1) * residual), 0.0)
        optimiser.zero_grad()
        (loss.sum((1, 2)) / known[:, :, some].sum((1, 2)).clamp(min=1)).sum().backward()
        optimiser.step()
        schedule.step()
    return [fixed, weights.detach()]


def packed(layers: Layers, *, refine: bool) -> dict[str, Tensor]:
    """Layers by the names under which they are kept."""
    return {f"{_name(refine)}.{number}": layer for number, layer in enumerate(layers)}


def unpacked(kept: dict[str, Tensor], *, refine: bool) -> Layers | None:
    """Layers from what was kept; none where there are none."""
    names = [f"{_name(refine)}.{number}" for number in range(2)]
    return [kept[name] for name in names] if names[0] in kept else None


def _name(refine: bool) -> str:
    return f"calibration.{'refined' if refine else 'predicted'}"


def _logarithms(
    circumstance: Float[Tensor, "quantity circumstance point"], layers: Layers
) -> Float[Tensor, "quantity level point"]:
    """Logarithm of the factor of every quantity at every level."""
    (centre, spread), weights = layers
    values = ((circumstance - centre[..., None]) / spread[..., None]).clamp(-_FARTHEST, _FARTHEST)
    return weights[:, :, :-1] @ values + weights[:, :, -1:]
