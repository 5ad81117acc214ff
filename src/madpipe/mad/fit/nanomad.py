"""The classical peer: NanoMAD's grid of starts and Levenberg-Marquardt least squares, over many points at once.

NanoMAD, a C++ program on ObjCryst++, fits |F_T|, |F_A| and Delta_phi of one Q point after the other. Its steps are
kept here, its weights from the observed counts among them; only the loop over points is gone.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.mad.fit.cone import unknowns
from madpipe.mad.fit.exact import Solution, covariance
from madpipe.mad.measurement import Measurement

_STEPS, _PHASES = 25, 24  # starts: 25 of |F_T|, 25 of |F_A|, 24 of Delta_phi, 15 degrees apart
_CHUNK = 4096  # points fitted side by side: their arrays stay in the processor's cache
_GRID_CHUNK = 64  # points searched side by side: 15000 starts each, 8 MB in all
_ON_DEVICE = 32  # times as many on a GPU: 131072 points and 2048 on the grid, 250 MB
_LIGHT, _HEAVY = 1e-3, 10.0  # first damping of the fit, and of the retry, as a share of the normal matrix' diagonal
_LEAST_DAMPING, _MOST_DAMPING = 1e-9, 1e12
_UNDAMPED = 1e-6  # of the damping: below it a step is Gauss and Newton's, and its length tells the distance left
_ROUNDING = 1e-12  # of a sum of squares: two that differ by less are equal
_PRIOR = 10.0  # prior standard error of a modulus over the modulus: acts only where the data say nothing


@dataclass(frozen=True)
class _Problem:
    """Least squares of some points in (|F_T|, |F_A/f0|, Delta_phi); what was not measured has weight and data 0."""

    design: Float[Tensor, "channel 4"]  # exposure included
    data: Float[Tensor, "channel point"]  # background taken off [photon]
    weight: Float[Tensor, "channel point"]  # 1 / sigma^2 of the observation

    def of(self, points: Int[Tensor, "some"]) -> "_Problem":
        """Give some of the points."""
        return _Problem(self.design, self.data[:, points], self.weight[:, points])


def solve(measurement: Measurement, max_iterations: int = 200, tolerance: float = 1e-6) -> Solution:
    r"""Fit every point on its own as NanoMAD does.

    .. math:: \min_{|F_T|, |F_A|, \Delta\phi} \sum_k (I_k - \mu_k)^2 / \sigma_k^2,\quad \sigma_k^2 = \max(I_k, 1)

    1. Weights from the observed counts; where errors are stated, the error model's variance at the observation.
    2. Start: the best of 25 x 25 x 24 (|F_T|, |F_A|, Delta_phi), and of |F_T| = sqrt(<I>), |F_A| = |F_T| / 10 with
       24 phases. |F_T| runs to 2 sqrt(max I), |F_A| to 2 sqrt(max I) / max |rho|, I over exposure, in equal steps
       without 0, where a phase means nothing. Here a point has maxima of its own; in the original they are the whole
       data set's, a grid too coarse for the weak points of a peak that spans decades. This choice favours the peer.
    3. Levenberg-Marquardt steps to the local minimum, with the analytic Jacobian.
    4. Where |F_T| < |F_A| or |F_T| < \| \|F_A\| min f' cos(Delta_phi) / f0 \|: once more from |F_A| / 4, damped
       heavily; the answer with the smaller sum stays.
    5. A negative modulus becomes positive, Delta_phi gains pi. A point without photons gets 0 and large errors.

    Parameters
    ----------
    measurement:
        Points and channels.
    max_iterations:
        Steps at most, tried ones included, in the fit and in the retry.
    tolerance:
        A point is done when its step is below this share of its standard error.

    Returns
    -------
    :
        ``covariance`` is the inverse of the normal matrix at these weights, with a prior ten times as wide as the
        moduli, so that it is finite; ``chi2`` is the sum minimised, at these weights too; ``certified`` is False.

    Notes
    -----
    Weights that fall with the observation make the fit come out low: where all counts are >= 1, and without
    background, the expected photons of a point sum to the observed less chi2, so five too few with eight energies.

    References
    ----------
    Favre-Nicolin et al., Eur. Phys. J. Spec. Top. 208, 189 (2012), section on MAD; Favre-Nicolin and Cerny, J. Appl.
    Cryst. 35, 734 (2002), ObjCryst++; Marquardt, J. SIAM 11, 431 (1963); Baker and Cousins, Nucl. Instrum. Methods
    221, 437 (1984), on these weights, Neyman's.
    """
    size = _CHUNK * _many(measurement.intensity)
    parts = [
        _solve_part(measurement.part(slice(start, start + size)), max_iterations, tolerance)
        for start in range(0, max(len(measurement.f0), 1), size)
    ]
    parameters, errors, expected, chi2, iterations = zip(*parts, strict=True)
    dof = (measurement.channels() - 3).clamp(min=0)
    return Solution(
        parameters=torch.cat(parameters, dim=-1),
        covariance=torch.cat(errors, dim=-1),
        expected=torch.cat(expected, dim=-1),
        chi2=torch.cat(chi2, dim=-1),
        dof=dof,
        certified=torch.zeros_like(dof, dtype=torch.bool),
        iterations=max(iterations),
    )


def _many(values: Tensor) -> int:
    """How many times the points that a processor's cache holds are worked on at once."""
    return 1 if values.device.type == "cpu" else _ON_DEVICE


def _solve_part(
    measurement: Measurement, max_iterations: int, tolerance: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Parameters, covariance, expected photons, chi-square and iterations of some points."""
    observed = measurement.measured(measurement.intensity)
    variance = _observed_variance(measurement, observed)
    problem = _Problem(measurement.design(), measurement.net(), measurement.measured(1 / variance))
    noise = variance.sqrt().mean(0) / measurement.exposure.mean()  # the |F|^2 that noise makes
    polar, iterations = _fit(problem, noise, measurement, max_iterations, tolerance)
    scaled = torch.where((observed > 0).any(0), _cartesian(polar), 0.0)
    photons = _photons(problem, scaled)
    chi2 = (problem.weight * (problem.data - photons).square()).sum(0)
    scale = measurement.reduction()
    parameters, normal = scaled * scale, _normal(problem, _derivatives(scaled)) / (scale[:, None] * scale)
    bound = _PRIOR**2 * (parameters.square().sum(0) + noise.clamp(min=1e-30))
    row, column = torch.triu_indices(3, 3, device=bound.device)
    information = (normal + torch.eye(3).to(bound)[..., None] / bound)[row, column]
    return parameters, covariance(information), measurement.with_background(photons), chi2, iterations


def _observed_variance(
    measurement: Measurement, observed: Float[Tensor, "channel point"]
) -> Float[Tensor, "channel point"]:
    """Variance read off the observations: max(I, 1) of counts, the error model's where errors are stated."""
    if measurement.noise.is_poisson:
        return observed.clamp(min=1.0)
    variance = measurement.noise.variance(observed.clamp(min=0.0))
    return torch.maximum(variance, 1e-12 * variance.amax(0)).clamp(min=1e-150)


def _fit(
    problem: _Problem, noise: Float[Tensor, "point"], measurement: Measurement, max_iterations: int, tolerance: float
) -> tuple[Float[Tensor, "3 point"], int]:
    """|F_T|, |F_A/f0|, Delta_phi from the best start, tried again where NanoMAD finds the answer suspect."""
    polar = _best_start(problem, noise, measurement.f0)
    polar, chi2, iterations = _least_squares(problem, polar, _LIGHT, max_iterations, tolerance)
    polar = _conventional(polar)
    x, modulus, phase = polar
    doubted = (x < modulus * measurement.f0) | (x < (modulus * measurement.f_prime.min() * phase.cos()).abs())
    suspect = torch.nonzero(doubted)[:, 0]
    if not len(suspect):
        return polar, iterations
    start = torch.stack([x, modulus / 4, phase])[:, suspect]
    again, chi2_again, more = _least_squares(problem.of(suspect), start, _HEAVY, max_iterations, tolerance)
    polar[:, suspect] = torch.where(chi2_again < chi2[suspect], _conventional(again), polar[:, suspect])
    return polar, max(iterations, more)


def _best_start(
    problem: _Problem, noise: Float[Tensor, "point"], f0: Float[Tensor, "point"]
) -> Float[Tensor, "3 point"]:
    """Give the start with the smallest sum, of the grid and of the plain guess."""
    exposure = problem.design[:, :1].clamp(min=1e-30)
    measured = (problem.weight > 0) & (problem.design[:, :1] > 0)
    flux, brightness = (torch.where(measured, part / exposure, 0.0) for part in (problem.data, problem.design[:, 1:2]))
    mean = (flux.sum(0) / measured.sum(0).clamp(min=1)).clamp(min=0)
    largest = 2 * torch.maximum(flux.amax(0), noise).sqrt()
    resonant = largest / brightness.amax(0).sqrt().clamp(min=1e-3)
    guess = torch.maximum(mean, 0.1 * noise).sqrt()
    everywhere, around = _unit_starts(problem.data)
    on_grid, chi2 = _search(problem, torch.stack([largest, resonant]), everywhere)
    plain, chi2_plain = _search(problem, torch.stack([guess, guess / 10 / f0]), around)
    return torch.where(chi2_plain < chi2, plain, on_grid)


def _unit_starts(like: Tensor) -> tuple[Float[Tensor, "3 start"], Float[Tensor, "3 turn"]]:
    """Starts with moduli as shares of their maxima: the whole grid, and the phases alone."""
    share = torch.arange(1, _STEPS + 1).to(like) / _STEPS
    phase = torch.arange(_PHASES).to(like) * (2 * math.pi / _PHASES)
    grid = torch.stack(torch.meshgrid(share, share, phase, indexing="ij")).reshape(3, -1)
    return grid, torch.stack([torch.ones_like(phase), torch.ones_like(phase), phase])


def _search(
    problem: _Problem, maxima: Float[Tensor, "2 point"], starts: Float[Tensor, "3 start"]
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "point"]]:
    r"""Best of some starts and its sum, :math:`I'WI - 2 u \cdot g + u' H u`: one matrix product for all of them."""
    first, second = torch.triu_indices(4, 4, device=starts.device)
    u = unknowns(_cartesian(starts))
    monomials = torch.cat([u, u[first] * u[second]])
    x, modulus = maxima
    scale = torch.stack([x * x, modulus * modulus, x * modulus, x * modulus])
    slope = problem.design.T @ (problem.weight * problem.data) * scale
    curvature = (problem.design[:, first] * problem.design[:, second]).T @ problem.weight
    curvature = curvature * scale[first] * scale[second] * torch.where(first == second, 1.0, 2.0)[:, None]
    terms = torch.cat([-2 * slope, curvature])
    best = [(part.mT @ monomials).min(-1) for part in terms.split(_GRID_CHUNK * _many(terms), dim=-1)]
    constant = (problem.weight * problem.data.square()).sum(0)
    found = starts[:, torch.cat([index for _, index in best])]
    return torch.cat([found[:2] * maxima, found[2:]]), constant + torch.cat([value for value, _ in best])


def _least_squares(
    problem: _Problem, polar: Float[Tensor, "3 point"], damping: float, max_iterations: int, tolerance: float
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "point"], int]:
    """Levenberg and Marquardt's steps, damping per point; points leave the computation as they are done."""
    result, chi2 = polar.clone(), _chi2(problem, polar)
    left = torch.arange(polar.shape[-1], device=polar.device)
    state, load, sums, count = polar, torch.full_like(chi2, damping), chi2.clone(), 0
    while count < max_iterations and len(left):
        step, decrease = _step(problem, state, load)
        candidate = state + step
        after = _chi2(problem, candidate)
        better = after <= sums * (1 + _ROUNDING)
        state, sums = torch.where(better, candidate, state), torch.where(better, after, sums)
        done = ((decrease <= tolerance**2) & (load <= _UNDAMPED)) | (load >= _MOST_DAMPING)
        load = torch.where(better, load / 10, load * 10).clamp(min=_LEAST_DAMPING)
        count += 1
        if done.any():
            result[:, left], chi2[left] = state, sums
            going = torch.nonzero(~done)[:, 0]
            left, state, load, sums, problem = left[going], state[:, going], load[going], sums[going], problem.of(going)
    result[:, left], chi2[left] = state, sums
    return result, chi2, count


def _step(
    problem: _Problem, polar: Float[Tensor, "3 point"], damping: Float[Tensor, "point"]
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "point"]]:
    """Damped step and the decrease of the sum that it promises, in columns of unit norm."""
    derivatives = _polar_derivatives(polar)
    residual = problem.data - _photons(problem, _cartesian(polar))
    gradient = (derivatives * (problem.design.T @ (problem.weight * residual))).sum(1)
    normal = _normal(problem, derivatives)
    scale = normal.diagonal().mT.sqrt().clamp(min=1e-150)  # a vanishing column has a vanishing gradient
    unit = normal / (scale[:, None] * scale)
    scaled = _solve_symmetric(unit + damping * torch.eye(3).to(unit)[..., None], gradient / scale)
    return scaled / scale, (scaled * gradient / scale).sum(0)


def _solve_symmetric(matrix: Float[Tensor, "3 3 point"], right: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Solve matrices of about unit diagonal by L D L^T; pivots that rounding took stay positive."""
    low = torch.finfo(matrix.dtype).eps
    first = matrix[0, 0].clamp(min=low)
    one, two = matrix[1, 0] / first, matrix[2, 0] / first
    second = (matrix[1, 1] - one * matrix[1, 0]).clamp(min=low)
    three = (matrix[2, 1] - two * matrix[1, 0]) / second
    third = (matrix[2, 2] - two * matrix[2, 0] - three.square() * second).clamp(min=low)
    y = right[1] - one * right[0]
    z = (right[2] - two * right[0] - three * y) / third
    y = y / second - three * z
    return torch.stack([right[0] / first - one * y - two * z, y, z])


def _normal(problem: _Problem, derivatives: Float[Tensor, "3 4 point"]) -> Float[Tensor, "3 3 point"]:
    """Product J^T W J of every point, with J = dmu / dp."""
    jacobian = problem.design @ derivatives
    weighted = problem.weight * jacobian
    return torch.stack([torch.stack([(row * column).sum(0) for column in jacobian]) for row in weighted])


def _photons(problem: _Problem, parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "channel point"]:
    """Expected photons without background, from x, a / f0, b / f0."""
    return problem.design @ unknowns(parameters)


def _chi2(problem: _Problem, polar: Float[Tensor, "3 point"]) -> Float[Tensor, "point"]:
    """Give the sum that is minimised."""
    return (problem.weight * (problem.data - _photons(problem, _cartesian(polar))).square()).sum(0)


def _derivatives(parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "3 4 point"]:
    """Derivatives of the linear unknowns by x, a / f0, b / f0."""
    x, a, b = parameters
    zero = torch.zeros_like(x)
    by_x, by_a = torch.stack([2 * x, zero, a, b]), torch.stack([zero, 2 * a, x, zero])
    return torch.stack([by_x, by_a, torch.stack([zero, 2 * b, zero, x])])


def _polar_derivatives(polar: Float[Tensor, "3 point"]) -> Float[Tensor, "3 4 point"]:
    """Derivatives of the linear unknowns by |F_T|, |F_A/f0|, Delta_phi."""
    _, a, b = _cartesian(polar)
    by_x, by_a, by_b = _derivatives(_cartesian(polar))
    cosine, sine = polar[2].cos(), polar[2].sin()
    return torch.stack([by_x, cosine * by_a + sine * by_b, a * by_b - b * by_a])


def _cartesian(polar: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Give x, a, b of two moduli and Delta_phi."""
    x, modulus, phase = polar.unbind(0)
    return torch.stack([x, modulus * phase.cos(), modulus * phase.sin()])


def _conventional(polar: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Make both moduli >= 0: each change of sign adds pi to Delta_phi."""
    x, modulus, phase = polar.unbind(0)
    turns = (x < 0).to(phase) + (modulus < 0).to(phase)
    return torch.stack([x.abs(), modulus.abs(), phase + math.pi * turns])
