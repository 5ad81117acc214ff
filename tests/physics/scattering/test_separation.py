import numpy as np
import pytest
from scipy.optimize import minimize

from madpipe.physics.scattering.separation import separate

RATIOS = np.array([-0.10 + 0.02j, -0.18 + 0.02j, -0.26 + 0.02j, -0.3 + 0.015j, -0.2 + 0.15j, -0.12 + 0.14j])
DESIGN = np.stack([np.ones(6), np.abs(RATIOS) ** 2, 2 * RATIOS.real, 2 * RATIOS.imag], 1)


def brute(intensity, sigma, design, seeds):
    """Least deviance over Cholesky factors of the 2 x 2 matrix, which reach the whole cone, from many starts."""

    def terms(c):
        low = np.append(c[2:], [0.0])[:2] if len(c) == 4 else np.array([c[2], 0.0])
        return np.array([c[0] ** 2, c[1] ** 2 + low @ low, *(c[0] * low)])[: design.shape[1]]

    def deviance(c):
        return np.sum(((intensity - design @ terms(c)) / sigma) ** 2)

    found = [minimize(deviance, seed, method="BFGS", options={"gtol": 1e-10}) for seed in seeds]
    return min(one.fun for one in found)


@pytest.mark.parametrize("terms", [3, 4])
def test_the_cone_s_best_point_is_that_of_brute_force(terms):
    generator = np.random.default_rng(5)
    truth = np.array([1.0, 3.0, -1.72, 0.1])[:terms]
    design = DESIGN[:, :terms]
    sigma = np.full((6, 12), 0.02)
    intensity = (design @ truth)[:, None] + 0.05 * generator.normal(size=(6, 12))
    intensity[:, -1] = -1.0  # nothing positive explains it
    found = separate(intensity, sigma, design)
    assert found.bounded.sum() >= 3
    cross = np.square(found.terms[:, 2:]).sum(1)
    assert (found.terms[:, :2] >= 0).all()
    assert (cross <= found.terms[:, 0] * found.terms[:, 1] * (1 + 1e-9) + 1e-15).all()
    for q in range(12):
        seeds = generator.normal(size=(6, terms)) + np.array([1.0, 0, -1.7, 0])[:terms]
        least = brute(intensity[:, q], sigma[:, q], design, seeds)
        assert np.sum(found.residual[q] ** 2) <= least * (1 + 1e-7) + 1e-9
        expected = (intensity[:, q] - design @ found.terms[q]) / sigma[:, q]
        np.testing.assert_allclose(found.residual[q], expected, atol=1e-9)


def test_within_the_cone_it_is_weighted_least_squares_with_their_covariance():
    generator = np.random.default_rng(6)
    sigma = generator.uniform(0.01, 0.02, (6, 400)) * 1e-2
    truth = np.array([1.0, 3.0, -0.5, 0.1])
    intensity = (DESIGN @ truth)[:, None] + sigma * generator.normal(size=sigma.shape)
    found = separate(intensity, sigma, DESIGN)
    assert not found.bounded.any()
    pulls = (found.terms - truth) / np.sqrt(np.einsum("qii->qi", found.covariance))
    assert np.abs(pulls.mean(0)).max() < 4 / np.sqrt(400)
    assert np.abs(np.square(pulls).mean(0) - 1).max() < 4 * np.sqrt(2 / 400)


def test_least_squares_alone_may_leave_the_cone():
    free = separate(np.full((6, 1), -1.0), np.ones((6, 1)), DESIGN, within_cone=False)
    assert free.terms[0, 0] < 0
    assert not free.bounded.any()


def test_points_not_measured_do_not_count():
    sigma = np.full((6, 2), 0.01)
    sigma[0, 0] = np.inf
    intensity = (DESIGN @ np.array([1.0, 3.0, -0.5, 0.1]))[:, None] + np.zeros((6, 2))
    intensity[0, 0] = np.nan
    found = separate(intensity, sigma, DESIGN)
    np.testing.assert_allclose(found.terms, [[1.0, 3.0, -0.5, 0.1]] * 2, rtol=1e-9)
    assert found.covariance[0, 0, 0] > found.covariance[1, 0, 0]


def test_too_few_energies_are_refused():
    with pytest.raises(ValueError, match="at least 4 energies"):
        separate(np.ones((3, 5)), np.ones((3, 5)), DESIGN[:3])
