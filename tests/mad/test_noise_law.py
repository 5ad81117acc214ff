"""The noise law's parts against each other: variance, rate, deviance, and what it draws."""

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.noise_law import POISSON, NoiseLaw

LAWS = [POISSON, NoiseLaw(0.0, 2.5, 0.0), NoiseLaw(4.0, 0.0, 0.01), NoiseLaw(2.0, 0.0, 0.0), NoiseLaw(1.0, 1.0, 0.1)]
every_law = pytest.mark.parametrize("law", LAWS)


@pytest.fixture
def pairs(rng):
    return torch.poisson(torch.full((200,), 30.0), generator=rng), 20 + 20 * torch.rand(200, generator=rng)


def test_only_poisson_s_law_is_poisson():
    assert [law.is_poisson for law in LAWS] == [True, False, False, False, False]
    assert [law.is_proportional for law in LAWS] == [True, True, False, False, False]


@every_law
def test_the_rate_is_the_derivative_of_the_variance(law, pairs):
    expected = pairs[1].requires_grad_()
    (1.0 * law.variance(expected)).sum().backward()
    slope = torch.zeros_like(expected) if expected.grad is None else expected.grad
    assert_close(slope, torch.as_tensor(law.rate(expected)).detach().expand(200), rtol=1e-12, atol=0)


@every_law
def test_times_multiplies_the_variance(law, pairs):
    assert_close(law.times(3.0).variance(pairs[1]), 3 * law.variance(pairs[1]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("law", LAWS[:4])
def test_the_deviance_s_slope_is_the_score(law, pairs):
    observed, expected = pairs
    expected.requires_grad_()
    law.half_deviance(observed, expected).sum().backward()
    # the closed forms cancel: rounding of terms of 100 photons
    assert_close(expected.grad, (expected - observed) / law.variance(expected), rtol=1e-10, atol=1e-12)
    assert_close(law.half_deviance(observed + 1, observed + 1), torch.zeros(200), rtol=0, atol=1e-12)


@every_law
def test_half_chi_square_weighs_by_the_expected_variance(law, pairs):
    observed, expected = pairs
    assert_close(law.half_chi_square(observed, expected), (observed - expected) ** 2 / (2 * law.variance(expected)))


@every_law
def test_what_is_drawn_has_the_law_s_variance(law, rng):
    expected = torch.full((40_000,), 30.0)
    for normal in (False, True):
        drawn = law.drawn(expected, rng, normal=normal)
        assert bool((drawn == drawn.round()).all()) == (law.is_poisson and not normal)
        variance = float(law.variance(expected)[0])
        # |z| < 4; the fourth moment of Poisson's law adds 1 / 30 to the normal's 2
        assert abs(float(drawn.mean()) - 30) < 4 * (variance / 40_000) ** 0.5
        assert float(((drawn - 30) ** 2).mean()) == pytest.approx(variance, rel=4 * (2.04 / 40_000) ** 0.5)
