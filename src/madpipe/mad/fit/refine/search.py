r"""Variable projection: the search goes over the few nuisances; every point is solved exactly for each trial.

At solved points the gradient of the likelihood's maximum is the plain sum of the points' slopes, and its curvature is
the Schur complement of the joint Fisher information, with N and J the derivatives of the expected photons by the
nuisances and by the point's own unknowns and W the inverse expected variance:

.. math:: \sum_p \left[N'WN - N'WJ\,(J'WJ)^{-1}\,J'WN\right]_p

Only sums over the points are kept, as large as the nuisances are many.

References
----------
G. Golub, V. Pereyra, Inverse Problems 19, R1 (2003); L. Kaufman, BIT 15, 49 (1975).
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.config import FitConfig
from madpipe.mad.fit.cone import unknowns as linear_unknowns
from madpipe.mad.fit.exact import Solution, covariance, solve
from madpipe.mad.fit.refine.unknowns import Unknowns
from madpipe.mad.measurement import Measurement

_TILE = 1 << 14  # points at once: some 60 numbers each per channel
_HALVINGS = 8
_RIDGE = 1e-14  # of a point's Fisher information: where a modulus vanishes, its direction has none
_ROUNDING = 1e-6  # rises of the merit below are none: the points are solved to some 1e-8 of it


@dataclass(frozen=True)
class Sums:
    """Sums over the points at solved structure factors; the channels' ln G, f', signed f'' and ln beta in a row."""

    information: Float[Tensor, "unknown unknown"]  # Schur complement
    gradient: Float[Tensor, "unknown"]  # of the log-likelihood
    resonant: Float[Tensor, "unknown"]  # derivative of sum |F_A|^2 along the points' own answers [photon]
    resonant_total: float  # sum |F_A|^2 [photon]
    resonant_variance: float  # of that sum at given nuisances [photon^2]

    def on(self, by: Float[Tensor, "kind channel unknown"]) -> "Sums":
        """The same by other unknowns, given the derivatives by them."""
        by = by.flatten(end_dim=1)
        return Sums(
            by.T @ self.information @ by,
            by.T @ self.gradient,
            by.T @ self.resonant,
            self.resonant_total,
            self.resonant_variance,
        )


@dataclass(frozen=True)
class State:
    """A trial, its points solved."""

    theta: Float[Tensor, "unknown"]
    measurement: Measurement  # with the nuisances put in
    solution: Solution
    deviance: float
    merit: float  # deviance, and the prior's part


def minimise(
    measurement: Measurement,
    unknowns: Unknowns,
    theta: Float[Tensor, "unknown"],
    config: FitConfig,
    settled: float = 1e-6,
) -> tuple[State, Sums]:
    """Search from one start by steps of Gauss and Newton, shortened while they do not lower the merit.

    Loading the curvature's diagonal instead would creep: the likelihood is a narrow valley along the directions that
    only the prior holds.

    Parameters
    ----------
    measurement:
        Points that are worth it (:func:`madpipe.mad.fit.refine.starts.worthwhile`), no nuisance put in.
    unknowns, theta:
        What is free, and the start; what is not free stays there.
    settled:
        Squared standard errors that a last step may promise; the step after it would be far smaller.
    """
    state = evaluate(measurement, unknowns, unknowns.allowed(theta), config)
    sums = _by_unknowns(unknowns, state)
    for _ in range(config.nuisance.iterations):
        step, promise = _step(unknowns, state.theta, sums)
        ahead = _shortened(measurement, unknowns, state, step, config)
        if ahead is not None:
            state, sums = ahead, _by_unknowns(unknowns, ahead)
        if ahead is None or promise < settled:
            break
    return state, sums


def _by_unknowns(unknowns: Unknowns, state: State) -> Sums:
    """Sums of a state by the nuisances themselves."""
    return linearised(state).on(unknowns.on_channels(state.measurement, state.theta))


def _shortened(
    measurement: Measurement, unknowns: Unknowns, state: State, step: Float[Tensor, "unknown"], config: FitConfig
) -> State | None:
    """Go a step, or half of it and so on, until the merit does not rise; None where it always does."""
    for halvings in range(_HALVINGS):
        theta = unknowns.allowed(state.theta + step / 2**halvings)
        trial = evaluate(measurement, unknowns, theta, config)
        if trial.merit <= state.merit + _ROUNDING:
            return trial
    return None


def evaluate(measurement: Measurement, unknowns: Unknowns, theta: Float[Tensor, "unknown"], config: FitConfig) -> State:
    """Solve every point at given nuisances."""
    trial = unknowns.applied(measurement, theta)
    solution = solve(trial, config.max_iterations, config.tolerance, prior_breadth=0.0)
    found = deviance(trial, solution.expected)
    return State(theta, trial, solution, found, found + float(theta @ unknowns.precision @ theta))


def _step(unknowns: Unknowns, theta: Float[Tensor, "unknown"], sums: Sums) -> tuple[Float[Tensor, "unknown"], float]:
    """Step of the free unknowns, less those that would leave their bounds, and what it promises."""
    curvature, slope = sums.information + unknowns.precision, sums.gradient - unknowns.precision @ theta
    free = (unknowns.free & ~(unknowns.at_least(theta) & (slope < 0))).nonzero()[:, 0]
    matrix, step = curvature[free[:, None], free], torch.zeros_like(theta)
    scale = matrix.diagonal().clamp(min=1e-300).rsqrt()
    unit = matrix * scale[:, None] * scale
    step[free] = scale * torch.linalg.lstsq(unit, (scale * slope[free])[:, None], driver="gelsd").solution[:, 0]
    step /= max(1.0, float((step.abs() / unknowns.farthest).max()))
    return step, float(step @ slope)


def deviance(measurement: Measurement, expected: Float[Tensor, "channel point"]) -> float:
    r"""Twice the log-likelihood's distance from that of a perfect model, summed.

    .. math:: D = 2 \sum \int_\mu^I \frac{I - t}{v(t)}\,dt

    Where the variance vanishes with the expectation, that is kept above zero.
    """
    if measurement.noise.is_proportional:
        expected = torch.maximum(expected, 1e-6 * measurement.least(measurement.brightness()))
    each = measurement.noise.half_deviance(measurement.intensity, expected)
    return 2 * float(measurement.measured(each).sum())


def linearised(state: State) -> Sums:
    """Sums over the points of a state, by the channels' ln G, f', f'' and ln beta."""
    size = len(state.measurement.f0)
    tiles = [slice(start, start + _TILE) for start in range(0, size, _TILE)]
    parts = [_tile(state.measurement.part(tile), state.solution.parameters[:, tile]) for tile in tiles]
    information, gradient, resonant, total, variance = (
        cast("Tensor", sum(part[place] for part in parts)) for place in range(5)
    )
    return Sums(information, gradient, resonant, float(total), float(variance))


def _tile(measurement: Measurement, parameters: Float[Tensor, "3 point"]) -> tuple[Tensor, ...]:
    """The sums of one tile: information, gradient, response of sum |F_A|^2, that sum, its variance."""
    f0 = measurement.f0
    theta = parameters / measurement.reduction()
    photons = measurement.design() @ linear_unknowns(theta)
    weight = measurement.weights(measurement.with_background(photons))
    own, by = by_own_unknowns(measurement, theta), by_nuisances(measurement, theta, photons)
    inverse = _inverse(own, weight)
    mixed = ((weight * by)[:, :, None] * own).flatten(end_dim=1)  # N'WJ, (kind and channel, 3, point)
    follow = (inverse * mixed[:, None]).sum(2)
    same = torch.einsum("kcp,lcp->klc", by * weight, by)  # N'WN: a channel's nuisances act on that channel only
    blocks = torch.einsum("klc,cd->kcld", same, torch.eye(same.shape[2]).to(same))
    information = blocks.reshape(len(mixed), -1) - follow.flatten(1) @ mixed.flatten(1).T
    gradient = (by * (weight * (measurement.net() - photons))).sum(-1).flatten()
    resonant = parameters[1:].square().sum()
    slope = 2 * theta * f0 * f0 * torch.tensor([[0.0], [1.0], [1.0]]).to(theta)
    variance = (slope * (inverse * slope).sum(1)).sum()
    return information, gradient, -(follow * slope).sum((1, 2)), resonant, variance


def by_own_unknowns(measurement: Measurement, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "channel 3 point"]:
    """J: derivatives of the expected photons by x, p, q."""
    x, p, q = theta
    one, square, cosine, sine = (column[:, None] for column in measurement.design().T)
    return torch.stack([2 * one * x + cosine * p + sine * q, 2 * square * p + cosine * x, 2 * square * q + sine * x], 1)


def by_nuisances(
    measurement: Measurement, theta: Float[Tensor, "3 point"], photons: Float[Tensor, "channel point"]
) -> Float[Tensor, "kind channel point"]:
    """N: derivatives of the expected photons by ln G, f', signed f'' and ln beta of the channel."""
    _, resonant, cosine, sine = linear_unknowns(theta)
    tau, f_prime, f_double_prime = (
        values[:, None] for values in (measurement.exposure, measurement.f_prime, measurement.f_double_prime)
    )
    background = torch.zeros_like(photons) if measurement.background is None else measurement.background
    by_f_prime, by_f_double_prime = f_prime * resonant + cosine, f_double_prime * resonant + sine
    return torch.stack([photons, 2 * tau * by_f_prime, 2 * tau * by_f_double_prime, background])


def _inverse(
    own: Float[Tensor, "channel 3 point"], weight: Float[Tensor, "channel point"]
) -> Float[Tensor, "3 3 point"]:
    """Inverse of J'WJ of every point."""
    pairs = [(own[:, i] * own[:, j] * weight).sum(0) for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    ridge = _RIDGE * (pairs[0] + pairs[3] + pairs[5]) + 1e-300
    for place in (0, 3, 5):
        pairs[place] = pairs[place] + ridge
    xx, xp, xq, pp, pq, qq = covariance(torch.stack(pairs))
    return torch.stack([torch.stack([xx, xp, xq]), torch.stack([xp, pp, pq]), torch.stack([xq, pq, qq])])


def free_covariance(unknowns: Unknowns, sums: Sums) -> Float[Tensor, "unknown unknown"]:
    """Posterior covariance of the free unknowns, 0 elsewhere; the common scale, which is the gauge, taken out."""
    free = unknowns.free.nonzero()[:, 0]
    matrix = (sums.information + unknowns.precision)[free[:, None], free]
    scale = matrix.diagonal().clamp(min=1e-300).rsqrt()
    result = torch.zeros_like(unknowns.precision)
    unit = torch.linalg.pinv(matrix * scale[:, None] * scale, hermitian=True, rtol=1e-13)
    result[free[:, None], free] = scale[:, None] * unit * scale
    place = unknowns.slice_of("scale")
    if "scale" in unknowns.names:
        result[place, place] -= 1 / unknowns.precision.diagonal()[place].sum()
    return result
