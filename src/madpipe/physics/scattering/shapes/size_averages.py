"""Averages over a distribution of sizes: of products of amplitudes, of amplitudes, of volumes; each per particle."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.physics.scattering.distributions import Distribution, Limits, limits, node_counts, nodes_and_weights
from madpipe.physics.scattering.orientation import by_count
from madpipe.physics.scattering.shapes.form_factor import FormFactor, Lengths

TOLERANCE = 1e-9  # relative, of the averages
_VOLUME_SQUARED, _SURFACE = 6.0, 2.0  # powers of size by which <|F|^2> grows at small and at large q
_PAST_PLATEAU = 5.0  # q times the smallest length from which only surfaces scatter


@dataclass(frozen=True)
class SizeAverages:
    """Averages per particle, number-weighted.

    Attributes
    ----------
    gram:
        Products of the regions' amplitudes [angstrom^6].
    mean:
        Regions' amplitudes [angstrom^3].
    volumes:
        Regions' volumes [angstrom^3].
    """

    gram: Float[Tensor, "batch q region region"]
    mean: Float[Tensor, "batch q region"]
    volumes: Float[Tensor, "batch region"]

    @property
    def outer_volume(self) -> Float[Tensor, "batch"]:
        """Mean volume that the volume fraction counts [angstrom^3]."""
        return self.volumes.sum(1)


def spread_of(form: FormFactor, length: str | None) -> Float[Tensor, "length"]:
    """Tell which lengths vary: 1 for the named one and 0 for the rest, or 1 for all, in proportion, without a name.

    Raises
    ------
    ValueError
        If the shape has no length of that name.
    """
    if length is None:
        return torch.ones(len(form.lengths))
    chosen = torch.zeros(len(form.lengths))
    chosen[form.column(length)] = 1
    return chosen


def size_averages(
    form: FormFactor,
    q: Float[Tensor, "q"],
    lengths: Float[Tensor, "batch length"],
    kind: Distribution,
    width: Float[Tensor, "batch"],
    spread: Float[Tensor, "length"],
    tolerance: float = TOLERANCE,
) -> SizeAverages:
    r"""Average a shape over a distribution of one length, or of all in proportion.

    .. math:: \langle f_k f_l \rangle = \int n(x)\, G_{kl}(q; L_0 x, L_1, \dots)\, dx, \quad \int n\, dx = 1

    Parameters
    ----------
    form:
        The shape.
    q:
        Wave numbers [1/angstrom].
    lengths:
        Mean lengths [angstrom].
    kind:
        Distribution, see `distributions.density`.
    width:
        Standard deviation / mean, > 0 [1].
    spread:
        1 for each length that varies, from `spread_of`.
    tolerance:
        Relative accuracy wanted; 1e-5 costs about two thirds of 1e-9.

    Returns
    -------
    :
        Differentiable with respect to lengths and width.
    """
    batch, points = len(lengths), len(q)
    number = torch.arange(batch * points, device=q.device)
    far = limits(kind, width, _VOLUME_SQUARED, tolerance)
    packed = _packed(form, q[number % points], lengths, number // points, kind, width, spread, far, tolerance)
    gram, mean = form.unpacked(packed.reshape(batch, points, -1))
    return SizeAverages(gram, mean, _mean_volumes(form, lengths, kind, width, spread, far, tolerance))


def size_averages_at_points(
    form: FormFactor,
    q: Float[Tensor, "point"],
    lengths: Float[Tensor, "point length"],
    kind: Distribution,
    width: Float[Tensor, "point"],
    spread: Float[Tensor, "length"],
    tolerance: float = TOLERANCE,
) -> tuple[Float[Tensor, "point region region"], Float[Tensor, "point region"], Float[Tensor, "point region"]]:
    """Average at points that each have a q, lengths and a width of their own.

    One backward pass through the sum over points gives the derivatives at every point by all of its own numbers.

    Parameters
    ----------
    form, q, lengths, kind, width, spread, tolerance:
        As for `size_averages`, point by point.

    Returns
    -------
    :
        Products [angstrom^6], amplitudes and volumes [angstrom^3] of the regions.
    """
    far = limits(kind, width, _VOLUME_SQUARED, tolerance)
    packed = _packed(form, q, lengths, torch.arange(len(q), device=q.device), kind, width, spread, far, tolerance)
    gram, mean = form.unpacked(packed[None])
    return gram[0], mean[0], _mean_volumes(form, lengths, kind, width, spread, far, tolerance)


def _packed(
    form: FormFactor,
    q: Float[Tensor, "point"],
    lengths: Float[Tensor, "batch length"],
    which: Int[Tensor, "point"],
    kind: Distribution,
    width: Float[Tensor, "batch"],
    spread: Float[Tensor, "length"],
    far: Limits,
    tolerance: float,
) -> Float[Tensor, "point column"]:
    """What `FormFactor.at_points` gives, averaged; each point takes the lengths and the width of one of the batch."""
    near = limits(kind, width, _SURFACE, tolerance)
    past = q * _smallest(form, lengths.detach(), spread)[which] > _PAST_PLATEAU  # large particles weigh less then
    cuts = Limits(far.low[which], torch.where(past, near.high[which], far.high[which]))
    phase = (q * form.reach(lengths.detach() * spread)[which]).detach()
    counts = node_counts(kind, width.detach()[which], cuts, phase, tolerance)

    def evaluate(some: Int[Tensor, "some"], count: int, _: int) -> Float[Tensor, "some column"]:
        cut = Limits(cuts.low[some], cuts.high[some])
        x, weight = nodes_and_weights(kind, width[which[some]], cut, phase[some], count)
        return form.over_nodes(q[some], _sized(lengths[which[some]], x, spread), weight)

    return by_count(counts, torch.ones_like(counts), evaluate)


def _sized(lengths: Float[Tensor, "some length"], x: Float[Tensor, "some node"], spread: Tensor) -> Lengths:
    """Lengths at each node: those that vary, times x; the others broadcast."""
    varies = spread.tolist()
    return tuple(length * x if varies[place] else length for place, length in enumerate(lengths[:, None].unbind(-1)))


def _smallest(
    form: FormFactor, lengths: Float[Tensor, "batch length"], spread: Float[Tensor, "length"]
) -> Float[Tensor, "batch"]:
    """Smallest half length that varies."""
    halves = torch.tensor([0.5 if spec.kind == "length" else 1.0 for spec in form.lengths]).to(lengths)
    return torch.where((spread > 0) & (lengths > 0), halves * lengths, torch.inf).amin(1)


def _mean_volumes(
    form: FormFactor,
    lengths: Float[Tensor, "batch length"],
    kind: Distribution,
    width: Float[Tensor, "batch"],
    spread: Float[Tensor, "length"],
    cut: Limits,
    tolerance: float,
) -> Float[Tensor, "batch region"]:
    """Regions' volumes, averaged."""
    still = torch.zeros_like(width.detach())
    count = int(node_counts(kind, width.detach(), cut, still, tolerance).max())
    x, weight = nodes_and_weights(kind, width, cut, still, count)
    sizes = torch.stack([length.expand_as(x) for length in _sized(lengths, x, spread)], dim=-1)
    volumes = form.volumes(sizes.flatten(0, 1)).reshape(*x.shape, -1)
    averaged: Tensor = (weight[:, None] @ volumes)[:, 0]
    return averaged
