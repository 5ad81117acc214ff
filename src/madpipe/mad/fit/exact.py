"""The exact solution of the MAD equation in every point, with a certificate that it is the global optimum.

With weights in the ratio of the exposures the problem is solved globally in closed form (:mod:`madpipe.mad.fit.cone`);
two or three Newton steps on the likelihood lead from there to its maximum, where the certificate is checked. Points
that fail it, or that the data hardly determine, climb with a weak prior on |F_A|.

Inside, p + iq = |F_A/f0| exp(i Delta_phi): then the design matrix is the same for every point, and normal matrices are
matrix products. All the rest is plain arithmetic on (component, point), no library call per point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.base import runtime
from madpipe.mad.fit.cone import CONE, constrained_least_squares, is_positive, parameters_on, unknowns
from madpipe.mad.fit.likelihood import PAIRS, TAIL, Problem, Slope, climb, curvature, gradient_of, problem_of, slope_at
from madpipe.mad.measurement import Measurement
from madpipe.physics.sums import added, times

_TILE = 1 << 16  # points at once: a column fits the processor's cache; tiles are solved side by side
_TILE_ON_DEVICE = 1 << 20
_FEW_STEPS = 5  # on a tile; what has not settled by then goes on together with the other tiles' stragglers
_CERTIFICATE = 1e-12  # rounding allowed in H + lambda M >= 0, relative to the diagonal of H
_PULL = 0.1  # standard errors by which the prior may move a point that does without it
_USUAL_SHARE = 0.1  # of the prior's scale: a usual |F_A/f0|^2, where the start has less
_TYPICAL_F0 = 20.0  # electron; where nothing depends on it but which way a point takes first
_PLACE = {pair: place for place, (i, j) in enumerate(PAIRS) for pair in ((i, j), (j, i))}


@dataclass(frozen=True)
class Solution:
    """Most likely answer per point: x = |F_T|, a + ib = |F_A| exp(i Delta_phi), and what it rests on."""

    parameters: Float[Tensor, "3 point"]  # x, a, b [sqrt(photon)]
    covariance: Float[Tensor, "6 point"]  # xx, xa, xb, aa, ab, bb: inverse Fisher information [photon]
    expected: Float[Tensor, "channel point"]  # [photon], background included
    chi2: Float[Tensor, "point"]
    dof: Float[Tensor, "point"]
    certified: Bool[Tensor, "point"]
    iterations: int


def solve(
    measurement: Measurement, max_iterations: int = 50, tolerance: float = 1e-6, prior_breadth: float = 10.0
) -> Solution:
    r"""Fit every point on its own: the most likely structure factors.

    .. math:: \max_u \sum_k \ln L(I_k \mid \mu_k = \tau_k a_k \cdot u + b_k),\quad u_0 u_1 = u_2^2 + u_3^2

    Parameters
    ----------
    measurement:
        Channels and points; three channels at least must be good, else the point comes out with large errors and
        without certificate.
    max_iterations:
        Newton steps at most.
    tolerance:
        Stop when a point is this close to the maximum, in its standard errors.
    prior_breadth:
        Below some 100 photons a second optimum, where a huge |F_T| and |F_A| cancel, is at times the more likely one,
        or the only one. The prior :math:`(1 + |F_A|^2 / s)^{-2}`, the law of the ratio of two random amplitudes, tells
        them apart; s is this many times the |F_A|^2 that a pure resonant element of the point's brightness would
        have. It chooses the optimum everywhere, and moves it only where that is by more than about 0.1 standard
        errors. 0: none.

    Notes
    -----
    L is Poisson's, or the quasi-likelihood of the measurement's variance at the model. Noise-free data are met to
    rounding times the condition number of the design matrix. ``certified``: no other (|F_T|, |F_A|, Delta_phi) has
    a smaller weighted sum of squares at the final weights, prior included (where the prior does not move the point, to
    within 0.005 of half that sum).
    """
    size = _TILE if measurement.intensity.device.type == "cpu" else _TILE_ON_DEVICE
    tiles = [slice(start, start + size) for start in range(0, len(measurement.f0), size)]
    few = min(_FEW_STEPS, max_iterations)

    def first(tile: slice) -> _End:
        return _first(problem_of(measurement.part(tile), prior_breadth), few, tolerance)

    ends = _joined(runtime.side_by_side(first, tiles))

    def second(some: Tensor) -> _End:
        rest = problem_of(measurement.part(some), prior_breadth)
        return _second(rest, ends.start[:, some], max_iterations, tolerance)

    doubtful = (~(ends.settled & ends.certified & (ends.pull <= _PULL**2))).nonzero()[:, 0]
    parts = doubtful.split(size) if len(doubtful) else ()
    for some, end in zip(parts, runtime.side_by_side(second, parts), strict=True):
        _put(ends, some, end)
    channels = measurement.channels()
    return Solution(
        ends.theta * measurement.reduction(),
        ends.covariance,
        ends.expected,
        ends.chi2,
        (channels - 3).clamp(min=0),
        ends.certified & ends.settled & (channels >= 3),
        int(ends.steps.max()),
    )


def covariance(information: Float[Tensor, "6 point"]) -> Float[Tensor, "6 point"]:
    """Cramer-Rao bound xx, xa, xb, aa, ab, bb [photon] from the Fisher information."""
    xx, xa, xb, aa, ab, bb = information
    sx, sa, sb = xx.rsqrt(), aa.rsqrt(), bb.rsqrt()
    xa, xb, ab = xa * sx * sa, xb * sx * sb, ab * sa * sb  # unit diagonal
    pivot = (1 - xa * xa).clamp(min=1e-14)
    cross = ab - xa * xb
    under = cross / pivot
    last = 1 / (1 - xb * xb - under * cross).clamp(min=1e-14)
    v_ab = -under * last
    v_aa = 1 / pivot - under * v_ab
    v_xa = -xa * v_aa - xb * v_ab
    v_xb = -xa * v_ab - xb * last
    v_xx = 1 - xa * v_xa - xb * v_xb
    return torch.stack([v_xx * sx * sx, v_xa * sx * sa, v_xb * sx * sb, v_aa * sa * sa, v_ab * sa * sb, last * sb * sb])


def fisher_information(measurement: Measurement, parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "6 point"]:
    r"""Information xx, xa, xb, aa, ab, bb, with a prior so wide that it acts only where the data say nothing.

    .. math:: \mathcal I = \sum_k \frac{1}{v_k} \frac{\partial\mu_k}{\partial p} \frac{\partial\mu_k}{\partial p}^T

    Where no photon came it is evaluated at the modulus that gives a quarter of a photon in all, since the
    information on a modulus, 4 tau per channel, does not vanish with it.
    """
    problem = problem_of(measurement, 0.0)
    theta = parameters / measurement.reduction()
    return information_at(problem, theta, times(problem.products, slope_at(problem, theta).weight))


def share_of_pure(measurement: Measurement, parameters: Float[Tensor, "3 point"]) -> float:
    """Median of |F_A|^2 over that of a pure resonant element as bright as the point, from x, a, b."""
    _, a, b = parameters
    pure = measurement.pure_resonant(measurement.brightness()) * measurement.f0.square()
    return float(((a * a + b * b) / pure).median())


def expected_photons(measurement: Measurement, parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "channel point"]:
    """Expected photons without background, from x, a, b."""
    return times(measurement.design()[..., None], unknowns(parameters / measurement.reduction()))


@dataclass(frozen=True)
class _End:
    """Where some points came to, and how sure that is."""

    start: Float[Tensor, "3 point"]  # for a climb with the prior
    theta: Float[Tensor, "3 point"]
    covariance: Float[Tensor, "6 point"]
    expected: Float[Tensor, "channel point"]
    chi2: Float[Tensor, "point"]
    settled: Bool[Tensor, "point"]
    certified: Bool[Tensor, "point"]
    pull: Float[Tensor, "point"]  # squared standard errors by which the prior would move them
    steps: Int[Tensor, "point"]


def _joined(found: Sequence[_End]) -> _End:
    """Put the points of several answers side by side."""
    return _End(**{field.name: torch.cat([getattr(one, field.name) for one in found], -1) for field in fields(_End)})


def _put(ends: _End, which: Int[Tensor, "kept"], new: _End) -> None:
    """Replace some points."""
    for field in fields(_End):
        getattr(ends, field.name)[..., which] = getattr(new, field.name)


def _first(problem: Problem, steps: int, tolerance: float) -> _End:
    """From the optimum with flat weights to the most likely answer, with the prior only where it will be felt."""
    start = flat_optimum(problem)
    weak = _weak(problem, start)
    plain = replace(problem, prior_scale=None)
    if not bool(weak.any()):
        return _end(problem, start, *climb(plain, start, steps, tolerance), weak)
    theta, settled, count = torch.empty_like(start), torch.empty_like(weak), 0
    for some, kind in ((weak, problem), (~weak, plain)):
        which = some.nonzero()[:, 0]
        theta[:, which], settled[which], taken = climb(kind.part(which), start[:, which], steps, tolerance)
        count = max(count, taken)
    return _end(problem, torch.where(weak, theta, start), theta, settled, count, weak)


def _weak(problem: Problem, start: Float[Tensor, "3 point"]) -> Bool[Tensor, "point"]:
    """Where the prior will move a point by more than it may, judged by the error that |F_A| has at any brightness."""
    if problem.prior_scale is None or not problem.measurement.noise.is_poisson:
        return torch.zeros_like(start[0], dtype=torch.bool)
    phase = torch.arange(8, device=start.device) * (torch.pi / 4)
    typical = torch.stack([_TYPICAL_F0 * torch.ones_like(phase), phase.cos(), phase.sin()]).to(start)
    rows = times(problem.products, 1 / times(problem.design, unknowns(typical)))
    error = covariance(torch.stack(curvature(rows, typical)))[3:].mean(-1)[[0, 2]].mean()
    square = torch.maximum(start[1] * start[1] + start[2] * start[2], _USUAL_SHARE * problem.prior_scale)
    felt = 2 * TAIL / (problem.prior_scale + square)
    return felt * felt * square * error > _PULL**2


def _second(problem: Problem, start: Float[Tensor, "3 point"], steps: int, tolerance: float) -> _End:
    """With the prior all the way, and from the global optimum at the present weights where that is another one."""
    moved = torch.ones_like(start[0], dtype=torch.bool)
    end = _end(problem, start, *climb(problem, start, steps, tolerance), moved)
    other = (~(end.certified & end.settled)).nonzero()[:, 0]
    if len(other):
        part = problem.part(other)
        again = _global_optimum(part, end.theta[:, other])
        _put(end, other, _end(part, again, *climb(part, again, steps, tolerance), moved[other]))
    return end


def flat_optimum(problem: Problem) -> Float[Tensor, "3 point"]:
    """Global optimum with weights in the ratio of the exposures: few normal matrices, one per pattern of the mask."""
    measurement = problem.measurement
    flat = 1 / measurement.exposure
    patterns, pattern = flat[:, None], None
    if measurement.good is not None:
        seen, pattern = _patterns(measurement.good)
        patterns = seen * patterns
    slope = times(problem.design.transpose(0, 1) * flat[:, None], problem.net)
    if problem.prior_scale is not None:
        typical = measurement.noise.variance(1e3 * added(problem.least) / len(flat))
        slope[1] -= TAIL * typical / (measurement.exposure.mean() * problem.prior_scale)
    return _on_cone(problem, constrained_least_squares(_matrices(times(problem.products, patterns)), slope, pattern))


def _patterns(good: Bool[Tensor, "channel point"]) -> tuple[Bool[Tensor, "channel pattern"], Int[Tensor, "point"]]:
    """Which sets of channels were measured together, and which of them each point has."""
    bit = torch.arange(len(good), device=good.device)[:, None]
    codes, pattern = torch.unique((good.long() << bit).sum(0), return_inverse=True)
    return (codes >> bit & 1).bool(), pattern


def _global_optimum(problem: Problem, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Global optimum at the weights of some parameters, each point with a normal matrix of its own."""
    slope = slope_at(problem, theta)
    right = times(problem.design.transpose(0, 1), slope.weight * problem.net)
    if slope.prior is not None:
        right[1] -= slope.prior
    pattern = torch.arange(theta.shape[1], device=theta.device)
    return _on_cone(
        problem, constrained_least_squares(_matrices(times(problem.products, slope.weight)), right, pattern)
    )


def _on_cone(problem: Problem, u: Float[Tensor, "4 point"]) -> Float[Tensor, "3 point"]:
    """Parameters of an optimum; no resonant part where it is on the cone's other half, that of negative intensities."""
    count = problem.measurement.total_exposure()
    alone = (added(problem.net).clamp(min=0) / count.clamp(min=1e-30)).sqrt()
    zero = torch.zeros_like(alone)
    return torch.where(u[0] + u[1] > 0, parameters_on(u), torch.stack([alone, zero, zero]))


def _matrices(rows: Float[Tensor, "10 pattern"]) -> Float[Tensor, "pattern 4 4"]:
    """Whole symmetric matrices from their upper triangles."""
    return rows[[_PLACE[i, j] for i in range(4) for j in range(4)]].T.reshape(-1, 4, 4)


def _end(
    problem: Problem,
    start: Float[Tensor, "3 point"],
    theta: Float[Tensor, "3 point"],
    settled: Bool[Tensor, "point"],
    steps: int,
    moved: Bool[Tensor, "#point"],
) -> _End:
    """All that is to be said of some points at their final weights; where the prior moved them it is information."""
    theta = torch.where(theta[0] < 0, -theta, theta)
    slope = slope_at(problem, theta)
    rows = times(problem.products, slope.weight)
    certified = _certificate(slope.linear, rows, theta)
    information = information_at(problem, theta, rows)
    if slope.prior is not None:
        information[[3, 5]] += torch.where(moved, 2 * slope.prior / problem.measurement.f0.square(), 0.0)
    bound = covariance(information)
    chi2 = added(slope.pull * (problem.net - slope.photons))
    return _End(
        start,
        torch.where(settled, _polished(problem, slope, theta, bound, moved), theta),
        bound,
        problem.measurement.with_background(slope.photons),
        chi2,
        settled,
        certified,
        torch.where(moved, 0.0, _prior_pull(slope.prior, theta, bound / problem.measurement.f0.square())),
        torch.full_like(settled, steps, dtype=torch.int64),
    )


def _polished(
    problem: Problem, slope: Slope, theta: Float[Tensor, "3 point"], bound: Float[Tensor, "6 point"], moved: Tensor
) -> Float[Tensor, "3 point"]:
    """One more step, of Fisher scoring, since all that it takes is there: it leaves a tenth of what Newton's left."""
    linear = slope.linear
    if slope.prior is not None:
        linear = torch.cat([linear[:1], (linear[1] + torch.where(moved, 0.0, slope.prior))[None], linear[2:]])
    by_x, by_p, by_q = gradient_of(linear, theta)
    inverse = 1 / problem.measurement.f0
    by_a, by_b = by_p * inverse, by_q * inverse
    xx, xa, xb, aa, ab, bb = bound
    step_p, step_q = (xa * by_x + aa * by_a + ab * by_b) * inverse, (xb * by_x + ab * by_a + bb * by_b) * inverse
    return theta + torch.stack([xx * by_x + xa * by_a + xb * by_b, step_p, step_q])


def _certificate(
    linear: Float[Tensor, "4 point"], rows: Float[Tensor, "10 point"], theta: Float[Tensor, "3 point"]
) -> Bool[Tensor, "point"]:
    """Whether no other point of the cone has a smaller weighted sum of squares, in columns of unit norm.

    With (H + lambda M) u = g: where lambda <= 0, u solves the convex problem u0 u1 >= u2^2 + u3^2 as well, M u being in
    the cone's dual; where lambda > 0, H + lambda M >= 0 is asked for. lambda is the slope along the cone's normal.
    """
    scale = [rows[_PLACE[i, i]].clamp(min=1e-300).rsqrt() for i in range(4)]
    u = unknowns(theta)
    normal = [0.5 * u[1] * scale[0], 0.5 * u[0] * scale[1], -u[2] * scale[2], -u[3] * scale[3]]
    length = added([each * each for each in normal])
    multiplier = sum(linear[i] * scale[i] * normal[i] for i in range(4)) / length.clamp(min=1e-300)
    matrix = [[rows[_PLACE[i, j]] * (scale[i] * scale[j]) for j in range(4)] for i in range(4)]
    for i, j in torch.nonzero(CONE).tolist():
        matrix[i][j] = matrix[i][j] + float(CONE[i, j]) * multiplier * (scale[i] * scale[j])
    return (multiplier <= 0) | is_positive(matrix, _CERTIFICATE)


def _prior_pull(
    prior: Tensor | None, theta: Float[Tensor, "3 point"], bound: Float[Tensor, "6 point"]
) -> Float[Tensor, "point"]:
    """Squared standard errors by which the prior moves a point: its slope's square in the metric of the covariance."""
    if prior is None:
        return torch.zeros_like(theta[0])
    p, q = 2 * prior * theta[1], 2 * prior * theta[2]
    return p * p * bound[3] + 2 * p * q * bound[4] + q * q * bound[5]


def information_at(
    problem: Problem, theta: Float[Tensor, "3 point"], rows: Float[Tensor, "10 point"]
) -> Float[Tensor, "6 point"]:
    """Fisher information on (x, a, b) from H at x, p, q, renewed where dim; see :func:`fisher_information`."""
    measurement = problem.measurement
    floor = 0.25 / measurement.total_exposure().clamp(min=1e-30)
    x, p, q = theta
    here = torch.stack([(x * x + floor).sqrt(), p, q])
    dim = (x * x < 100 * floor).nonzero()[:, 0]
    if len(dim):
        rows[:, dim] = times(problem.products, slope_at(problem.part(dim), here[:, dim]).weight)
    xx, xp, xq, pp, pq, qq = curvature(rows, here)
    inverse = 1 / measurement.f0
    square = inverse * inverse
    wide = 0.01 / (here[0] * here[0] + (p * p + q * q) / square + floor)
    return torch.stack([xx + wide, xp * inverse, xq * inverse, pp * square + wide, pq * square, qq * square + wide])
