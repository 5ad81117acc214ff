"""A prediction meets the counts: flat, sharp and wrong predictions, masks, background, and honest errors."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.fit.belief import DEGREES, Belief, quadratic
from madpipe.mad.fit.exact import covariance, expected_photons, solve
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.fit.likelihood import gradient_at, predicted_information, problem_of, slope_at
from madpipe.mad.measurement import without_counts
from madpipe.mad.network.answer import answer as answer_and_shares

F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)  # Ni K, 8313 to 8348 eV [electron]
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52
MODULI = ("f_total", "f_resonant", "f_normal")


def drawn(points, photons, rng, noise=True, **changes):
    """Points with |F_A| / |F_T| in 0.6 to 1.1, any phase, so many photons per energy: (measurement, truth)."""
    ratio = 0.6 + 0.5 * torch.rand(points, generator=rng)
    phase = (2 * torch.rand(points, generator=rng) - 1) * math.pi
    return exposed(torch.stack([torch.ones(points), ratio * phase.cos(), ratio * phase.sin()]), photons, rng, noise)


def exposed(shape, photons, rng, noise=True, background=0.0):
    """Counts of x, a, b in any unit, so many photons per energy on average: (measurement, x, a, b [sqrt(photon)])."""
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, shape.shape[1])
    truth = shape * (photons / expected_photons(empty, shape).mean(0)).sqrt()
    expected = expected_photons(empty, truth) + background
    counts = torch.poisson(expected, generator=rng) if noise else expected
    level = torch.full_like(counts, background) if background else None
    return replace(empty, intensity=counts, background=level), truth


def predicted(theta, relative, scale):
    """A prediction of x, p, q about x, a, b, its scale ``relative`` of ``scale`` on each of x, a, b."""
    width = relative * scale * torch.ones_like(theta[0])
    zero = torch.zeros_like(width)
    xx, pp = width**-2, (width / F0) ** -2
    return Belief(theta / torch.tensor([1, F0, F0])[:, None], torch.stack([xx, zero, zero, pp, zero, pp]))


def answer(*args, **kwargs):
    """The answer alone."""
    return answer_and_shares(*args, **kwargs)[0]


def truth_columns(truth):
    return structure_factors(truth, torch.ones(6, truth.shape[1]), exact=True)


def miss(columns, truth):
    """Rms distance of F_A and F_N from the truth, over all points."""
    return {name: float((columns[name] - truth_columns(truth)[name]).square().mean().sqrt()) for name in MODULI}


def test_without_information_in_the_prediction_it_is_the_fit(rng):
    data, truth = drawn(500, 1e6, rng)
    found = answer(data, predicted(1.05 * truth, 1e3, 1e3), refine=True)
    fit = solve(data)
    fitted = structure_factors(fit.parameters, fit.covariance)
    for name in MODULI:
        # what is left: the climb's tolerance, and the classical prior, which may move a point by 0.1 standard errors
        assert float(((found[name] - fitted[name]) / fitted[f"{name}_errors"]).abs().max()) < 0.15
        assert_close(found[f"{name}_errors"], fitted[f"{name}_errors"], rtol=0.05, atol=0)
    turn = (found["delta_phi"] - fitted["delta_phi"] + math.pi) % (2 * math.pi) - math.pi
    assert float((turn / fitted["delta_phi_errors"]).abs().max()) < 0.15
    assert_close(found["chi2"], fit.chi2, rtol=0.05, atol=0.05)
    assert torch.equal(found["dof"], torch.full((500,), 5.0))
    assert not bool(found["certified"].any())


def test_a_sharp_right_prediction_beats_the_fit_where_photons_are_few(rng):
    data, truth = drawn(1000, 10.0, rng)
    noisy = truth + 0.1 * 10**0.5 * torch.randn(3, 1000, generator=rng)
    fit = solve(data)
    alone = miss(structure_factors(fit.parameters, fit.covariance), truth)
    predicted_only = miss(answer(data, predicted(noisy, 0.1, 10**0.5), refine=False), truth)
    together = miss(answer(data, predicted(noisy, 0.1, 10**0.5), refine=True), truth)
    for name in MODULI:
        assert together[name] < 0.5 * alone[name]
        assert together[name] < 1.02 * predicted_only[name]


def test_without_refinement_it_is_the_prediction(rng):
    data, truth = drawn(200, 100.0, rng)
    prediction = predicted(1.1 * truth, 0.01, 10.0)
    found = answer(data, prediction, refine=False)
    assert_close(found["f_total"], 1.1 * truth[0], rtol=1e-12, atol=0)
    # |F_A| is the mean of a modulus: variance across over twice the modulus above that of the mean
    assert_close(found["f_resonant"], 1.1 * torch.hypot(truth[1], truth[2]), rtol=1e-3, atol=0)
    # the curvature of Student's density at its top: precision (1 + 3 / degrees)
    assert_close(found["f_total_errors"], torch.full((200,), 0.1 / math.sqrt(1 + 3 / DEGREES)), rtol=1e-9, atol=0)


def test_bright_counts_overrule_a_wild_prediction(rng):
    data, truth = drawn(500, 1e6, rng)
    wild = torch.stack([2 * truth[0], -1.5 * truth[2], 1.5 * truth[1]])
    found = answer(data, predicted(wild, 0.05, 1e3), refine=True)
    fit = solve(data)
    fitted = structure_factors(fit.parameters, fit.covariance)
    for name in MODULI:
        off = ((found[name] - fitted[name]) / fitted[f"{name}_errors"]).abs()
        assert float(off.max()) < 1.0
    assert float(found["chi2"].mean()) < 5 + 4 * math.sqrt(10 / 500) + 0.1


def test_neither_sign_of_the_unknowns_matters(rng):
    data, truth = drawn(300, 50.0, rng)
    plus, minus = (predicted(sign * truth, 0.2, 7.0) for sign in (1, -1))
    for refine in (False, True):
        first, second = (answer(data, one, refine=refine) for one in (plus, minus))
        assert bool((first["f_total"] >= 0).all())
        for name in first:
            assert_close(first[name].double(), second[name].double(), rtol=1e-6, atol=1e-9)


def test_a_masked_point_keeps_its_prediction(rng):
    data, truth = drawn(100, 1e4, rng)
    good = torch.ones(8, 100, dtype=torch.bool)
    good[:, :20], good[2, 20:40] = False, False
    masked = replace(data, good=good, intensity=data.intensity * good)
    prediction = predicted(1.2 * truth, 0.01, 100.0)
    found = answer(masked, prediction, refine=True)
    assert_close(found["f_total"][:20], 1.2 * truth[0, :20], rtol=1e-4, atol=0)
    assert_close(found["f_total_errors"][:20], torch.full((20,), 1 / math.sqrt(1.75)), rtol=0.01, atol=0)
    assert float((found["f_total"][20:] / truth[0, 20:] - 1).abs().max()) < 0.05  # 1e4 photons know it to 0.2 %
    assert torch.equal(found["dof"][[0, 30, 50]], torch.tensor([0.0, 4.0, 5.0]))
    assert bool((found["chi2"][:20] == 0).all())


def test_background_is_not_signal(rng):
    _, truth = drawn(300, 1e4, rng)
    data, truth = exposed(truth, 1e4, rng, noise=False, background=500.0)
    found = answer(data, predicted(1.03 * truth, 1.0, 100.0), refine=True)
    # noise-free: what is left is the pull of the prediction, (sigma / 100)^2 of 3 %, and of the classical prior
    assert float(((found["f_total"] - truth[0]) / found["f_total_errors"]).abs().max()) < 0.1
    assert float(found["chi2"].max()) < 0.1
    clean, _ = exposed(truth, 1e4, rng, noise=False)
    without = answer(clean, predicted(1.03 * truth, 1.0, 100.0), refine=True)
    assert bool((found["f_total_errors"] > without["f_total_errors"]).all())


def test_parts_of_a_measurement_have_the_same_answer(rng, monkeypatch):
    data, truth = drawn(70, 100.0, rng)
    prediction = predicted(truth, 0.3, 10.0)
    whole = answer(data, prediction, refine=True)
    monkeypatch.setattr("madpipe.mad.network.answer._TILE", 16)
    tiled = answer(data, prediction, refine=True)
    for name, values in whole.items():
        assert_close(tiled[name].double(), values.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("breadth", [0.0, 10.0])
def test_gradient_with_a_prediction_is_that_of_the_log_posterior(rng, breadth):
    data, truth = drawn(40, 200.0, rng)
    prediction = predicted(truth * (1 + 0.1 * torch.randn(3, 40, generator=rng)), 0.1, 200**0.5)
    problem = replace(problem_of(data, breadth), prediction=prediction)
    theta = (truth * (1 + 0.05 * torch.randn(3, 40, generator=rng))) / data.reduction()

    def log_posterior(theta):
        expected = expected_photons(data, theta * data.reduction())
        value = (data.intensity * expected.log() - expected).sum(0)
        distance = quadratic(prediction.precision, theta - prediction.mean)
        value = value - 0.5 * (DEGREES + 3) * torch.log1p(distance / DEGREES)
        if breadth:
            value = value - 2 * torch.log1p((theta[1] ** 2 + theta[2] ** 2) / problem.prior_scale)
        return value.sum()

    by_hand = torch.func.grad(log_posterior)(theta)
    found = gradient_at(problem, slope_at(problem, theta), theta)
    assert_close(found, by_hand, rtol=1e-8, atol=1e-8 * float(by_hand.abs().max()))
    weighted = predicted_information(problem, theta)
    assert_close(weighted, prediction.precision * prediction.strength(theta), rtol=1e-12, atol=0)


@pytest.mark.parametrize("photons", [30.0, 1e3, 1e5])
def test_errors_of_a_right_prediction_cover(rng, photons):
    """Truths from a normal prior of the prediction's curvature at its top, counts from them: 68 % and 95 % within."""
    points, width = 4000, 0.15
    _, centre = drawn(points, photons, rng)
    sigma = width * (photons / (1 + 3 / DEGREES)) ** 0.5
    truth = centre + sigma * torch.randn(3, points, generator=rng)
    truth = torch.where(truth[0] < 0, -truth, truth)
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, points)
    data = replace(empty, intensity=torch.poisson(expected_photons(empty, truth), generator=rng))
    found = answer(data, predicted(centre, width, photons**0.5), refine=True)
    true = truth_columns(truth)
    for name in MODULI:
        pull = ((found[name] - true[name]) / found[f"{name}_errors"]).abs()
        # binomial: four times sqrt(0.68 x 0.32 / 4000) = 0.03; tails that the truth has not, widen errors: 0.02 more
        assert float((pull < 1).double().mean()) == pytest.approx(0.683, abs=0.05)
        assert float((pull < 1.96).double().mean()) == pytest.approx(0.95, abs=0.02)


def test_information_of_both_adds_up(rng):
    """At 1e4 photons and a prediction as sharp as the counts, |F_T|'s error falls by the sum of the information."""
    data = drawn(50, 1e4, rng)[0]
    fit = solve(data)
    prediction = predicted(fit.parameters, 0.005, 100.0)
    found = answer(data, prediction, refine=True)
    counts = torch.linalg.inv(_dense(fit.covariance))
    both = counts + (1 + 3 / DEGREES) * 0.5**-2 * torch.eye(3)
    errors = torch.linalg.inv(both)[:, 0, 0].sqrt()
    assert_close(found["f_total_errors"], errors, rtol=0.01, atol=0)
    assert bool((found["f_total_errors"] < covariance(_entries(counts))[0].sqrt()).all())


def test_shares_say_whose_the_information_is(rng):
    data, truth = drawn(50, 1e4, rng)
    shares = [
        answer_and_shares(data, predicted(truth, width, 100.0), refine=True)[1]["f_total"]
        for width in (1e-6, 0.005, 1e3)
    ]
    assert float(shares[0].max()) < 1e-3
    assert float(shares[2].min()) > 0.999
    assert bool(((shares[1] > shares[0]) & (shares[1] < shares[2])).all())
    unused = answer_and_shares(data, predicted(truth, 0.1, 100.0), refine=False)[1]["f_total"]
    assert float(unused.abs().max()) < 1e-9


def _dense(six):
    xx, xa, xb, aa, ab, bb = six
    return torch.stack([xx, xa, xb, xa, aa, ab, xb, ab, bb]).T.reshape(-1, 3, 3)


def _entries(matrices):
    return torch.stack([matrices[:, i, j] for i in range(3) for j in range(i, 3)])
