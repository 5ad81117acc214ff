"""What training minimises: Student's density, either sign of the truth, weights, and each optional term."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import multivariate_t
from torch.testing import assert_close

from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.belief import DEGREES, Belief
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.network.design.frames import normal_matrix
from madpipe.mad.network.design.sums import Seen, brightness, design_rows, mean_normal, own_sums, windowed
from madpipe.mad.network.loss import WEIGHTINGS, Target, frame_weights, network_loss, scaled_deviance, surprise

F_PRIME, F_DOUBLE_PRIME, F0 = (-5.8, -6.6, -9.0, -6.5, -6.0), (0.5, 0.6, 2.1, 3.8, 3.8), 20.5
SHAPE = (2, 9, 7)  # frames of 9 x 7 points
POINTS = 2 * 9 * 7
DIAGONAL = torch.tensor([1.0, 0, 0, 1, 0, 1], dtype=torch.float64)[:, None]


def case(rng, photons=1e3, noise=True):
    """Frames of points of any phase, |F_A| / |F_T| in 0.4 to 0.8: (seen, target, r^2)."""
    modulus = 0.4 + 0.4 * torch.rand(POINTS, generator=rng)
    phase = 6.3 * torch.rand(POINTS, generator=rng)
    size = (photons * (0.1 + torch.rand(POINTS, generator=rng))).sqrt()
    theta = size * torch.stack([torch.ones(POINTS), modulus * phase.cos(), modulus * phase.sin()])
    f = [torch.tensor(each).expand(2, -1) for each in (F_PRIME, F_DOUBLE_PRIME)]
    rows = design_rows(*f, torch.full((2,), F0))
    expected = torch.einsum("bki,ibyx->bkyx", rows, unknowns(theta).reshape(4, *SHAPE))
    counts = torch.poisson(expected, generator=rng) if noise else expected
    exposure = torch.ones(2, 5)
    own = own_sums(counts, torch.ones(SHAPE), torch.zeros(SHAPE), exposure, rows)
    seen = Seen(windowed(own), mean_normal(rows, exposure), volume=False)
    return seen, Target(theta, expected, rows), brightness(seen.sums)[0]


def said(theta, intensity, width=0.1):
    """A prediction of some theta, in units of r, with its error."""
    scaled = theta / intensity.flatten().sqrt()
    return Belief(scaled, DIAGONAL.expand(6, POINTS) / width**2)


def loss_of(prediction, seen, target, level, **changes):
    return network_loss([(prediction, level)], seen, target, TrainConfig(**changes))


def positive(points, rng):
    root = torch.randn(points, 3, 3, generator=rng)
    return root @ root.mT + 0.1 * torch.eye(3)


@pytest.mark.parametrize("degrees", [DEGREES, 30.0])
def test_surprise_is_minus_the_log_of_student_s_density(rng, degrees):
    matrix, mean, truth = positive(30, rng), torch.randn(3, 30, generator=rng), torch.randn(3, 30, generator=rng)
    six = torch.stack([matrix[:, i, j] for i in range(3) for j in range(i, 3)])
    found = surprise(mean, six, truth, degrees)
    law = [
        multivariate_t(loc=mean[:, k].numpy(), shape=torch.linalg.inv(matrix[k]).numpy(), df=degrees) for k in range(30)
    ]
    exact = torch.tensor([-float(one.logpdf(truth[:, k].numpy())) for k, one in enumerate(law)])
    assert_close(found - found[0], exact - exact[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "changes", [{}, {"loss": "squared"}, {"loss": "squared", "weighting": "fisher"}, {"resonant": 1.0}], ids=str
)
def test_both_signs_of_the_truth_are_the_same_structure_factors(rng, changes):
    seen, target, intensity = case(rng)
    prediction = said(target.theta * (1 + 0.1 * torch.randn(3, POINTS, generator=rng)), intensity)
    some = torch.where(torch.rand(POINTS, generator=rng) < 0.5, -1.0, 1.0)
    plain, turned = (
        loss_of(prediction, seen, replace(target, theta=theta), intensity, **changes)[0]
        for theta in (target.theta, some * target.theta)
    )
    assert_close(plain, turned, rtol=1e-9, atol=1e-12)


def test_truth_comes_from_complex_structure_factors(rng):
    f_total, f_resonant = torch.randn(2, 1, 4, 3, generator=rng, dtype=torch.complex128)
    target = Target.of(f_total, f_resonant, torch.ones(1, 5, 4, 3), torch.ones(1, 5, 4))
    x, a, b = target.theta
    assert_close(x, f_total.abs().flatten(), rtol=1e-12, atol=0)
    assert_close(torch.complex(a, b), (f_total / f_total.abs() * f_resonant.conj()).flatten(), rtol=1e-12, atol=1e-12)
    dark = Target.of(torch.zeros_like(f_total), f_resonant, torch.ones(1, 5, 4, 3), torch.ones(1, 5, 4))
    assert bool(dark.theta.isfinite().all())


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_weights_sum_to_one_where_it_was_measured(rng, weighting):
    expected = 100 * torch.rand(2, 5, 4, 6, generator=rng)
    good = torch.rand(2, 4, 6, generator=rng) < 0.7
    weight = frame_weights(expected, good, weighting)
    assert_close(weight.sum((1, 2)), torch.ones(2), rtol=1e-12, atol=0)
    assert not bool(weight[~good].any())
    mean = expected.mean(1)
    by_hand = {"uniform": mean**0, "sqrt": mean**0.5, "log": (1 + mean).log(), "sigma": 1 + mean, "fisher": mean**0}
    share = (weight / by_hand[weighting])[0][good[0]]
    assert_close(share, share[0].expand_as(share), rtol=1e-9, atol=0)
    assert not bool(frame_weights(expected, torch.zeros_like(good), weighting).any())


def test_fisher_weights_are_the_information_s_quadratic_form(rng):
    seen, target, intensity = case(rng)
    off = 0.05 * torch.randn(3, POINTS, generator=rng)
    truth = target.theta / intensity.flatten().sqrt()
    prediction = Belief(truth + off, 1e3 * DIAGONAL.expand(6, POINTS))
    _, terms = loss_of(prediction, seen, target, intensity, loss="squared", weighting="fisher")
    normal = normal_matrix(seen, intensity)
    values, traces = torch.zeros(POINTS), torch.zeros(POINTS)
    for point in range(POINTS):
        matrix = torch.zeros(4, 4)
        for entry, (i, j) in zip(normal[:, point], torch.combinations(torch.arange(4), 2, True).tolist(), strict=True):
            matrix[i, j] = matrix[j, i] = entry
        x, a, b = truth[:, point]
        zero = torch.zeros(())
        slopes = torch.stack(
            [torch.stack(row) for row in ((2 * x, zero, zero), (zero, 2 * a, 2 * b), (a, x, zero), (b, zero, x))]
        )
        information = slopes.T @ matrix @ slopes
        values[point] = off[:, point] @ information @ off[:, point]
        traces[point] = information.trace()
    frames, sums = values.reshape(2, -1), traces.reshape(2, -1).mean(1)
    assert_close(terms["squared"], (frames.mean(1) / sums).mean(), rtol=1e-9, atol=0)


def test_squared_errors_leave_the_means_to_the_squares(rng):
    seen, target, intensity = case(rng)
    mean = (target.theta / intensity.flatten().sqrt() + 0.1).requires_grad_()
    precision = DIAGONAL.expand(6, POINTS).clone().requires_grad_()
    _, terms = loss_of(Belief(mean, precision), seen, target, intensity, loss="squared")
    assert set(terms) == {"squared", "errors"}
    assert_close(terms["squared"], torch.tensor(3 * 0.01), rtol=1e-9, atol=0)
    terms["errors"].backward()
    assert mean.grad is None
    assert bool(precision.grad.any())


def test_intensity_term_is_zero_at_the_truth_alone(rng):
    seen, target, intensity = case(rng)
    right, wrong = (said(scale * target.theta, intensity) for scale in (1.0, 1.1))
    at_truth = loss_of(right, seen, target, intensity, intensity=1.0)[1]["intensity"]
    assert abs(float(at_truth)) < 1e-10  # rounding of the deviance's three terms of order 1
    assert float(loss_of(wrong, seen, target, intensity, intensity=1.0)[1]["intensity"]) > 1e-3


def test_deviance_is_poisson_s():
    expected = torch.tensor([0.0, 1.0, 3.0])
    by_hand = 2 * ((expected + 1e-3) * ((expected + 1e-3) / (2 + 1e-3)).log() - expected + 2)
    assert_close(scaled_deviance(expected, torch.full((3,), 2.0)), by_hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("photons", [3.0, 1e3])
def test_corrected_term_prefers_the_truth(rng, photons):
    seen, target, intensity = case(rng, photons)
    wrong = target.theta + photons**0.5 * 0.3 * torch.randn(3, POINTS, generator=rng)
    right, other = (loss_of(said(theta, intensity), seen, target, intensity)[1] for theta in (target.theta, wrong))
    assert float(right["corrected"]) < float(other["corrected"])
    assert float(right["predicted"]) < float(other["predicted"])


def test_bright_counts_correct_a_wrong_prediction(rng):
    seen, target, intensity = case(rng, 1e6)
    wrong = said(1.1 * target.theta, intensity, 0.03)
    terms = loss_of(wrong, seen, target, intensity)[1]
    right = loss_of(said(target.theta, intensity, 0.03), seen, target, intensity)[1]
    gap = {name: float(terms[name] - right[name]) for name in terms}
    assert 0 <= gap["corrected"] < 0.1 * gap["predicted"]


def test_terms_are_weighted_and_earlier_passes_count_less(rng):
    seen, target, intensity = case(rng)
    first, second = said(target.theta, intensity), said(1.05 * target.theta, intensity)
    config = TrainConfig(corrected=0.7, predicted=0.2, resonant=0.5, intensity=0.3)
    total, terms = network_loss([(second, intensity)], seen, target, config)
    by_hand = sum(getattr(config, name) * value for name, value in terms.items())
    assert set(terms) == {"corrected", "predicted", "resonant", "intensity"}
    assert_close(total, by_hand, rtol=1e-12, atol=0)
    alone = network_loss([(first, intensity)], seen, target, config)[0]
    both = network_loss([(first, intensity), (second, intensity)], seen, target, config)[0]
    assert_close(both, total + 0.3 * alone, rtol=1e-12, atol=0)


def test_circle_and_resonant_terms_by_hand(rng):
    seen, target, intensity = case(rng)
    circle = 0.5 + torch.rand(POINTS, generator=rng)
    x, a, b = target.theta
    prediction = said(torch.stack([x, 1.5 * a, 1.5 * b]), intensity, 1.0)._replace(circle=circle)
    terms = loss_of(prediction, seen, target, intensity, circle=1.0, resonant=1.0)[1]
    assert_close(terms["circle"], (circle - 1).square().mean(), rtol=1e-9, atol=0)
    off = 0.5 * torch.hypot(a, b) / intensity.flatten().sqrt()
    assert_close(terms["resonant"], off.square().mean(), rtol=1e-6, atol=0)
