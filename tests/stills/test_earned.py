"""What a fit keeps only where the images ask for it: against the integrals of normal laws, done by brute force."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from madpipe.physics.arrowhead import Arrowhead, Covariance, covariance
from madpipe.stills.integrate.earned import asked_for, begun, blocks_of, needless, with_blocks, without_blocks
from madpipe.stills.integrate.image_model import MOSAICITY, SHAPE, TAIL
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.together import shares_of, shares_of_blocks

FIRST, NEW = 3, np.array([4, 7])  # numbers of images, then shared ones, whose places are told


@pytest.fixture
def line():
    """A straight line through noise: y = A x, x with normal priors about 0, so that all integrals are known."""
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(40, 6))
    sd = np.array([9.0, 9.0, 9.0, 5.0, 0.7, 0.4])
    y = rows @ np.array([1.0, -2.0, 0.5, 1.0, 0.6, -0.3]) + rng.normal(size=40)
    return rows, sd, y


def evidence_of(rows, sd, y, which):
    """ln of the integral over the numbers that are free: y is normal."""
    whole = np.eye(len(y)) + (rows[:, which] * sd[which] ** 2) @ rows[:, which].T
    return multivariate_normal.logpdf(y, np.zeros(len(y)), whole)


def test_evidence_for_a_block_is_the_ratio_of_the_integrals(line):
    rows, sd, y = line
    information, slope = rows.T @ rows + np.diag(1 / sd**2), -rows.T @ y
    places, precision = np.array([-1, -1, -1, 0, 4, 7]), np.ones(9)
    precision[[4, 7]] = 1 / sd[4:] ** 2
    expected = evidence_of(rows, sd, y, np.arange(6)) - evidence_of(rows, sd, y, np.arange(4))
    assert asked_for(slope, information, places, [NEW], precision)[0] == pytest.approx(expected, abs=1e-9)
    kept, left = [0, 1, 2, 3, 4], [0, 1, 2, 3]
    expected = evidence_of(rows, sd, y, kept) - evidence_of(rows, sd, y, left)
    assert asked_for(slope, information, places, [np.array([4]), np.array([7])], precision)[0] == pytest.approx(
        expected, abs=1e-9
    )  # by itself


def test_a_block_is_needless_where_the_integral_without_it_is_larger(line):
    rows, sd, _ = line
    precision = np.ones(12)
    precision[[4, 7]] = 1 / sd[4:] ** 2
    errors = np.linalg.inv(rows.T @ rows + np.diag(1 / sd**2))
    for effect, is_needless in ((0.0, True), (0.6, False)):
        noise = np.random.default_rng(9).normal(size=40)
        y = rows @ np.array([1.0, -2.0, 0.5, 1.0, effect, effect]) + 0.5 * noise
        apart = np.zeros(12)
        apart[[4, 7]] = (errors @ rows.T @ y)[4:]
        apart[MOSAICITY] *= 2  # of a square's number half is taken
        gain = evidence_of(rows, sd, y, np.arange(6)) - evidence_of(rows, sd, y, np.arange(4))
        assert (gain < 0) == is_needless
        assert len(needless([NEW], apart, errors[3:, 3:], np.array([0, 4, 7]), precision)) == is_needless


def test_a_square_that_would_go_below_none_is_not_asked_for():
    information, places = np.eye(2), np.array([0, MOSAICITY])
    for slope, asked in ((-4.0, True), (4.0, False)):
        found = asked_for(np.array([0.0, slope]), information, places, [np.array([MOSAICITY])], np.full(20, 0.5))
        assert (found[0] > 3) == asked


def test_blocks_are_those_of_settings_and_symmetry():
    allowed = np.array([True, True, False, False, False])
    found = blocks_of(IntegrateConfig(), allowed)
    assert [one.tolist() for one in found] == [[MOSAICITY], [TAIL], [SHAPE.start, SHAPE.start + 1]]
    assert [one.tolist() for one in blocks_of(IntegrateConfig(fit_tail=False), ~allowed & False)] == [[MOSAICITY]]
    free = with_blocks(np.zeros(SHAPE.stop, dtype=bool), found)
    assert free.sum() == 4
    shared = begun(np.zeros(SHAPE.stop), np.ones(SHAPE.stop), found[:1])
    assert shared[MOSAICITY] > 0
    assert not shared[TAIL]


@pytest.fixture
def blocks():
    """An arrowhead of 4 blocks of 2, which 3 shared numbers join, and its whole matrix."""
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=(9, 5)) * np.array([1, 1, 1, 2, 3]) for _ in range(4)]
    each = [one.T @ one for one in rows]
    own, mixed = np.stack([one[:2, :2] for one in each]), np.stack([one[:2, 2:] for one in each])
    normal = Arrowhead(own, mixed, sum(one[2:, 2:] for one in each), rng.normal(size=(4, 2)), rng.normal(size=3))
    whole = np.zeros((11, 11))
    for k in range(4):
        place = slice(2 * k, 2 * k + 2)
        whole[place, place], whole[place, 8:], whole[8:, place] = own[k], mixed[k], mixed[k].T
    whole[8:, 8:] = normal.shared
    return normal, whole


def test_shared_numbers_by_themselves_are_those_of_the_whole_inverse(blocks):
    normal, whole = blocks
    slope, information = without_blocks(normal)
    assert np.linalg.inv(information) == pytest.approx(np.linalg.inv(whole)[8:, 8:], rel=1e-9)
    every = np.concatenate([normal.own_slope.ravel(), normal.shared_slope])
    assert np.linalg.solve(information, slope) == pytest.approx(np.linalg.solve(whole, every)[8:], rel=1e-9)


def test_errors_about_the_mean_and_of_the_mean_are_those_of_the_whole_covariance(blocks):
    normal, whole = blocks
    errors: Covariance = covariance(normal)
    found = shares_of_blocks(errors)
    for number in range(2):
        part = np.linalg.inv(whole)[number:8:2, number:8:2]
        weight = 1 / np.diag(part) / np.sum(1 / np.diag(part))
        about = np.eye(4) - weight
        expected = np.sqrt(np.diag(about @ part @ about.T))
        assert found.relative[:, number] == pytest.approx(expected, rel=1e-9)
        assert found.common[number] == pytest.approx(np.sqrt(weight @ part @ weight), rel=1e-9)
        same = shares_of(1 / np.diag(part)[:, None], (part @ weight)[:, None])
        assert same.relative[:, 0] == pytest.approx(expected, rel=1e-9)
