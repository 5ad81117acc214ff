"""Constrained least squares against scipy's and against all subsets or all maxima tried one by one."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression, minimize, nnls

from madpipe.kinetics.decompose.least_squares import dense, small_nonnegative, unimodal

SOLVER = 1e-8  # condition of the matrices (below 1e3) times eps, twice squared in normal equations, with room


@pytest.fixture
def problem():
    draw = np.random.default_rng(3)
    return draw.standard_normal((12, 3)), draw.standard_normal((12, 40))


def test_many_right_hand_sides_agree_with_nnls(problem):
    matrix, data = problem
    found = small_nonnegative(matrix.T @ matrix, matrix.T @ data, np.ones(3, dtype=bool))
    expected = np.stack([nnls(matrix, column)[0] for column in data.T], axis=1)
    assert (found == 0).any()
    np.testing.assert_allclose(found, expected, atol=SOLVER)


def test_an_unknown_without_a_sign_may_be_negative(problem):
    matrix, data = problem
    signs = np.array([True, False, True])
    found = small_nonnegative(matrix.T @ matrix, matrix.T @ data, signs)
    split = np.column_stack([matrix, -matrix[:, 1]])
    parts = np.stack([nnls(split, column)[0] for column in data.T], axis=1)
    np.testing.assert_allclose(found, [parts[0], parts[1] - parts[3], parts[2]], atol=SOLVER)
    assert (found[1] < 0).any()


def test_a_total_is_kept(problem):
    matrix, data = problem
    total = np.full(40, 1.0)
    found = small_nonnegative(matrix.T @ matrix, matrix.T @ data, np.ones(3, dtype=bool), np.ones(3, dtype=bool), total)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=SOLVER)
    for column, one in zip(data.T[:8], found.T, strict=False):
        other = minimize(
            lambda x, column=column: 0.5 * np.sum((matrix @ x - column) ** 2),
            np.full(3, 1 / 3),
            bounds=[(0, None)] * 3,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
            tol=1e-12,
        )
        assert 0.5 * np.sum((matrix @ one - column) ** 2) <= other.fun + 1e-9


def test_one_larger_matrix_agrees_with_nnls():
    draw = np.random.default_rng(4)
    matrix, data = draw.standard_normal((80, 30)), draw.standard_normal(80)
    gram, right = matrix.T @ matrix, matrix.T @ data
    np.testing.assert_allclose(dense(gram, right, np.ones(30, dtype=bool)), nnls(matrix, data)[0], atol=SOLVER)
    positive = np.arange(30) < 12
    split = np.column_stack([matrix, -matrix[:, 12:]])
    parts = nnls(split, data)[0]
    np.testing.assert_allclose(dense(gram, right, positive)[12:], parts[12:30] - parts[30:], atol=SOLVER)


def test_the_nearest_series_of_one_maximum_is_the_best_over_all_places_of_it():
    draw = np.random.default_rng(5)
    for _ in range(10):
        values = np.exp(-(((np.arange(25) - 11) / 5) ** 2)) + 0.3 * draw.standard_normal(25)
        found = unimodal(values)
        costs = []
        for top in range(1, 26):
            rising = isotonic_regression(values[:top]).x
            falling = isotonic_regression(values[top:], increasing=False).x if top < 25 else np.zeros(0)
            costs.append(np.sum((np.concatenate([rising, falling]) - values) ** 2))
        assert np.sum((found - values) ** 2) == pytest.approx(min(costs), rel=1e-10)
        turns = np.sign(np.diff(found))
        assert (np.diff(turns[turns != 0]) <= 0).all()


def test_a_weight_is_as_many_values():
    """Integer weights against the same value so many times."""
    draw = np.random.default_rng(9)
    for _ in range(20):
        values, weights = draw.normal(size=12), draw.integers(1, 5, 12)
        repeated = unimodal(np.repeat(values, weights))
        np.testing.assert_allclose(np.repeat(unimodal(values, weights.astype(float)), weights), repeated, atol=1e-12)
