"""Metrics by hand-worked numbers."""

import math

import numpy as np
import pytest

from madpipe.base import metrics


def test_r_factor():
    assert metrics.r_factor(np.array([1.0, 3.0]), np.array([2.0, 2.5])) == pytest.approx(1.5 / 4)
    assert math.isnan(metrics.r_factor(np.zeros(2), np.ones(2)))


def test_relative_l1_and_its_error():
    value, error = metrics.relative_l1(np.array([1.0, -3.0]), np.array([2.0, -6.0]))
    assert value == pytest.approx(0.5)
    assert error == pytest.approx(1.0 * math.sqrt(2) / 8)  # spread of |error| is 1, two points, scale 8
    assert math.isnan(metrics.relative_l1(np.array([1.0]), np.array([0.0]))[0])


def test_root_mean_square_and_its_error_match_repeats():
    draws = np.random.default_rng(1).normal(size=(2000, 400))
    values = np.array([metrics.root_mean_square(row) for row in draws])
    assert values[:, 0].mean() == pytest.approx(1, abs=4 * values[:, 0].std() / math.sqrt(2000) + 1e-3)
    # the stated standard error against the spread of 2000 repeats, which is itself known to 1.6 %
    assert values[:, 1].mean() == pytest.approx(values[:, 0].std(), rel=0.07)


def test_the_jackknife_of_a_ratio_is_that_of_leaving_each_sample_out():
    above, below = np.array([1.0, 4.0, 2.0, 7.0]), np.array([2.0, 3.0, 5.0, 4.0])
    for root in (False, True):
        power = 0.5 if root else 1.0
        without = [((14.0 - a) / (14.0 - b)) ** power for a, b in zip(above, below, strict=True)]
        spread = sum((one - sum(without) / 4) ** 2 for one in without)
        value, error = metrics.pooled_ratio(above, below, root=root)
        assert value == pytest.approx(1.0)
        assert error == pytest.approx(math.sqrt(3 / 4 * spread), rel=1e-12)
    # of a mean it is the standard error of the mean
    assert metrics.pooled_ratio(above, np.ones(4))[1] == pytest.approx(above.std(ddof=1) / 2, rel=1e-12)


def test_coverage():
    assert metrics.coverage(np.array([0.5, 1.0, 2.0, 3.0]), np.ones(4), 1.0) == 0.25  # one at the limit is outside
    assert metrics.coverage(np.array([0.5, -1.5, 3.0]), np.ones(3), 1.96) == pytest.approx(2 / 3)


def test_coverages_are_of_both_intervals():
    found = metrics.coverages(np.array([0.5, -1.5, 3.0]), np.ones(3))
    assert found == {"coverage_68": pytest.approx(1 / 3), "coverage_95": pytest.approx(2 / 3)}
    assert metrics.coverages(np.zeros(0), np.zeros(0)) == {"coverage_68": None, "coverage_95": None}


def test_mean_and_its_error():
    assert metrics.mean_with_error([1.0, 2.0, 6.0]) == (pytest.approx(3), pytest.approx(math.sqrt(7 / 3)))
    assert metrics.mean_with_error([4.0]) == (4.0, 0.0)


def test_log_correlation_knows_sameness_and_nonsense():
    x = np.geomspace(1, 1000, 50)
    assert metrics.log_correlation(x, x) == pytest.approx(1)
    assert metrics.log_correlation(x[::-1], x) < -0.8
    assert math.isnan(metrics.log_correlation(np.ones(50), x))


def test_log_correlation_adds_a_tenth_of_the_truth_s_median_to_both():
    prediction, truth = np.array([0.0, 5.0, 10.0, 70.0]), np.array([1.0, 0.0, 19.0, 80.0])  # median 10
    first, second = np.log([1.0, 6.0, 11.0, 71.0]), np.log([2.0, 1.0, 20.0, 81.0])
    first, second = first - first.mean(), second - second.mean()
    expected = (first @ second) / math.sqrt((first @ first) * (second @ second))
    assert metrics.log_correlation(prediction, truth) == pytest.approx(expected, rel=1e-12)


def test_wrapped_angles_are_within_half_a_turn():
    angles = metrics.wrapped(np.array([-3.5, 0.0, 3.5, 7.0]))
    assert (np.abs(angles) <= np.pi).all()
    assert np.allclose(np.exp(1j * angles), np.exp(1j * np.array([-3.5, 0.0, 3.5, 7.0])))


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (1.19312, 0.0182, "1.193 +- 0.018"),
        (0.5861234, 0.00006, "0.586123 +- 0.000060"),
        (1234.5, 67.8, "1234 +- 68"),
        (3.9815e-12, 4.9e-15, "(3.9815 +- 0.0049)e-12"),
        (38235022.0, 627072.0, "(3.824 +- 0.063)e+07"),
    ],
)
def test_an_error_has_two_digits_and_its_value_as_many_places(value, error, written):
    assert metrics.with_error(value, error) == written
