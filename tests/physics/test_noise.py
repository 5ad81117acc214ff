"""Noise by its moments, masks by their points."""

import torch

from madpipe.physics.fourier import grid, real_axis
from madpipe.physics.noise import beam_stop, gap, poisson, scale_jitter, thinned


def test_counts_have_the_mean_and_the_variance_of_their_expectation(rng):
    expected = torch.full((40000,), 7.0)
    counts = poisson(expected, rng)
    assert abs(counts.mean() - 7) < 4 * (7 / 40000) ** 0.5
    # variance of the sample variance of a Poisson variable: (mu + 2 mu^2) / n
    assert abs(counts.var() - 7) < 4 * ((7 + 2 * 49) / 40000) ** 0.5


def test_jitter_has_the_rms_asked_for(rng):
    logs = scale_jitter(20000, 0.01, rng).log()
    assert abs(logs.std() - 0.01) < 4 * 0.01 / 40000**0.5
    assert abs(logs.mean()) < 4 * 0.01 / 20000**0.5


def test_beam_stop_is_a_disc_and_gap_a_stripe():
    points = grid([real_axis(9, 1.0)] * 2)
    hidden = beam_stop(points, 1.5)
    assert hidden.sum() == 9
    assert hidden[4, 4]
    assert beam_stop(points, 2.0).sum() == 9  # points on the rim are seen
    stripe = gap(points[-1], 2.0, 2.0)
    assert stripe.sum() == 18
    assert stripe[:, 6:8].all()


def test_thinned_counts_are_two_independent_poisson_counts(rng):
    number, mean, share = 40000, 6.0, 0.3
    first, second = thinned(poisson(torch.full((number,), mean), rng), share, rng)
    for part, expected in ((first, share * mean), (second, (1 - share) * mean)):
        assert abs(part.mean() - expected) < 4 * (expected / number) ** 0.5
        assert abs(part.var() - expected) < 4 * ((expected + 2 * expected**2) / number) ** 0.5
    # of independent variables the covariance has the variance of the product of their variances
    covariance = ((first - first.mean()) * (second - second.mean())).mean()
    assert abs(covariance) < 4 * (share * mean * (1 - share) * mean / number) ** 0.5
