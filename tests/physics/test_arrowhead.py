"""Block elimination against the whole dense system; the search against closed forms and from many starts."""

import numpy as np
import pytest

from madpipe.physics.arrowhead import Arrowhead, covariance, minimise, solve

BLOCKS, OWN, SHARED = 7, 4, 5


def dense(normal):
    """The same equations as one matrix."""
    count, own, _ = normal.own.shape
    size = count * own + len(normal.shared)
    matrix, slope = np.zeros((size, size)), np.zeros(size)
    for k in range(count):
        place = slice(k * own, (k + 1) * own)
        matrix[place, place] = normal.own[k]
        matrix[place, count * own :] = normal.mixed[k]
        matrix[count * own :, place] = normal.mixed[k].T
        slope[place] = normal.own_slope[k]
    matrix[count * own :, count * own :], slope[count * own :] = normal.shared, normal.shared_slope
    return matrix, slope


@pytest.fixture
def normal():
    """Sums over residuals of each block, so that the whole is positive definite."""
    generator = np.random.default_rng(3)
    design = generator.normal(size=(BLOCKS, 12, OWN + SHARED))
    residual = generator.normal(size=(BLOCKS, 12))
    second, slope = np.einsum("kri,krj->kij", design, design), np.einsum("kri,kr->ki", design, residual)
    return Arrowhead(
        second[:, :OWN, :OWN],
        second[:, :OWN, OWN:],
        second[:, OWN:, OWN:].sum(0),
        slope[:, :OWN],
        slope[:, OWN:].sum(0),
    )


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_elimination_equals_the_dense_solution(normal, damping):
    matrix, slope = dense(normal)
    expected = -np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), slope)
    own, shared = solve(normal, damping)
    tolerance = 100 * np.linalg.cond(matrix) * np.finfo(float).eps * np.abs(expected).max()
    np.testing.assert_allclose(np.concatenate([own.ravel(), shared]), expected, rtol=0, atol=tolerance)


def test_covariance_equals_the_blocks_of_the_dense_inverse(normal):
    inverse = np.linalg.inv(dense(normal)[0])
    found = covariance(normal)
    tolerance = 100 * np.linalg.cond(dense(normal)[0]) * np.finfo(float).eps * np.abs(inverse).max()
    for k in range(BLOCKS):
        place = slice(k * OWN, (k + 1) * OWN)
        np.testing.assert_allclose(found.own[k], inverse[place, place], rtol=0, atol=tolerance)
        np.testing.assert_allclose(found.mixed[k], inverse[place, BLOCKS * OWN :], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.shared, inverse[BLOCKS * OWN :, BLOCKS * OWN :], rtol=0, atol=tolerance)


def test_without_shared_parameters_each_block_is_alone(normal):
    apart = Arrowhead(normal.own, np.zeros((BLOCKS, OWN, 0)), np.zeros((0, 0)), normal.own_slope, np.zeros(0))
    own, shared = solve(apart)
    assert shared.shape == (0,)
    np.testing.assert_allclose(normal.own[2] @ own[2], -normal.own_slope[2], atol=1e-10)


def test_a_parameter_without_data_is_named_singular(normal):
    own = normal.own.copy()
    own[1, 2], own[1, :, 2] = 0.0, 0.0
    with pytest.raises(np.linalg.LinAlgError):
        covariance(Arrowhead(own, normal.mixed * 0, normal.shared, normal.own_slope, normal.shared_slope))


def decays(own, shared):
    """Half the squares of a_k exp(-s t) about curves of a_k = 1, 2, 3 and s = 0.7, with their arrowhead."""
    t = np.linspace(0, 3, 20)
    truth = np.arange(1, 4)[:, None] * np.exp(-0.7 * t)
    curve = own * np.exp(-shared[0] * t)
    by_own, by_shared = np.exp(-shared[0] * t), -t * curve
    apart = curve - truth
    normal = Arrowhead(
        np.full((3, 1, 1), by_own @ by_own),
        (by_shared @ by_own)[:, None, None],
        np.array([[np.sum(by_shared**2)]]),
        (apart @ by_own)[:, None],
        np.array([np.sum(apart * by_shared)]),
    )
    return 0.5 * float(np.sum(apart**2)), normal


@pytest.mark.parametrize("start", [(1.0, 0.0), (10.0, 3.0), (0.1, 0.2), (-2.0, 1.0)])
def test_the_search_ends_in_the_same_place_from_every_start(start):
    found = minimise(decays, np.full((3, 1), start[0]), np.array([start[1]]), evaluations=200, least_gain=1e-18)
    np.testing.assert_allclose(found.shared, [0.7], atol=1e-6)
    np.testing.assert_allclose(found.own[:, 0], [1, 2, 3], atol=1e-6)


def test_the_search_never_ends_above_its_start_and_stops_when_told():
    start = np.full((3, 1), 5.0), np.array([2.0])
    found = minimise(decays, *start, evaluations=3)
    assert found.evaluations == 3
    assert found.value < decays(*start)[0]
