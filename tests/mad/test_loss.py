"""Each term of the loss against its closed form, and the balance between bright and dark."""

import math

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.config import TrainConfig
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.loss import WEIGHTINGS, Target, patch_loss, point_weights, reconstructed, scaled_deviance
from madpipe.mad.network import Measured, Unknowns

CONFIG = TrainConfig()
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}
TERMS = ("total", "phase", "resonant", "circle", "intensity", "total_below_resonant")


def make_case(rng, exposure=1.0, batch=3, size=6):
    """A truth that obeys the MAD equation, and the answer that is right everywhere."""
    shape = (batch, size, size)

    def draw():
        return torch.complex(torch.randn(*shape, generator=rng), torch.randn(*shape, generator=rng))

    root = math.sqrt(1000 * exposure)
    f_total, f_resonant = root * draw(), root * draw()
    f_prime, f_double_prime = torch.linspace(-9, -5, 8).expand(batch, -1), torch.linspace(0.5, 4, 8).expand(batch, -1)
    f0 = 20 + torch.rand(*shape, generator=rng)
    ratio = dispersion_ratio(f_prime[:, :, None, None], f_double_prime[:, :, None, None], f0[:, None])
    expected = mad_intensity(f_total[:, None], f_resonant[:, None], ratio)
    phase = (f_total * f_resonant.conj()).angle()
    target = Target(f_total.abs(), f_resonant.abs(), phase.sin(), phase.cos(), expected)
    measured = Measured(expected, torch.ones(shape, dtype=torch.bool), f_prime, f_double_prime, f0)
    scale = (expected.mean(1) + 1).sqrt()
    answer = Unknowns(f_total.abs() / scale, f_resonant.abs() / scale, phase.sin(), phase.cos(), scale)
    return answer, measured, target


def terms_of(answer, measured, target, **changes):
    return patch_loss(answer, measured, target, CONFIG.model_copy(update=changes))


def test_right_answer_costs_nothing(rng):
    answer, measured, target = make_case(rng)
    value, terms = terms_of(answer, measured, target)
    assert set(terms) == set(TERMS)
    for name in ("total", "phase", "resonant", "circle"):
        assert float(terms[name]) == pytest.approx(0, abs=1e-24)
    # the unit vector is made with 1e-6 under its root: half of that in the cross term, squared, over nu >= 1e-3
    assert float(terms["intensity"]) < 1e-8
    assert float(terms["total_below_resonant"]) > 0  # |F_T| < |F_A| is physical
    assert float(value) < 1e-8  # and costs nothing by default


def test_sign_of_the_sine_matters_to_the_intensity(rng):
    answer, measured, target = make_case(rng)
    _, terms = terms_of(answer._replace(sine=-answer.sine), measured, target)
    assert float(terms["intensity"]) > 1e-3


def test_reconstruction_is_the_mad_equation_in_units_of_the_scale(rng):
    answer, measured, target = make_case(rng)
    half = answer._replace(sine=answer.sine / 2, cosine=answer.cosine / 2)  # only the direction counts
    for each in (answer, half):
        found = reconstructed(each, measured) * answer.scale.square()[:, None]
        assert_close(found, target.expected, rtol=1e-4, atol=1e-4 * float(target.expected.max()))


@pytest.mark.parametrize("offset", [-0.05, 0.2])
def test_squared_terms_are_the_squared_errors_in_units_of_the_scale(rng, offset):
    answer, measured, target = make_case(rng)
    _, terms = terms_of(
        answer._replace(f_total=answer.f_total + offset, f_resonant=answer.f_resonant + 2 * offset), measured, target
    )
    assert float(terms["total"]) == pytest.approx(offset**2, rel=1e-10)  # a weighted mean of a constant
    assert float(terms["resonant"]) == pytest.approx(4 * offset**2, rel=1e-10)
    assert float(terms["phase"]) == pytest.approx(0, abs=1e-24)


def test_phase_term_is_weighted_by_both_moduli(rng):
    answer, measured, target = make_case(rng)
    _, terms = terms_of(answer._replace(sine=answer.sine + 0.1, cosine=answer.cosine - 0.2), measured, target)
    weight = point_weights(target.expected, measured.good, "sqrt", 0.0)
    cross = target.f_total * target.f_resonant / answer.scale.square()
    assert float(terms["phase"]) == pytest.approx(float(0.05 * (weight * cross).sum() / 3), rel=1e-10)
    without = target._replace(f_resonant=torch.zeros_like(target.f_resonant))
    assert float(terms_of(answer._replace(sine=answer.sine + 0.1), measured, without)[1]["phase"]) == 0


def test_circle_term(rng):
    answer, measured, target = make_case(rng)
    _, terms = terms_of(answer._replace(sine=answer.sine * 0.5, cosine=answer.cosine * 0.5), measured, target)
    assert float(terms["circle"]) == pytest.approx(0.75**2, rel=1e-10)


def test_relu_term_is_the_excess_of_the_resonant_modulus(rng):
    answer, measured, target = make_case(rng)
    for excess, cost in ((0.3, 0.3), (-0.3, 0.0)):
        shifted = answer._replace(f_resonant=answer.f_total + excess)
        assert float(terms_of(shifted, measured, target)[1]["total_below_resonant"]) == pytest.approx(cost, abs=1e-12)


def test_value_is_the_terms_times_their_factors(rng):
    answer, measured, target = make_case(rng)
    wrong = Unknowns(answer.f_total * 1.3, answer.f_resonant * 0.8, answer.sine * 0.9, -answer.cosine, answer.scale)
    factors = {"resonant": 0.7, "circle": 0.3, "intensity": 0.2, "total_below_resonant": 0.4}
    value, terms = terms_of(wrong, measured, target, **factors)
    expected = sum(factors.get(name, 1.0) * float(term) for name, term in terms.items())
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert all(float(term) > 0 for term in terms.values())


def test_deviance_is_chi_square_for_small_errors_and_never_negative(rng):
    expected = 1 + torch.rand(1000, generator=rng)
    error = 1e-3 * torch.randn(1000, generator=rng)
    found = scaled_deviance(expected, expected + error)
    # next order: error^3 / (3 expected^2), relative 1e-3; the dark intensity 1e-3 is beside 1
    assert_close(found, error.square() / expected, rtol=1e-2, atol=1e-10)
    assert_close(scaled_deviance(expected, expected), torch.zeros(1000), **ROUNDING)
    dark = scaled_deviance(torch.zeros(3), torch.tensor([0.0, 0.5, 2.0]))
    assert float(dark.min()) >= 0
    assert bool(torch.isfinite(scaled_deviance(expected, torch.zeros(1000))).all())


def test_deviance_is_least_at_the_expected_intensity_not_at_the_counts(rng):
    """Its mean over fresh noise differs from the counts' own deviance by a constant, so that both have one minimum."""
    expected = torch.full((20000,), 50.0)
    counts = torch.poisson(expected, generator=rng)
    trial = torch.tensor([0.9, 1.0, 1.1])[:, None] * expected
    noisy = 2 * (torch.xlogy(counts, counts / trial) - counts + trial)
    differences = noisy.mean(1) - noisy.mean(1)[1]
    clean = scaled_deviance(expected.expand(3, -1), trial).mean(1)
    # the spread of the difference: 2 ln(1.1) sqrt(50) per draw
    assert_close(differences, clean, rtol=1e-3, atol=4 * 2 * math.log(1.1) * math.sqrt(50 / 20000))


@pytest.mark.parametrize(
    ("weighting", "ratio"),
    [("sqrt", 10.0), ("log", math.log(901) / math.log(10)), ("uniform", 1.0), ("sigma", 901 / 10)],
)
def test_weightings(weighting, ratio):
    expected = torch.full((1, 8, 2, 2), 9.0)
    expected[:, :, 0, 0] = 900.0
    weight = point_weights(expected, torch.ones(1, 2, 2, dtype=torch.bool), weighting, 0.0)[0]
    assert float(weight[0, 0] / weight[1, 1]) == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_weights_of_every_patch_have_the_sum_one(rng, weighting):
    expected = torch.rand(3, 8, 6, 6, generator=rng) * torch.tensor([1e-3, 1.0, 1e6])[:, None, None, None]
    good = torch.rand(3, 6, 6, generator=rng) < 0.8
    weight = point_weights(expected, good, weighting, 0.0)
    assert_close(weight.sum((1, 2)), torch.ones(3), **ROUNDING)
    assert float(weight[~good].abs().max()) == 0


def test_dim_points_are_left_out_below_the_threshold():
    expected = torch.full((2, 8, 2, 2), 5.0)
    expected[0, :, 0, 0] = 1.9
    expected[1] = 1.0
    weight = point_weights(expected, torch.ones(2, 2, 2, dtype=torch.bool), "uniform", 2.0)
    third = 1 / 3
    assert_close(weight[0], torch.tensor([[0.0, third], [third, third]]), **ROUNDING)
    assert float(weight[1].sum()) == 0


def test_masked_points_cost_nothing(rng):
    answer, measured, target = make_case(rng)
    measured.good[:, 2, :] = False
    answer.f_total[:, 2, :] += 7
    answer.f_resonant[:, 2, :] += 7
    value, _ = terms_of(answer, measured, target)
    assert float(value) < 1e-8


@pytest.mark.parametrize("name", ["total", "phase", "resonant", "intensity"])
def test_bright_patch_does_not_drown_a_dim_one(rng, name):
    """The same relative errors cost the same at 1e3 and at 1e9 photons."""
    state = rng.get_state()
    costs = []
    for exposure in (1.0, 1e6):
        rng.set_state(state)
        answer, measured, target = make_case(rng, exposure)
        wrong = Unknowns(answer.f_total * 1.1, answer.f_resonant * 0.9, answer.sine, -answer.cosine, answer.scale)
        costs.append(float(terms_of(wrong, measured, target)[1][name]))
    # r^2 is n + 1: where n falls to some tens, near extinctions, that is a few per cent
    assert costs[0] == pytest.approx(costs[1], rel=0.05)
    assert costs[0] > 1e-3


def test_gradient_leads_back_to_the_truth(rng):
    """Descending the whole loss from a wrong start finds the truth: no term pulls elsewhere."""
    answer, measured, target = make_case(rng, batch=1, size=3)
    start = [answer.f_total * 1.2, answer.f_resonant * 0.8, answer.sine * 0.9 + 0.1, answer.cosine * 0.9 - 0.1]
    free = [each.clone().requires_grad_() for each in start]
    optimiser = torch.optim.LBFGS(
        free, max_iter=500, tolerance_grad=1e-14, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value, _ = terms_of(Unknowns(*free, answer.scale), measured, target, weighting="uniform")
        value.backward()
        return value

    optimiser.step(closure)
    for found, true in zip(free, answer[:4], strict=True):
        # the 1e-6 under the root of the unit vector shifts the optimum by about as much
        assert_close(found.detach(), true, rtol=0, atol=1e-4)
