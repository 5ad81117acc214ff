"""Scales of all images together, against the whole covariance of all measurements written out."""

from dataclasses import replace

import numpy as np
import pytest

from madpipe.stills.integrate.intensities import Belief
from madpipe.stills.integrate.together import Measured, joint_change, neglected_variance

IMAGES, UNIQUE = 3, 6
PRECISION = np.array([0.3, 0.02])


@pytest.fixture
def case():
    rng = np.random.default_rng(5)
    unique, image = rng.integers(0, UNIQUE, 40), rng.integers(0, IMAGES, 40)
    factor, mean = rng.uniform(0.2, 2, 40), rng.uniform(50, 500, UNIQUE)
    sd = np.array([10.0, 30.0, 100.0, 200.0, 5.0, 80.0])
    intensity = mean + sd * rng.normal(size=UNIQUE)
    sigma = rng.uniform(3, 30, 40)
    photons = 1.05 * factor * intensity[unique] + sigma * rng.normal(size=40)
    out = rng.random(40) < 0.1
    measured = Measured(image, unique, factor * ~out, photons, sigma, rng.uniform(0, 0.3, 40), IMAGES)
    return measured, Belief(mean, sd**2, False, np.zeros(UNIQUE, dtype=bool))


def slopes(measured):
    """Derivatives of ln S by ln G and B of each image, a row for each spot."""
    found = np.zeros((len(measured.factor), 2 * IMAGES))
    for row, (image, d2) in enumerate(zip(measured.image, measured.inverse_d2, strict=True)):
        found[row, 2 * image : 2 * image + 2] = (1.0, -d2 / 4)
    return found


def covariance(measured, belief):
    """Of all photons: counting, and each intensity's own variance in all its spots."""
    same = measured.unique[:, None] == measured.unique
    shared = same * np.outer(measured.factor, measured.factor) * belief.variance[measured.unique]
    return np.diag(measured.sigma**2) + shared


def information(measured, belief):
    """Fisher information of the means."""
    by = slopes(measured) * (measured.factor * belief.mean[measured.unique])[:, None]
    return by.T @ np.linalg.solve(covariance(measured, belief), by)


def test_one_step_is_that_of_fisher_scoring_with_every_covariance_written_out(case):
    measured, belief = case
    mean = belief.mean[measured.unique]
    by = slopes(measured) * (measured.factor * mean)[:, None]
    slope = np.array([[0.1, -0.2], [0.0, 0.3], [0.2, 0.1]])
    pull = by.T @ np.linalg.solve(covariance(measured, belief), measured.photons - measured.factor * mean)
    normal = information(measured, belief) + np.diag(np.tile(PRECISION, IMAGES))
    expected = np.linalg.solve(normal, pull + slope.ravel()).reshape(IMAGES, 2)
    assert joint_change(measured, belief, PRECISION, slope) == pytest.approx(expected, rel=1e-9)


def test_steps_end_where_the_photons_are_explained(case):
    """Without noise, from scales that are wrong by tens of per cent."""
    measured, belief = case
    truth = np.array([[0.2, 1.0], [-0.3, 0.5], [0.1, -1.0]])
    right = measured.factor * np.exp(slopes(measured) @ truth.ravel())
    exact = replace(measured, photons=right * belief.mean[measured.unique])
    none = np.array([1e-9, 1e-9])
    found = np.zeros((IMAGES, 2))
    for _ in range(15):
        here = replace(exact, factor=measured.factor * np.exp(slopes(measured) @ found.ravel()))
        found = found + joint_change(here, belief, none, np.zeros((IMAGES, 2)))
    assert found == pytest.approx(truth, abs=1e-7)


def test_what_is_added_makes_the_errors_those_of_all_images_together(case):
    measured, belief = case
    joint = information(measured, belief) + 1e-2 * np.eye(2 * IMAGES)
    together = np.diag(np.linalg.inv(joint)).reshape(IMAGES, 2)
    alone = [np.diag(np.linalg.inv(joint[2 * k : 2 * k + 2, 2 * k : 2 * k + 2])) for k in range(IMAGES)]
    found = neglected_variance(measured, belief)
    assert found == pytest.approx(together - np.array(alone), rel=1e-9)
    assert (found[:, 0] > 0.005 * together[:, 0]).all()


def test_images_that_share_no_reflection_add_nothing(case):
    measured, belief = case
    apart = replace(measured, unique=measured.image + IMAGES * (measured.unique % 2))
    assert neglected_variance(apart, belief) == pytest.approx(np.zeros((IMAGES, 2)), abs=1e-12)
