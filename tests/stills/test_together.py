"""All images in one search, against the whole covariance of all photons written out, and against integrals."""

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import quad

from madpipe.stills.integrate.intensities import Belief, Word, log_evidence, wilson_belief
from madpipe.stills.integrate.together import Photons, reference_part, wilson_part

IMAGES, UNIQUE, SPOTS = 3, 6, 40
NUMBERS = 2 * IMAGES + 2


@pytest.fixture
def case():
    """Scales and widths as linear slopes of ln S, and of J."""
    rng = np.random.default_rng(5)
    unique, image = rng.integers(0, UNIQUE, SPOTS), rng.integers(0, IMAGES, SPOTS)
    mean, sd = rng.uniform(50, 500, UNIQUE), np.array([10.0, 30.0, 100.0, 200.0, 5.0, 80.0])
    by = np.zeros((SPOTS, NUMBERS))
    by[range(SPOTS), 2 * image], by[range(SPOTS), 2 * image + 1] = 1.0, -rng.uniform(0, 0.3, SPOTS) / 4
    by[:, -2:] = rng.normal(size=(SPOTS, 2))
    by_photons = 5 * rng.normal(size=(SPOTS, NUMBERS))
    start = rng.uniform(0.2, 2, SPOTS) * (rng.random(SPOTS) > 0.1)
    sigma = rng.uniform(3, 30, SPOTS)
    photons = 1.05 * start * (mean + sd * rng.normal(size=UNIQUE))[unique] + sigma * rng.normal(size=SPOTS)

    def told(numbers):
        rows = sparse.csr_array(by), sparse.csr_array(by_photons)
        return Photons(unique, start * np.exp(by @ numbers), photons + by_photons @ numbers, sigma, *rows)

    return told, Belief(mean, sd**2, False, rng.random(UNIQUE) < 0.5), start


def central(function, count=NUMBERS, step=1e-5):
    """Derivatives about 0."""
    steps = step * np.eye(count)
    return np.array([(function(one) - function(-one)) / 2 / step for one in steps])


def test_squares_of_a_reference_are_those_of_the_whole_covariance(case):
    told, belief, start = case
    here = told(np.zeros(NUMBERS))
    same = here.unique[:, None] == here.unique
    whole = np.diag(here.sigma**2) + same * np.outer(start, start) * belief.variance[here.unique]
    used = start > 0
    whole = whole[np.ix_(used, used)]

    def apart(numbers):
        at = told(numbers)
        return (at.photons - at.factor * belief.mean[at.unique])[used]

    def value(numbers):
        return apart(numbers) @ np.linalg.solve(whole, apart(numbers)) / 2

    numbers = np.full(NUMBERS, 0.03)
    found = reference_part(told(numbers), belief, start)
    assert found.value == pytest.approx(value(numbers), rel=1e-9)
    slope = central(lambda one: value(numbers + one))
    assert found.slope == pytest.approx(slope, rel=1e-6, abs=1e-6 * np.abs(slope).max())
    rows = central(lambda one: apart(numbers + one))
    expected = rows @ np.linalg.solve(whole, rows.T)
    assert found.information == pytest.approx(expected, rel=1e-6, abs=1e-6 * np.abs(expected).max())


def test_wilson_s_slope_is_that_of_its_integrals(case):
    told, belief, _ = case
    law = wilson_belief(belief.mean, belief.centric)
    found = wilson_part(told(np.zeros(NUMBERS)), law)
    slope = central(lambda one: wilson_part(told(one), law).value)
    assert found.slope == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(slope).max())
    assert np.linalg.eigvalsh(found.information).min() > -1e-9 * np.abs(found.information).max()


@pytest.mark.parametrize("centric", [False, True])
@pytest.mark.parametrize(("x", "v"), [(-1.2, 0.04), (-60.0, 400.0), (0.0, 4.0), (2.0, 0.04), (40.0, 400.0)])
def test_the_evidence_is_wilson_s_integral(centric, x, v):
    sigma, offset = 10.0, max(x, 0.0) ** 2 / 2 / v

    def density(f):  # over F, so that a centric one has no pole
        law = f * np.exp(-(f**2) / sigma) / sigma
        if centric:
            law = np.exp(-(f**2) / 2 / sigma) / np.sqrt(2 * np.pi * sigma)
        return 2 * law * np.exp((x * f**2 - f**4 / 2) / v - offset)

    expected = quad(density, 0, np.sqrt(max(x, 0) + 12 * np.sqrt(v) + 1), limit=500, epsabs=0, epsrel=1e-10)[0]
    belief = wilson_belief(np.array([sigma]), np.array([centric]))
    found = log_evidence(belief, Word(np.array([1 / v]), np.array([x / v])))[0]
    assert found == pytest.approx(np.log(expected) + offset, abs=1e-6)
