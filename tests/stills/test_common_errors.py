"""Variance from other images' scales, against the whole covariance of all measurements written out."""

import numpy as np
import pytest

from madpipe.stills.integrate.common_errors import neglected_variance
from madpipe.stills.records import IntensityTable, SpotTable

IMAGES, UNIQUE, MODEL_ERROR = 3, 6, 0.1


@pytest.fixture
def tables():
    rng = np.random.default_rng(5)
    unique, image = rng.integers(0, UNIQUE, 40), rng.integers(0, IMAGES, 40)
    factor, mean = rng.uniform(0.2, 2, 40), rng.uniform(50, 500, UNIQUE)
    empty = np.zeros(40)
    spots = SpotTable(
        hkl=empty, image=image, panel=empty, xy=empty, photons=empty, photon_errors=rng.uniform(3, 30, 40),
        expected=factor * mean[unique], factor=factor, partiality=empty, excitation=empty,
        inverse_d2=rng.uniform(0, 0.3, 40), background=empty, flags=empty,
        outlier=(rng.random(40) < 0.1).astype(int), unique=unique, plus=empty,
    )  # fmt: skip
    none = np.zeros(UNIQUE)
    sd = np.array([10.0, 30.0, 100.0, 200.0, 5.0, 80.0])
    return spots, IntensityTable(none, mean, none, none, mean, sd, none)


def written_out(spots, intensities):
    """Fisher information of ln G, B from J ~ N(S I, sigma^2 + v S S') with every covariance as a full matrix."""
    use = spots.outlier == 0
    slope = np.zeros((use.sum(), 2 * IMAGES))
    expected, unique = spots.expected[use], spots.unique[use]
    for row, (image, d2) in enumerate(zip(spots.image[use], spots.inverse_d2[use], strict=True)):
        slope[row, 2 * image : 2 * image + 2] = expected[row] * np.array([1.0, -d2 / 2])
    same = unique[:, None] == unique
    factor = spots.factor[use]
    covariance = np.diag(spots.photon_errors[use] ** 2 + (MODEL_ERROR * expected) ** 2)
    covariance = covariance + same * np.outer(factor, factor) * intensities.prior_sd[unique] ** 2
    return slope.T @ np.linalg.solve(covariance, slope) + 1e-2 * np.eye(2 * IMAGES)


def test_what_is_added_makes_the_errors_those_of_all_images_together(tables):
    found = neglected_variance(*tables, IMAGES, MODEL_ERROR)
    information = written_out(*tables)
    together = np.diag(np.linalg.inv(information)).reshape(IMAGES, 2)
    alone = [np.diag(np.linalg.inv(information[2 * k : 2 * k + 2, 2 * k : 2 * k + 2])) for k in range(IMAGES)]
    assert found == pytest.approx(together - np.array(alone), rel=1e-9)
    assert (found[:, 0] > 0.01 * together[:, 0]).all()


def test_images_that_share_no_reflection_add_nothing(tables):
    spots, intensities = tables
    apart = SpotTable(**{**vars(spots), "unique": spots.image + IMAGES * (spots.unique % 2)})
    assert neglected_variance(apart, intensities, IMAGES, MODEL_ERROR) == pytest.approx(
        np.zeros((IMAGES, 2)), abs=1e-12
    )
