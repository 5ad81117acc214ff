"""Predictions and their meeting with counts: dense algebra, closed forms, finite differences, Monte Carlo."""

import math

import pytest
import torch
from scipy.stats import rice
from torch.testing import assert_close

from madpipe.mad.fit.belief import DEGREES, Belief, log_determinant, product, quadratic
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.fit.likelihood import PAIRS
from madpipe.mad.forward import design_matrix
from madpipe.mad.network.posterior import modulus_moments, moments, refined, shortened

TRIANGLE = [(i, j) for i in range(3) for j in range(i, 3)]
ALGEBRA = {"rtol": 1e-11, "atol": 1e-12}  # a hundred roundings of float64, matrices of condition 1e3 at most
DRAWS = 200_000


def entries(matrices):
    """xx, xa, xb, aa, ab, bb of (point, 3, 3)."""
    return torch.stack([matrices[:, i, j] for i, j in TRIANGLE])


def dense(six):
    """(point, 3, 3) from six entries."""
    matrix = torch.empty(six.shape[1], 3, 3)
    for one, (i, j) in zip(six, TRIANGLE, strict=True):
        matrix[:, i, j] = matrix[:, j, i] = one
    return matrix


def positive(points, rng):
    """Positive definite matrices, (point, 3, 3), no two entries alike."""
    root = torch.randn(points, 3, 3, generator=rng)
    return root @ root.mT + 0.1 * torch.eye(3)


def some_theta(points, rng):
    """x near 1, |F_A| up to 0.8 of it, any phase."""
    modulus = 0.2 + 0.6 * torch.rand(points, generator=rng)
    phase = 2 * math.pi * torch.rand(points, generator=rng)
    x = 0.8 + 0.4 * torch.rand(points, generator=rng)
    return torch.stack([x, modulus * phase.cos(), modulus * phase.sin()])


def counted(theta, weight):
    """Normal matrix and right-hand side of counts without noise: (10, point), (4, point), and H dense."""
    ratio = torch.complex(torch.linspace(-0.45, -0.25, 6), torch.tensor([0.02, 0.03, 0.1, 0.18, 0.19, 0.2]))
    rows = design_matrix(ratio)
    matrix = weight * rows.T @ rows
    normal = torch.stack([matrix[i, j] for i, j in PAIRS])[:, None].expand(10, theta.shape[1])
    return normal, matrix @ unknowns(theta), matrix


def jacobian(theta):
    """Derivatives of the linear unknowns, (point, 4, 3)."""
    return torch.stack([torch.func.jacrev(unknowns)(one[:, None])[:, 0, :, 0] for one in theta.T])


def test_six_entries_are_a_symmetric_matrix(rng):
    matrix, vector = positive(50, rng), torch.randn(50, 3, generator=rng)
    six = entries(matrix)
    assert_close(product(six, vector.T), (matrix @ vector[..., None])[..., 0].T, **ALGEBRA)
    assert_close(quadratic(six, vector.T), torch.einsum("pi,pij,pj->p", vector, matrix, vector), **ALGEBRA)
    assert_close(log_determinant(six), torch.logdet(matrix), **ALGEBRA)


def test_strength_is_minus_the_slope_of_the_log_density_per_distance(rng):
    """-d ln t / d theta = strength P (theta - m), t Student's density of three variables."""
    prediction = Belief(torch.randn(3, 20, generator=rng), entries(positive(20, rng)))
    theta = torch.randn(3, 20, generator=rng).requires_grad_()
    distance = quadratic(prediction.precision, theta - prediction.mean)
    (0.5 * (DEGREES + 3) * torch.log1p(distance / DEGREES)).sum().backward()
    by_hand = prediction.strength(theta) * product(prediction.precision, theta - prediction.mean)
    assert_close(theta.grad, by_hand.detach(), **ALGEBRA)
    assert_close(prediction.strength(prediction.mean), torch.full((20,), 1 + 3 / DEGREES), **ALGEBRA)


def test_part_keeps_points_together(rng):
    prediction = Belief(torch.randn(3, 9, generator=rng), torch.randn(6, 9, generator=rng))
    which = torch.tensor([4, 1])
    assert torch.equal(prediction.part(which).mean, prediction.mean[:, [4, 1]])
    assert torch.equal(prediction.part(slice(2, 5)).precision, prediction.precision[:, 2:5])


def test_without_a_prediction_exact_counts_give_the_truth(rng):
    truth = some_theta(200, rng)
    normal, right, _ = counted(truth, 1e4)
    start = truth + 0.02 * torch.randn(3, 200, generator=rng)
    found, _ = refined(Belief(start, 1e-9 * entries(torch.eye(3).expand(200, 3, 3))), normal, right, 20)
    # the pull of the prediction, 1e-9 over the least information, some 1; rounding times the condition number 1e6
    assert_close(found, truth, rtol=0, atol=1e-8)


def test_a_sharp_prediction_is_the_answer(rng):
    mean = some_theta(100, rng)
    normal, right, _ = counted(mean + 0.1, 1e2)
    found, _ = refined(Belief(mean, 1e9 * entries(torch.eye(3).expand(100, 3, 3))), normal, right, 10)
    assert_close(found, mean, rtol=0, atol=1e2 * 10 / 1e9)  # gradient of the counts over the precision


def test_the_answer_is_where_the_gradient_vanishes(rng):
    """Counts and prediction disagree by some standard errors of each; the gradient is autograd's."""
    truth = some_theta(50, rng)
    normal, right, matrix = counted(truth, 300.0)
    prediction = Belief(truth + 0.1 * torch.randn(3, 50, generator=rng), 30 * entries(positive(50, rng)))
    found, _ = refined(prediction, normal, right, 300)

    def cost(theta):
        u = unknowns(theta)
        misfit = 0.5 * (u * (matrix @ u)).sum(0) - (right * u).sum(0)
        distance = quadratic(prediction.precision, theta - prediction.mean)
        return (misfit + 0.5 * (DEGREES + 3) * torch.log1p(distance / DEGREES)).sum()

    slope = torch.func.grad(cost)(found)
    known = jacobian(found).mT @ matrix @ jacobian(found)
    newton = torch.linalg.solve(known, slope.T[..., None])[..., 0]
    share = (newton.norm(dim=1) < 1e-6).double().mean()  # Gauss's steps converge linearly where tails are felt
    assert float(share) >= 0.95


def test_derivatives_are_those_of_the_implicit_function(rng):
    truth = some_theta(3, rng)
    normal, right, _ = counted(truth, 1e2)
    precision = 50 * entries(positive(3, rng))

    def answer(mean, right, normal):
        return refined(Belief(mean, precision), normal, right, 30)[0]

    given = [each.clone().requires_grad_() for each in (truth, right, normal)]
    # central differences of 1e-5: third derivatives of order 1e2 leave 1e-8; Gauss's matrix is exact without residuals
    assert torch.autograd.gradcheck(answer, given, eps=1e-5, atol=1e-6, rtol=1e-5)


def test_information_is_that_of_counts_and_prediction(rng):
    truth = some_theta(30, rng)
    normal, right, matrix = counted(truth, 300.0)
    prediction = Belief(truth.clone(), 30 * entries(positive(30, rng)))
    _, information = refined(prediction, normal, right, 3)
    by_hand = jacobian(truth).mT @ matrix @ jacobian(truth) + (1 + 3 / DEGREES) * dense(prediction.precision)
    assert_close(dense(information), by_hand, rtol=1e-9, atol=1e-9 * float(by_hand.abs().max()))


def test_long_steps_are_cut_and_keep_their_direction():
    step = torch.tensor([[3.0, 0.1], [0.0, 0.2], [4.0, 0.0]])
    assert_close(shortened(step), torch.tensor([[0.3, 0.1], [0.0, 0.2], [0.4, 0.0]]), **ALGEBRA)


@pytest.mark.parametrize(("distance", "accuracy"), [(0.0, 0.03), (1.0, 0.03), (2.0, 0.02), (3.0, 0.005), (6.0, 1e-6)])
def test_modulus_of_a_round_cloud_is_rice_s(distance, accuracy):
    sigma = 0.7
    zero, square = torch.zeros(1), torch.tensor([sigma**2])
    mean, deviation = modulus_moments(torch.tensor([distance * sigma]), zero, square, zero, square)
    expected = rice(distance) if distance else rice(1e-9)
    assert float(mean) == pytest.approx(sigma * expected.mean(), abs=accuracy * sigma)
    assert float(deviation) == pytest.approx(sigma * expected.std(), abs=3 * accuracy * sigma)


def test_second_moment_of_a_modulus_is_exact(rng):
    real, imag = torch.randn(2, 40, generator=rng)
    root = torch.randn(40, 2, 2, generator=rng)
    spread = root @ root.mT
    mean, deviation = modulus_moments(real, imag, spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1])
    second = real.square() + imag.square() + spread[:, 0, 0] + spread[:, 1, 1]
    assert_close(mean.square() + deviation.square(), second, **ALGEBRA)


def test_moments_of_moduli_agree_with_draws(rng):
    """Any ellipse, any correlation of x with a and b: |F_N| = |x - a - ib| feels all six entries."""
    points = 6
    covariance = 0.05 * positive(points, rng)
    theta = some_theta(points, rng)
    noise = torch.randn(points, DRAWS, 3, generator=rng) @ torch.linalg.cholesky(covariance).mT
    x, a, b = (theta.T[:, None] + noise).movedim(-1, 0)
    columns = moments(theta, entries(covariance))
    xx, xa, xb, aa, ab, bb = entries(covariance)
    resonant, normal = (*theta[1:], aa, ab, bb), (theta[0] - theta[1], -theta[2], xx - 2 * xa + aa, ab - xb, bb)
    for name, modulus, parts in (
        ("f_resonant", torch.hypot(a, b), resonant),
        ("f_normal", torch.hypot(x - a, b), normal),
    ):
        sigma = modulus.std(1)
        deviation = modulus_moments(*parts)[1]
        # the quadrature's 3 % of the larger axis, and four errors of the draws
        largest = (covariance.diagonal(dim1=1, dim2=2).sum(1) * 3).sqrt()
        assert bool(((columns[name] - modulus.mean(1)).abs() < 0.03 * largest + 4 * sigma / DRAWS**0.5).all())
        assert bool(((deviation - sigma).abs() < 0.09 * largest + 4 * sigma / DRAWS**0.5).all())
        square, both = parts[0] ** 2 + parts[1] ** 2, parts[2] + parts[4]
        weight = torch.exp(-square / (2 * both))
        assert_close(columns[f"{name}_errors"].square(), (1 - weight) * deviation**2 + weight * both, **ALGEBRA)


@pytest.mark.parametrize("sigma", [0.01, 1.0])
def test_what_is_absent_is_within_its_error_of_zero(rng, sigma):
    """No resonant, or no other atoms: a prediction that knows as much as the counts leaves half of their noise."""
    points = 4000
    x, noise = torch.ones(points), sigma * math.sqrt(0.5) * torch.randn(2, points, generator=rng)
    one, zero = torch.full((points,), sigma**2), torch.zeros(points)
    without_resonant = moments(torch.stack([x, *noise]), torch.stack([one, zero, zero, one, zero, one]))
    # x - a and b vary by sigma: x and a have half of the variance each
    shared = torch.stack([one / 2, zero, zero, one / 2, zero, one])
    without_other = moments(torch.stack([x, 1 + noise[0], noise[1]]), shared)
    for columns, name in ((without_resonant, "f_resonant"), (without_other, "f_normal")):
        # a standard deviation of a modulus is at most 1 / 1.91 of its mean: with that as the error none would be
        assert float((columns[name] < 1.9 * columns[f"{name}_errors"]).double().mean()) > 0.95


def test_sharp_moments_are_those_of_first_order(rng):
    theta, covariance = some_theta(50, rng), entries(1e-10 * positive(50, rng))
    sharp, linear = moments(theta, covariance), structure_factors(theta, covariance, exact=True)
    for name, values in linear.items():
        # the second order is covariance over the modulus, 0.05 at least: 1e-9 / 0.05^2, and for its
        # error the difference of squares that are 1e10 times as large: 1e10 * 2e-16
        assert_close(sharp[name], values, rtol=1e-4 if name.endswith("errors") else 1e-6, atol=1e-12)
