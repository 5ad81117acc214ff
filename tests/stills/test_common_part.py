"""Errors of scales beside their mean, against the whole covariance of all photons written out."""

from dataclasses import fields, replace

import numpy as np
import pytest

from madpipe.stills.records import ImageTable, InstrumentTable, Integrated, IntensityTable, SpotTable
from madpipe.stills.scores.common_part import relative_errors

IMAGES, UNIQUE, SPOTS, RADIUS = 4, 7, 60, 1.2e-3


def record(kind, **values):
    """A table of which only some columns matter."""
    return kind(**{one.name: np.zeros(1) for one in fields(kind)} | values)


@pytest.fixture
def integrated():
    rng = np.random.default_rng(3)
    excitation = rng.normal(scale=0.5 * RADIUS, size=SPOTS)
    spots = record(
        SpotTable,
        image=rng.integers(0, IMAGES, SPOTS),
        unique=rng.integers(0, UNIQUE, SPOTS),
        factor=rng.uniform(0.2, 2, SPOTS),
        expected=rng.uniform(100, 500, SPOTS),
        photon_errors=rng.uniform(3, 30, SPOTS),
        outlier=(rng.random(SPOTS) < 0.1).astype(np.uint8),
        excitation=excitation,
        partiality=np.exp(-((excitation / RADIUS) ** 2)),
        inverse_d2=rng.uniform(0.02, 0.3, SPOTS),
    )
    images = record(
        ImageTable,
        names="",
        verdicts="",
        good=np.array([1, 1, 0, 1]),
        ln_scale_errors=rng.uniform(0.1, 0.2, IMAGES),
        wilson_b_errors=rng.uniform(1, 2, IMAGES),
    )
    intensities = record(IntensityTable, mean=rng.uniform(50, 500, UNIQUE), prior_sd=rng.uniform(5, 200, UNIQUE))
    instrument = record(InstrumentTable, names="", values=np.log([RADIUS]), errors=np.array([0.01]))
    return Integrated("P 1", np.zeros(6), 1.0, "joint", 3, True, 0.02, None, spots, images, intensities, instrument)


def slopes(spots, free_radius):
    """Derivatives of ln S by ln G and B of each image, then by ln R0, by differences of the law itself."""
    found = np.zeros((SPOTS, 2 * IMAGES + free_radius))
    for row, (image, d2) in enumerate(zip(spots.image, spots.inverse_d2, strict=True)):
        found[row, 2 * image : 2 * image + 2] = (1.0, -d2 / 2)
    if free_radius:
        step = 1e-4
        law = [-((spots.excitation / (RADIUS * np.exp(sign * step))) ** 2) for sign in (1, -1)]
        found[:, -1] = (law[0] - law[1]) / (2 * step)
    return found


def covariance(integrated, doubts=True, free_radius=True):
    """Of all scales, from that of all photons."""
    spots, _, intensities, _ = integrated.tables()
    used = spots.outlier == 0
    variance = spots.photon_errors**2 + (integrated.model_error * spots.expected) ** 2
    same = spots.unique[:, None] == spots.unique
    shared = same * np.outer(spots.factor, spots.factor) * intensities.prior_sd[spots.unique] ** 2 * doubts
    by = slopes(spots, free_radius) * (spots.factor * intensities.mean[spots.unique])[:, None]
    whole = (np.diag(variance) + shared)[np.ix_(used, used)]
    found = np.linalg.inv(by[used].T @ np.linalg.solve(whole, by[used]))
    return found[: 2 * IMAGES, : 2 * IMAGES]


def shares(matrix, good):
    """Root of the variance beside the mean of the good ones over the whole."""
    about = np.eye(len(matrix)) - np.where(good, 1 / good.sum(), 0.0)
    return np.sqrt(np.diag(about @ matrix @ about.T) / np.diag(matrix))


@pytest.mark.parametrize(
    ("method", "doubts", "free"), [("joint", True, True), ("pixel-ml", False, True), ("joint", True, False)]
)
def test_errors_beside_the_mean_are_those_of_the_whole_covariance(integrated, method, doubts, free):
    _, images, _, instrument = integrated.tables()
    told = replace(integrated, method=method, instrument=replace(instrument, errors=instrument.errors * free))
    matrix, good = covariance(told, doubts, free), images.good > 0
    found = relative_errors(told)
    scale, b = (np.minimum(shares(matrix[one::2, one::2], good), 1.0) for one in (0, 1))
    # differences of the law are right to 1e-8, and what keeps the matrix finite is 1e-6 of an information above 1
    assert found.ln_scale == pytest.approx(images.ln_scale_errors * scale, rel=1e-4)
    assert found.wilson_b == pytest.approx(images.wilson_b_errors * b, rel=1e-4)
    assert (scale[good] < 0.999).all()


def test_one_good_image_has_no_mean_to_stand_beside(integrated):
    _, images, _, _ = integrated.tables()
    alone = replace(integrated, images=replace(images, good=np.array([0, 1, 0, 0])))
    assert relative_errors(alone).ln_scale == pytest.approx(images.ln_scale_errors)
