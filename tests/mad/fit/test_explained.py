"""How well an answer explains its data: what noise leaves in closed form, however the points are shared out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_exact import drawn, measurement

from madpipe.mad.fit.exact import covariance, expected_photons, fisher_information, solve
from madpipe.mad.fit.explained import explained_by, leverage, sums_of
from madpipe.mad.noise_law import NoiseLaw
from madpipe.physics.noise import mean_deviation

FOUR = 4.0  # |z| below this: 6e-5 of draws beyond, with a fixed generator


@pytest.mark.parametrize("expected", [0.0, 0.02, 0.7, 1.0, 3.3, 40.0, 1e4])
def test_mean_deviation_of_a_count_is_that_of_draws_and_of_the_sum_over_its_law(expected, rng):
    counts = torch.arange(0.0, expected + 40 * math.sqrt(expected) + 40)
    law = torch.exp(torch.xlogy(counts, torch.tensor(expected)) - expected - torch.lgamma(counts + 1))
    closed = float(mean_deviation(torch.tensor(expected)))
    assert closed == pytest.approx(float((law * (counts - expected).abs()).sum()), rel=1e-9)
    off = (torch.poisson(torch.full((20_000,), expected), generator=rng) - expected).abs()
    assert abs(float(off.mean()) - closed) <= FOUR * float(off.std()) / math.sqrt(len(off))


def test_mean_deviation_of_stated_errors_is_that_of_a_normal_law(rng):
    law = NoiseLaw(constant=4.0, linear=0.0, quadratic=0.01)
    expected = torch.full((50_000,), 30.0)
    off = (law.drawn(expected, rng) - expected).abs()
    closed = float(law.mean_deviation(expected[:1]))
    assert abs(float(off.mean()) - closed) <= FOUR * float(off.std()) / math.sqrt(len(off))


def test_leverages_of_a_point_sum_to_its_unknowns_and_follow_the_noise(rng):
    data, truth = drawn(4000, 1e4, rng)
    bound = covariance(fisher_information(data, truth))
    expected = expected_photons(data, truth)
    found = leverage(data, truth / data.reduction(), bound, 1 / expected)
    torch.testing.assert_close(found.sum(0), torch.full((4000,), 3.0), rtol=1e-3, atol=0)
    # the answer's residuals have what the leverages leave of the variance, energy by energy
    left = (data.intensity - solve(data).expected).square() / expected
    expected_left = (1 - found).mean(1)
    spread = left.std(1) / math.sqrt(4000)
    assert bool(((left.mean(1) - expected_left).abs() < FOUR * spread + 0.01 * expected_left).all())


@pytest.mark.parametrize("photons", [0.3, 3.0, 30.0, 3000.0])
def test_what_noise_leaves_is_what_a_fit_of_good_data_has(photons, rng):
    data, truth = drawn(6000, photons, rng)
    found = explained(data)
    assert found.r_factor == pytest.approx(found.r_expected, rel=0.07 if photons < 10 else 0.03)
    pure = mean_deviation(expected_photons(data, truth)).sum() / data.intensity.sum()
    assert found.r_noise == pytest.approx(float(pure), rel=0.2 if photons < 1 else 0.05)
    assert found.points == 6000
    if photons > 20:
        assert abs(found.chi2_bright - 1) < FOUR * found.chi2_bright_errors + 0.02
    else:
        assert found.dof_bright < found.dof / 2


def test_stated_errors_count_as_they_are(rng):
    data, truth = drawn(4000, 1e4, rng, noise=False)
    law = NoiseLaw(constant=1e2, linear=0.0, quadratic=1e-4)
    noisy = replace(data, intensity=law.drawn(expected_photons(data, truth), rng), noise=law)
    found = explained(noisy)
    assert abs(found.chi2_bright - 1) < FOUR * found.chi2_bright_errors + 0.01
    assert found.r_factor == pytest.approx(found.r_expected, rel=0.03)


def test_points_of_three_intensities_have_no_freedom(rng):
    data, _ = drawn(50, 1e4, rng)
    good = torch.ones_like(data.intensity, dtype=torch.bool)
    good[3:, :20] = False
    good[2:, 20:25] = False
    found = explained(replace(data, good=good, intensity=good * data.intensity))
    assert (found.points, found.without_freedom) == (45, 20)
    assert found.masked == pytest.approx(1 - float(good.double().mean()))
    assert found.dof == pytest.approx(25 * 5, rel=0.01)
    three = measurement(50, (-5.8, -9.0, -6.0), (0.5, 2.1, 3.8))
    none = explained(replace(three, intensity=torch.full((3, 50), 100.0)))
    assert none.dof == 0
    assert "no freedom is left" in none.line()


def test_the_sum_does_not_hang_on_how_points_are_shared_out(rng):
    data, _ = drawn(300, 50.0, rng)
    rows = [sums(data.part(slice(start, start + 50))) for start in range(0, 300, 50)]
    together = explained_by(np.stack(rows), data.intensity.numel())
    for order in ([5, 3, 1, 0, 2, 4], [2, 0, 1, 3, 5, 4]):
        assert explained_by(np.stack([rows[place] for place in order]), data.intensity.numel()) == together


def sums(data):
    solution = solve(data)
    return sums_of(data, solution.parameters, solution.covariance, solution.chi2).numpy()


def explained(data):
    return explained_by(sums(data)[None], data.intensity.numel())
