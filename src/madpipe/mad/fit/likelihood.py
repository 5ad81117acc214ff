"""The likelihood of some points, its derivatives by their unknowns, and the climb to its maximum.

Inside, p + iq = |F_A/f0| exp(i Delta_phi): then the design matrix is the same for every point, and normal matrices are
matrix products. All the rest is plain arithmetic on (component, point), no library call per point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.mad.fit.belief import Belief, product
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.measurement import Measurement
from madpipe.physics.sums import added, times

_OVERSHOOT = 0.9  # a step is taken back when the slope along it ends at less than minus this share of its start
_LOADING = 1e-3  # of the Fisher information's diagonal, where the likelihood curves the wrong way
TAIL = 2.0  # exponent of the prior: that of the ratio of two normal complex numbers
PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]  # entries of a symmetric matrix, in the order of its rows


@dataclass(frozen=True)
class Problem:
    """What the iteration needs of some points, worked out once."""

    measurement: Measurement
    design: Float[Tensor, "channel 4 1"]  # B, the same for every point
    products: Float[Tensor, "10 channel 1"]  # B_i B_j
    net: Float[Tensor, "channel point"]  # counts less background
    least: Float[Tensor, "channel point"]  # expected photons that a weight is taken at
    prior_scale: Float[Tensor, "point"] | None  # s / f0^2; None: no prior
    prediction: Belief | None = None  # in x, p, q

    def part(self, which: slice | Int[Tensor, "kept"]) -> "Problem":
        """Give some of the points."""
        return replace(
            self,
            measurement=self.measurement.part(which),
            net=self.net[:, which],
            least=self.least[:, which],
            prior_scale=None if self.prior_scale is None else self.prior_scale[which],
            prediction=None if self.prediction is None else self.prediction.part(which),
        )


@dataclass(frozen=True)
class Slope:
    """First derivatives of the likelihood at some parameters, and what the second ones are made of."""

    photons: Float[Tensor, "channel point"]
    weight: Float[Tensor, "channel point"]  # 1 / v
    pull: Float[Tensor, "channel point"]  # (I - mu) / v
    expected: Float[Tensor, "channel point"]
    linear: Float[Tensor, "4 point"]  # derivatives by the linear unknowns, the prior's included
    prior: Float[Tensor, "point"] | None  # what the prior takes off the second of them


def problem_of(measurement: Measurement, prior_breadth: float) -> Problem:
    """Work out what does not change with the parameters."""
    design = measurement.design()
    products = torch.stack([design[:, i] * design[:, j] for i, j in PAIRS])
    brightness = measurement.brightness()
    scale = prior_breadth * measurement.pure_resonant(brightness) if prior_breadth else None
    least = measurement.least(brightness)
    return Problem(measurement, design[..., None], products[..., None], measurement.net(), least, scale)


def climb(
    problem: Problem, theta: Float[Tensor, "3 point"], max_iterations: int, tolerance: float
) -> tuple[Float[Tensor, "3 point"], Bool[Tensor, "point"], int]:
    """Newton's steps to the maximum of the likelihood: (parameters, whether they settled, steps taken).

    A step is cut to a quarter where the slope along it has turned round, the last one that may be taken is taken back
    whole there; points that have settled drop out. Newton's error is squared by each step, so a step of the tolerance's
    root is the last.
    """
    result, settled = theta.clone(), torch.zeros_like(theta[0], dtype=torch.bool)
    active = torch.arange(theta.shape[1], device=theta.device)
    step, promise, closed = torch.zeros_like(theta), torch.zeros_like(theta[0]), settled
    count = 0
    while count < max_iterations and len(active):
        slope = slope_at(problem, theta)
        gradient = gradient_at(problem, slope, theta)
        ahead, concave = _step(problem, slope, gradient, theta)
        ahead = ahead.masked_fill(closed, 0.0)
        gain = added(gradient * ahead)
        done = (gain <= tolerance) & (concave | (gain <= tolerance**2))
        too_far = added(gradient * step) < -_OVERSHOOT * promise
        if bool(too_far.any()):
            done, gain = done & ~too_far, torch.where(too_far, promise, gain)
            theta = theta + torch.where(too_far, -0.75 * step, ahead)
            ahead = torch.where(too_far, 0.25 * step, ahead)
        else:
            theta = theta + ahead
        step, promise, closed, count = ahead, gain, done | closed, count + 1
        if count == max_iterations:  # no step comes after it that would cut it
            led = added(gradient_at(problem, slope_at(problem, theta), theta) * step)
            theta = theta - step.masked_fill(closed | (led >= -_OVERSHOOT * promise), 0.0)
        if int(closed.sum()) > 0.2 * len(active) or count == max_iterations:
            result[:, active], settled[active] = theta, closed
            keep = (~closed).nonzero()[:, 0]
            active, problem = active[keep], problem.part(keep)
            theta, step, promise, closed = theta[:, keep], step[:, keep], promise[keep], closed[keep]
    return result, settled, count


def slope_at(problem: Problem, theta: Float[Tensor, "3 point"]) -> Slope:
    """First derivatives of the likelihood, the weights renewed from the model."""
    measurement = problem.measurement
    photons = times(problem.design, unknowns(theta))
    expected = torch.maximum(measurement.with_background(photons), problem.least)
    weight = measurement.measured(1 / measurement.noise.variance(expected))
    pull = weight * (problem.net - photons)
    linear = times(problem.design.transpose(0, 1), pull)
    prior = None
    if problem.prior_scale is not None:
        prior = TAIL / (problem.prior_scale + theta[1] * theta[1] + theta[2] * theta[2])
        linear[1] -= prior
    return Slope(photons, weight, pull, expected, linear, prior)


def gradient_at(problem: Problem, slope: Slope, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Derivatives by x, p, q of likelihood, prior and prediction."""
    gradient = gradient_of(slope.linear, theta)
    if problem.prediction is None:
        return gradient
    return gradient - product(predicted_information(problem, theta), theta - problem.prediction.mean)


def predicted_information(problem: Problem, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "6 point"]:
    """What the prediction adds to the information: its precision, the less the farther from it the unknowns are."""
    prediction = cast("Belief", problem.prediction)
    return prediction.precision * prediction.strength(theta)


def gradient_of(linear: Float[Tensor, "4 point"], theta: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Derivatives by x, p, q from those by the linear unknowns."""
    x, p, q = theta
    total, resonant, cosine, sine = linear
    x2, both = 2 * x, 2 * resonant
    by_x = torch.addcmul(torch.addcmul(x2 * total, p, cosine), q, sine)
    return torch.stack([by_x, torch.addcmul(p * both, x, cosine), torch.addcmul(q * both, x, sine)])


def _step(
    problem: Problem, slope: Slope, gradient: Float[Tensor, "3 point"], theta: Float[Tensor, "3 point"]
) -> tuple[Float[Tensor, "3 point"], Bool[Tensor, "point"]]:
    """Newton's step where the likelihood is concave, as the flag says, else Fisher scoring's with some loading."""
    rate = problem.measurement.noise.rate(slope.expected)
    observed = torch.addcmul(slope.weight, slope.weight, rate * slope.pull)
    xx, xp, xq, pp, pq, qq = curvature(times(problem.products, observed), theta)
    total, resonant, cosine, sine = slope.linear
    twice = 2 * resonant
    if slope.prior is not None:
        turn = 4 / TAIL * slope.prior * slope.prior
        pp, pq, qq = pp - turn * theta[1] * theta[1], pq - turn * theta[1] * theta[2], qq - turn * theta[2] * theta[2]
    matrix = (xx - 2 * total, xp - cosine, xq - sine, pp - twice, pq, qq - twice)
    known = None if problem.prediction is None else predicted_information(problem, theta)
    if known is not None:
        matrix = tuple(one + other for one, other in zip(matrix, known, strict=True))
    step, concave = solved(matrix, gradient)
    if not bool(concave.all()):
        odd = (~concave).nonzero()[:, 0]
        xx, xp, xq, pp, pq, qq = curvature(times(problem.products, slope.weight[:, odd]), theta[:, odd])
        load = _LOADING * (xx + pp + qq) + 1e-300
        bend = load if slope.prior is None else load + 2 * slope.prior[odd]
        matrix = (xx + load, xp, xq, pp + bend, pq, qq + bend)
        if known is not None:
            matrix = tuple(one + other for one, other in zip(matrix, known[:, odd], strict=True))
        step[:, odd] = solved(matrix, gradient[:, odd])[0]
    return step, concave


def curvature(normal: Float[Tensor, "10 point"], theta: Float[Tensor, "3 point"]) -> tuple[Tensor, ...]:
    """J'HJ with J the derivatives of the linear unknowns by x, p, q: xx, xp, xq, pp, pq, qq."""
    x, p, q = theta
    x2, p2, q2 = 2 * x, 2 * p, 2 * q
    h00, h01, h02, h03, h11, h12, h13, h22, h23, h33 = normal
    columns = ((h00, h02, h03), (h01, h12, h13), (h02, h22, h23), (h03, h23, h33))
    by_x = [torch.addcmul(torch.addcmul(x2 * first, p, second), q, third) for first, second, third in columns]
    xx = torch.addcmul(torch.addcmul(x2 * by_x[0], p, by_x[2]), q, by_x[3])
    xp, xq = torch.addcmul(p2 * by_x[1], x, by_x[2]), torch.addcmul(q2 * by_x[1], x, by_x[3])
    p_1, p_2, p_3 = (torch.addcmul(p2 * one, x, two) for one, two in ((h11, h12), (h12, h22), (h13, h23)))
    q_1, q_3 = torch.addcmul(q2 * h11, x, h13), torch.addcmul(q2 * h13, x, h33)
    pp, pq = torch.addcmul(p2 * p_1, x, p_2), torch.addcmul(q2 * p_1, x, p_3)
    return xx, xp, xq, pp, pq, torch.addcmul(q2 * q_1, x, q_3)


def solved(matrix: Sequence[Tensor], right: Float[Tensor, "3 point"]) -> tuple[Tensor, Bool[Tensor, "point"]]:
    """Solve symmetric 3x3 systems xx, xp, xq, pp, pq, qq; the flag says which matrices are positive definite."""
    xx, xp, xq, pp, pq, qq = matrix
    below, last = xp / xx, xq / xx
    pivot = pp - below * xp
    cross = pq - last * xp
    under = cross / pivot
    end = qq - last * xq - under * cross
    first, second, third = right
    second = second - below * first
    third = (third - last * first - under * second) / end
    second = second / pivot - under * third
    step = torch.stack([first / xx - below * second - last * third, second, third])
    return step, (xx > 0) & (pivot > 1e-12 * pp) & (end > 1e-12 * qq)
