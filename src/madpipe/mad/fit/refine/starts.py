"""Which points a search uses, and where it starts: the likelihood of the nuisances has more than one maximum."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import log, progress
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.exact import solve
from madpipe.mad.fit.refine.search import State, evaluate, free_covariance, minimise
from madpipe.mad.fit.refine.unknowns import Unknowns
from madpipe.mad.measurement import Measurement, condition_number
from madpipe.mad.records import Stack

_DEEPER = 4.0  # how far a start lowers f', as the dip at an edge does [electron]
_AS_LOW = 1.5  # a minimum this much above the lowest is not excluded: (6 - 3) / (6 - 4) degrees of freedom per point
_ILL = 4.0  # times the least condition number: a design that is losing a column
_TRIAL = 1e-2  # squared standard errors within which a search from a cold start has found its minimum
_SHAKES, _SHARES = 5, (-1.0, 1.0)  # rounds; of the worst standard error
_GAIN = 1e-5  # of the merit: a minimum less far below is the same one
_SCAN_POINTS = 4000  # of the brightest: enough to tell which offset is next to the best one
_SCAN_STEP = 1.0  # between offsets tried, less than an edge is wide [eV]
_SCAN_WIDTHS = 2.0  # of the prior on either side


def worthwhile(measurement: Measurement, config: FitConfig) -> Measurement:
    """Keep the points that tell about nuisances, and no more of them than are allowed.

    They have more than three intensities, at three energies or more, so that something is left over. Where noise is
    Poisson's, |F_A| must be known well: a point at which it is not brings as much bias as any, since the likelihood's
    maximum is not its mean, and hardly any information. The choice rests on the error over the root of the intensity,
    not over the fitted |F_A|, which noise would have chosen among.
    """
    points = _overdetermined(measurement)
    if measurement.noise.is_poisson and bool(points.any()):
        bound = solve(measurement, config.max_iterations, config.tolerance, prior_breadth=0.0).covariance
        points = points & (bound[3] + bound[5] < config.nuisance.largest_error**2 * measurement.brightness())
    which = points.nonzero()[:, 0]
    if len(which) > config.nuisance.points:
        order = which[measurement.brightness()[which].argsort(descending=True, stable=True)]
        bright, rest = order.split([config.nuisance.points // 2, len(order) - config.nuisance.points // 2])
        kept = config.nuisance.points - len(bright)
        even = torch.arange(kept, device=rest.device) * len(rest) // kept
        which = torch.cat([bright, rest[even]]).sort().values
    log.info("refine: %d of %d points used", len(which), len(points))
    return measurement.part(which)


def _overdetermined(measurement: Measurement) -> Tensor:
    """Points with more than three intensities at three energies or more, where all four linear unknowns are seen."""
    good, of_channel = measurement.good, measurement.energy_of_channel
    if good is None:
        good = torch.ones_like(measurement.intensity, dtype=torch.bool)
    seen = [good[of_channel == energy].any(0) for energy in of_channel.unique()]
    return (good.sum(0) > 3) & (torch.stack(seen).sum(0) >= 3)


def first_guess(
    stack: Stack, measurement: Measurement, unknowns: Unknowns, config: FitConfig
) -> Float[Tensor, "unknown"]:
    """Start of the search: the prior's mean, the best of a row of offsets, or the best of several cold starts."""
    start = torch.zeros_like(unknowns.width)
    if not unknowns.has_prior:
        starts = progress(_cold_starts(stack, unknowns), "refine")
        found = [minimise(measurement, unknowns, one, config, _TRIAL)[0] for one in starts]
        return _shaken(measurement, unknowns, _best(stack, unknowns, found), config)
    if "offset" not in unknowns.names:
        return start
    bright = measurement.brightness().argsort(descending=True, stable=True)[:_SCAN_POINTS]
    few, reach = measurement.part(bright), _SCAN_WIDTHS * config.nuisance.energy_offset_sigma_ev
    tried = torch.arange(-reach, reach + _SCAN_STEP / 2, _SCAN_STEP)
    merits = [evaluate(few, unknowns, _with_offset(start, float(offset)), config).merit for offset in tried]
    return _with_offset(start, float(tried[int(torch.tensor(merits).argmin())]))


def _shaken(
    measurement: Measurement, unknowns: Unknowns, theta: Float[Tensor, "unknown"], config: FitConfig
) -> Float[Tensor, "unknown"]:
    """Search again from beside the minimum, along the direction that is known worst, while that leads lower.

    A weak reflection with two minima of its own takes the lower one, so the merit has a kink wherever that changes.
    """
    state, sums = minimise(measurement, unknowns, theta, config)
    for _ in range(_SHAKES):
        variance, axes = torch.linalg.eigh(free_covariance(unknowns, sums))
        worst = axes[:, -1] * variance[-1].sqrt()
        found = [minimise(measurement, unknowns, state.theta + share * worst, config) for share in _SHARES]
        lower, its_sums = min(found, key=lambda one: one[0].merit)
        if lower.merit > state.merit * (1 - _GAIN):
            break
        state, sums = lower, its_sums
    return state.theta


def _with_offset(theta: Float[Tensor, "unknown"], offset: float) -> Float[Tensor, "unknown"]:
    """Put an energy offset in."""
    return torch.cat([theta[:-1], torch.tensor([offset], dtype=theta.dtype)])


def _cold_starts(stack: Stack, unknowns: Unknowns) -> list[Float[Tensor, "unknown"]]:
    """The stack's own values; then each energy in turn, and all of them, in the dip that f' has at the edge."""
    count, place = unknowns.energies - 1, unknowns.slice_of("f_prime")
    starts = []
    for lowered in torch.cat([torch.zeros(1, count), torch.eye(count), torch.ones(1, count)]).double():
        start = torch.zeros_like(unknowns.width)
        start[place][:count] = -_DEEPER * lowered
        starts.append(start)
    return starts


def _best(stack: Stack, unknowns: Unknowns, found: Sequence[State]) -> Float[Tensor, "unknown"]:
    """Take the lowest minimum, but not one whose design is far worse conditioned than another's nearly as low.

    Where all rho_k and their conjugates lie on one circle the design loses a column, and chi-square falls a little
    below that of the truth although nothing is determined there.
    """
    places = [_on_the_stacks_side(stack, unknowns, state.theta) for state in found]
    merits = torch.tensor([state.merit for state in found], dtype=torch.float64)
    conditions = torch.tensor([_condition(stack, unknowns, theta) for theta in places], dtype=torch.float64)
    conditions[merits > _AS_LOW * merits.min()] = torch.inf
    merits[conditions > _ILL * conditions.min()] = torch.inf
    return places[int(merits.argmin())]


def _condition(stack: Stack, unknowns: Unknowns, theta: Float[Tensor, "unknown"]) -> float:
    """Condition number of the design with some nuisances."""
    f_prime, f_double_prime = unknowns.dispersion(theta).numpy()
    return condition_number(replace(stack, f_prime=f_prime, f_double_prime=f_double_prime))


def _on_the_stacks_side(stack: Stack, unknowns: Unknowns, theta: Float[Tensor, "unknown"]) -> Float[Tensor, "unknown"]:
    """Turn the differences of f' round where they are on the other side than the stack's."""
    own, (f_prime, _) = torch.tensor(stack.f_prime, dtype=torch.float64), unknowns.dispersion(theta)
    side = own - own[-1]
    if float((f_prime - own[-1]) @ (side if bool(side.any()) else -torch.ones_like(side))) < 0:
        theta = theta.clone()
        theta[unknowns.slice_of("f_prime")] += 2 * (own[-1] - f_prime)
    return theta
