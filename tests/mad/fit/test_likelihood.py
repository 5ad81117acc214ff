"""The likelihood with its weak prior on |F_A|: what it pulls, what it tells, and Newton's steps, by differences."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.fit.exact import _global_optimum, covariance, expected_photons, fisher_information, solve
from madpipe.mad.fit.likelihood import climb, gradient_at, problem_of, slope_at
from madpipe.mad.measurement import without_counts
from madpipe.mad.noise_law import NoiseLaw

# Chantler, Ni K, 8313 .. 8348 eV in steps of 5 (xraydb 4.5)
F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52
BREADTH = 10.0


def drawn(points, photons, rng, background=0.0):
    """Counts of points with |F_A|/|F_T| in 0.6 .. 1.1, any phase, so many photons per energy: (measurement, truth)."""
    ratio, phase = 0.6 + 0.5 * torch.rand(points, generator=rng), 2 * math.pi * torch.rand(points, generator=rng)
    truth = torch.stack([torch.ones(points), ratio * phase.cos(), ratio * phase.sin()])
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, points)
    truth = truth * (photons / expected_photons(empty, truth).mean(0)).sqrt()
    level = torch.full((8, points), background) if background else None
    counts = torch.poisson(expected_photons(empty, truth) + background, generator=rng)
    return replace(empty, intensity=counts, background=level), truth


def prior_scale(data):
    """s of the prior (1 + |F_A|^2 / s)^-2: ten times a pure resonant element's |F_A|^2 [photon]."""
    bright = (data.intensity.sum(0) + 1) / 8
    pure = sum((F0 + f1) ** 2 + f2**2 for f1, f2 in zip(F_PRIME, F_DOUBLE_PRIME, strict=True)) / 8
    return BREADTH * bright * F0**2 / pure


def log_posterior(data, parameters):
    """Sum over all points: Poisson's likelihood and the prior."""
    mu = expected_photons(data, parameters)
    prior = -2 * torch.log1p(parameters[1:].square().sum(0) / prior_scale(data))
    return (torch.xlogy(data.intensity, mu) - mu).sum() + prior.sum()


def dense(six):
    """(point, 3, 3) from xx, xa, xb, aa, ab, bb."""
    xx, xa, xb, aa, ab, bb = six
    return torch.stack([xx, xa, xb, xa, aa, ab, xb, ab, bb]).T.reshape(-1, 3, 3)


def slope_of(function, theta):
    """Derivative by autograd."""
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(function(theta), theta)[0]


def lit(data, parameters):
    """Points all of whose channels are above the floor of the weights, a thousandth of the brightness."""
    return (expected_photons(data, parameters) > 2e-3 * (data.intensity.sum(0) + 1) / 8).all(0)


@pytest.mark.parametrize("photons", [30.0, 100.0])
def test_the_prior_moves_every_point_that_it_would_move_by_a_tenth_of_an_error(rng, photons):
    """The slope of the posterior at the answer, by autograd, in standard errors: 0 where moved, else 0.1 at most."""
    data, _ = drawn(4000, photons, rng)
    solution = solve(data)
    slope = slope_of(lambda theta: log_posterior(data, theta), solution.parameters).T[..., None]
    bound = torch.linalg.inv(dense(fisher_information(data, solution.parameters)))
    left = (slope.mT @ bound @ slope)[:, 0, 0].sqrt()[lit(data, solution.parameters) & solution.certified]
    assert left.max() < 0.1 + 1e-3  # the search stops 1e-3 standard errors from the maximum at most
    assert (left < 1e-3).any()  # moved
    assert (left > 1e-2).any() == (photons > 50)  # left alone


def test_where_the_prior_moves_a_point_its_slope_is_information(rng):
    r"""Twice its slope by |F_A|^2, :math:`4 / (s + |F_A|^2)`, on both parts of F_A."""
    data, _ = drawn(2000, 3.0, rng)
    solution = solve(data)
    information = fisher_information(data, solution.parameters)
    a, b = solution.parameters[1:]
    added = 4 / (prior_scale(data) + a * a + b * b)
    pull = torch.stack([torch.zeros_like(a), added * a, added * b], 1)[..., None]
    felt = (pull.mT @ dense(covariance(information)) @ pull)[:, 0, 0].sqrt()
    information[[3, 5]] += added
    chosen = (felt > 0.2) & solution.certified & (solution.parameters[0] ** 2 > 100 * 0.25 / 8)
    assert chosen.sum() > 200
    # the polish, one step of scoring, moves the answer after its information was taken: 1e-3 standard errors
    assert_close(solution.covariance[:, chosen], covariance(information)[:, chosen], rtol=1e-2, atol=1e-6)


def test_a_dark_point_is_judged_at_a_quarter_of_a_photon(rng):
    """Information on |F_T| with a background b: 4 x^2 / (x^2 + b) a channel at x^2 = 1/4 / 8, and the wide prior."""
    b, square = 0.5, 0.25 / 8
    data, _ = drawn(1, 1.0, rng, background=b)
    found = fisher_information(data, torch.zeros(3, 1))
    assert found[0].item() == pytest.approx(8 * 4 * square / (square + b) + 0.01 / (2 * square), rel=1e-9)


def test_the_prior_draws_the_global_optimum_to_a_smaller_resonant_part(rng):
    """At the weights of some parameters the best cone point has less prior and more misfit than without one."""
    data, truth = drawn(300, 10.0, rng)
    theta = truth / data.reduction()
    with_prior, without = (problem_of(data, breadth) for breadth in (BREADTH, 0.0))
    slope = slope_at(with_prior, theta)
    found, plain = _global_optimum(with_prior, theta), _global_optimum(without, theta)

    def objective(trial):
        off = data.net() - expected_photons(data, trial * data.reduction())
        return 0.5 * (slope.weight * off * off).sum(0) + slope.prior * trial[1:].square().sum(0)

    # what Newton's four steps leave is far below a standard error, hence of half a chi-square
    for factor in (0.97, 1.03):
        for row in range(3):
            trial = found.clone()
            trial[row] *= factor
            assert (objective(trial) > objective(found) - 1e-3).all()
    assert (objective(found) <= objective(plain) + 1e-3).all()
    assert (found[1:].norm(dim=0) < plain[1:].norm(dim=0) + 1e-6).all()


@pytest.mark.parametrize("variance", [(0.0, 1.0, 0.0), (4.0, 0.0, 0.01)])
@pytest.mark.parametrize("breadth", [0.0, 0.3])
def test_newton_s_steps_converge_quadratically(rng, variance, breadth):
    """From a thousandth beside two steps leave what rounding does: the curvature is the gradient's slope."""
    data, truth = drawn(500, 300.0, rng)
    problem = problem_of(replace(data, noise=NoiseLaw(*variance)), breadth)
    best, settled, _ = climb(problem, truth / data.reduction(), 100, 1e-12)
    assert settled.double().mean() > 0.95
    start = best * (1 + 1e-3 * torch.randn(best.shape, generator=rng))
    ends = [climb(problem, start, steps, 1e-30)[0] for steps in (1, 2)]
    off = [(end - best).norm(dim=0) / (start - best).norm(dim=0) for end in ends]
    ordinary = settled & lit(data, best * data.reduction())
    # the error is squared, relative to how far the curvature reaches, some 10 % of the unknowns: 1e-2 and 1e-4 left
    assert off[0][ordinary].median() < 1e-2
    assert off[1][ordinary].median() < 1e-5


def test_the_gradient_with_stated_errors_is_the_quasi_likelihood_s(rng):
    """Weights are taken at the model: the slope is that of half the chi-square with its variance held."""
    data, truth = drawn(50, 300.0, rng)
    data = replace(data, noise=NoiseLaw(4.0, 0.5, 0.01))
    problem, theta = problem_of(data, 0.0), 1.02 * truth / data.reduction()
    held = expected_photons(data, theta * data.reduction())
    weight = 1 / (4.0 + 0.5 * held + 0.01 * held**2)

    def half(trial):
        return 0.5 * (weight * (data.intensity - expected_photons(data, trial * data.reduction())) ** 2).sum()

    found = gradient_at(problem, slope_at(problem, theta), theta)
    assert_close(found, -slope_of(half, theta), rtol=1e-9, atol=1e-9 * float(found.abs().max()))
