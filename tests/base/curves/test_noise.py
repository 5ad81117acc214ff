"""Noise of a curve from its neighbours: weights against polynomials, factors and estimates against draws."""

import numpy as np
import pytest

from madpipe.base.curves.noise import difference_weights, estimated_sigma, noise_factor

Q = np.geomspace(0.008, 0.3, 300)


def sphere(q, radius):
    x = q * radius
    return (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


@pytest.mark.parametrize("order", [2, 4, 6])
def test_polynomials_of_a_lower_degree_vanish(order):
    x = np.sort(np.random.default_rng(1).uniform(-1, 1, 30))
    weights = difference_weights(x, order)
    windows = np.lib.stride_tricks.sliding_window_view
    np.testing.assert_allclose((weights**2).sum(axis=1), 1.0, rtol=1e-12)
    for degree in range(order):  # rounding: the largest weight times 1e-16 times the condition of a window
        np.testing.assert_allclose((weights * windows(x**degree, order + 1)).sum(axis=1), 0.0, atol=1e-12)
    assert np.abs((weights * windows(x**order, order + 1)).sum(axis=1)).min() > 0


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("noise", [0.002, 0.03])
def test_factor_of_wrong_errors(factor, noise):
    generator = np.random.default_rng(4)
    model = sphere(Q, 40) + 1e-3
    sigma = noise * (model + 0.01 * np.sqrt(model))
    found = noise_factor(Q, model + sigma * generator.normal(size=len(Q)), sigma / factor)
    assert abs(np.log(found.factor / factor)) < 4 * found.error
    assert found.is_wrong == (factor != 1.0)


def test_right_errors_are_rarely_called_wrong():
    generator = np.random.default_rng(5)
    model = sphere(Q, 60) + 1e-3
    sigma = 0.01 * model + 1e-5
    wrong = [noise_factor(Q, model + sigma * generator.normal(size=len(Q)), sigma).is_wrong for _ in range(200)]
    assert sum(wrong) <= 1


def test_structure_that_is_not_resolved_is_no_noise():
    """Latex in few points, as USANS has it: oscillations are no reason to call errors too small."""
    q = np.geomspace(0.001, 0.05, 80)
    model = sphere(q, 500) + 1e-4
    sigma = 0.02 * model
    generator = np.random.default_rng(6)
    assert noise_factor(q, model + sigma * generator.normal(size=80), sigma).factor < 20  # 2nd differences alone: 60


def test_too_few_points_say_nothing():
    assert noise_factor(Q[:12], np.ones(12), np.ones(12)) is None
    assert estimated_sigma(Q[:5], np.ones(5)) is None


@pytest.mark.parametrize("noise", [0.003, 0.05])
def test_estimate_follows_the_noise(noise):
    generator = np.random.default_rng(7)
    model = sphere(Q, 30) + 0.01
    sigma = noise * np.sqrt(model)  # falls by ten over the range
    found = np.array([estimated_sigma(Q, model + sigma * generator.normal(size=len(Q))) for _ in range(30)])
    ratio = np.median(found, axis=0) / sigma
    assert ((ratio > 0.6) & (ratio < 1.6)).all()


def test_estimate_of_a_curve_without_noise_is_small_and_above_zero():
    found = estimated_sigma(Q, sphere(Q, 30) + 0.01)
    assert (found > 0).all()
    assert (found < 2e-3 * (sphere(Q, 30) + 0.01)).all()
