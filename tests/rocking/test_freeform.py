"""Free form: splines among more splines, a resolution that is found, and searches that do not hang on the last bits."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base import runtime
from madpipe.rocking import forward
from madpipe.rocking.config import CurveSample, RockingFitConfig, SimulatedCurve
from madpipe.rocking.fit import freeform
from madpipe.rocking.fit.fit import fit_curve
from madpipe.rocking.fit.search import minimise, prior_roots
from madpipe.rocking.model import model_of, peak_two_theta, reflection_of
from madpipe.rocking.prior import RANGES
from madpipe.rocking.profiles import Spline, knots_of
from madpipe.rocking.pseudo_voigt import blurred, convolved
from madpipe.rocking.records import curve_of
from madpipe.rocking.simulate.sample import simulate
from madpipe.rocking.substrate import centred

QUICK = RockingFitConfig(profile="spline", knots=(6, 8), starts=2)
DEPTH, WAVELENGTH = 900.0, 1.5498
SIC = CurveSample(crystal="SiC-3C", indices=(4, 0, 0), half_width=0.03, lorentzian=0.02)
PERTURBED = 20


@pytest.fixture(scope="module")
def curve():
    """Counts of a damaged layer on SiC: strain of 0.6 % below the surface, disorder above it."""
    empty = curve_of(SIC, WAVELENGTH, "empty", np.linspace(80.0, 82.0, 40), np.ones(40))
    middle = peak_two_theta(reflection_of(empty))
    two_theta = np.linspace(middle - 1.0, middle + 0.25, 126)
    blank = curve_of(SIC, WAVELENGTH, "layer", two_theta, np.ones(126))
    reflection = reflection_of(blank)
    model = model_of(blank, reflection, Spline(DEPTH, 6, 6, 30.0))
    strain, disorder = [0.3, 0.55, 0.6, 0.35, 0.1, 0.0], [1.0, 0.5, -0.5, -1.5, -2.5, -3.0]
    expected = model.expected(np.array([*strain, *disorder, math.log(1e5), math.log(5.0), 0.0]))
    counts = torch.poisson(torch.from_numpy(expected), generator=torch.Generator().manual_seed(4)).numpy()
    return replace(blank, data=counts)


def model_with(curve, count):
    reflection = reflection_of(curve)
    step = forward.largest_step(forward.as_radian(curve.two_theta), reflection, 0.006)
    return model_of(curve, reflection, Spline(DEPTH, count, count, step), finds_resolution=True)


def perturbed(curve, number):
    """The same curve but for its last bits, and a number of threads."""
    random, size = np.random.default_rng(number), 10.0 ** -(15 - number % 4)
    runtime.fix_threads(2 if number % 10 == 7 else 1)
    data, two_theta = (part * (1 + size * random.standard_normal(len(part))) for part in (curve.data, curve.two_theta))
    return replace(curve, data=data, two_theta=two_theta)


# -- splines --------------------------------------------------------------------------------------------------


def test_knots_of_few_splines_are_among_those_of_many():
    for few, many in ((4, 5), (6, 8), (8, 18), (18, 34)):
        assert set(knots_of(few)) < set(knots_of(many))
        assert len(knots_of(many)) == many + 5
    assert knots_of(10)[3:-3] == pytest.approx(np.arange(9) / 8)


def test_knots_put_in_leave_the_layer_as_it_is(rng):
    few, many = Spline(DEPTH, 6, 7, 30.0), Spline(DEPTH, 13, 18, 30.0)
    free = 3 * torch.randn(13, generator=rng)
    depth = torch.linspace(0, DEPTH, 301, dtype=torch.float64)
    for one, other in zip(few.at(depth, free), many.at(depth, few.refined(free, many.counts)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_knots_put_in_never_add_to_the_strain_s_prior(curve, rng):
    """Convex combinations of coefficients, weighted by what each spline stands for (Jensen)."""
    few, many = model_with(curve, 6), model_with(curve, 14)
    for _ in range(5):
        free = torch.cat([2 * torch.randn(6, generator=rng), torch.zeros(6)])
        finer = few.profile.refined(free, many.profile.counts)
        sums = []
        for model, numbers, count in ((few, free, 6), (many, finer, 14)):
            roots, _ = prior_roots(np.concatenate([numbers.numpy(), np.zeros(5)]), model)
            rough = model.profile.smoothness[:count, :count] @ numbers.numpy()[:count]
            sums.append(((roots[:count] ** 2).sum(), (rough**2).sum()))
        assert sums[1][0] <= sums[0][0] * (1 + 1e-9)
        assert sums[1][1] <= sums[0][1] * (1 + 1e-9)


def test_more_splines_begin_where_fewer_ended(curve):
    """A search that ended early, and two evaluations in more splines: the deviance falls, or stays."""
    few = model_with(curve, 6)
    start = np.concatenate([[0.3, 0.5, 0.6, 0.3, 0.1, 0.0], np.full(6, -1.0), [11.5, 1.6, 0.0, 0.0, -3.5]])
    last = freeform._Level(few.profile, [minimise(few, curve, start, 8)])
    found = freeform._continued(curve, model_with(curve, 14), (last,), RockingFitConfig(evaluations=5))
    assert found.answers[0].chi2 < last.answers[0].chi2 * (1 + 1e-3)
    assert found.answers[0].deviance < last.answers[0].deviance + 1.0


# -- the resolution that is found -----------------------------------------------------------------------------


def test_a_resolution_that_is_found_is_that_of_the_matrix(rng):
    measured = 0.4 + np.linspace(0, 0.002, 60)
    angles = np.sort(np.concatenate([np.linspace(0.398, 0.404, 300), 0.401 + np.linspace(-1e-5, 1e-5, 40)]))
    value = torch.rand(340, 3, generator=rng).numpy()
    width, share = 2e-5, 0.3
    found = convolved(measured, angles, value[:, 0].copy(), width, share)
    assert found.matrix == pytest.approx(forward.resolution(measured, angles, width, share).toarray(), abs=1e-8)
    assert found.curve == pytest.approx(found.matrix @ value[:, 0])
    ends = [
        convolved(measured + move, angles, value[:, 0].copy(), width * math.exp(wider), share + more).curve
        for wider, more, move in np.kron(np.diag([1e-6, 1e-6, 1e-11]), [[1.0], [-1.0]])
    ]
    for slope, place, step in ((found.by_ln_width, 0, 1e-6), (found.by_share, 2, 1e-6), (found.by_angle, 4, 1e-11)):
        expected = (ends[place] - ends[place + 1]) / (2 * step)
        assert np.abs(slope - expected).max() < 1e-4 * np.abs(expected).max()
    columns, by_angle = blurred(measured, angles, value, width)
    assert columns == pytest.approx(forward.resolution(measured, angles, width, 0.0) @ value, abs=1e-8)
    gauss = [blurred(measured + move, angles, value, width)[0][:, -1] for move in (1e-11, -1e-11)]
    assert by_angle == pytest.approx((gauss[0] - gauss[1]) / 2e-11, rel=1e-3, abs=1e-4 * np.abs(by_angle).max())


def test_the_curve_is_a_smooth_function_of_the_offset(curve):
    """Second differences are those of a parabola: where the angles moved along, each offset met other ones."""
    model = model_with(curve, 6)
    numbers = np.concatenate([np.full(6, 0.3), np.full(6, -1.0), [11.5, 1.6, 0.0, 0.0, -3.5]])
    offsets = np.linspace(-0.5, 0.5, 41)
    place = int(curve.data.argmax())
    peak = np.array([model.expected(numbers + one * (np.arange(17) == 14))[place] for one in offsets])
    bends = np.diff(peak, 2)
    assert np.abs(np.diff(bends)).max() < 0.05 * np.abs(bends).max() + 1e-9 * peak.max()


# -- the search -----------------------------------------------------------------------------------------------


def test_a_free_form_does_not_hang_on_the_last_bits(curve):
    found = [fit_curve(perturbed(curve, number), QUICK, DEPTH, torch.Generator()) for number in range(PERTURBED)]
    chi2 = np.array([one.chi2 for one in found])
    assert np.abs(chi2 / chi2[0] - 1).max() < 0.01
    assert chi2[0] < 1.3
    assert found[0].strain.max() == pytest.approx(0.0055, abs=6e-4)


def test_an_implanted_layer_does_not_hang_on_the_last_bits():
    sample = SimulatedCurve(
        parameters=(0.012, 0.006, 3500.0, 1200.0, 0.004, 2200.0, -800.0), points=251, background=50.0
    )
    one = simulate(sample, "one", torch.Generator().manual_seed(1))
    config = RockingFitConfig(profile="implanted", library=100, starts=3, explorations=1, samples=0, evaluations=20)
    found = [fit_curve(perturbed(one, number), config, 0.0, torch.Generator().manual_seed(2)) for number in range(3)]
    chi2 = np.array([each.chi2 for each in found])
    assert np.abs(chi2 / chi2[0] - 1).max() < 0.01
    off = np.abs(np.array([each.parameters for each in found]) - found[0].parameters) / np.array(RANGES)
    assert off[:, 2].max() < 1e-3  # L1, which the curve determines best


def test_the_fit_tells_how_far_it_is(curve, monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "madpipe"):
        fit_curve(curve, QUICK.model_copy(update={"starts": 1, "knots": (6,)}), DEPTH, torch.Generator())
    for words in ("scouts of 6 splines: 1 of ", "6 splines: 1 of ", "the last digits: 1 of ", " s left"):
        assert any(words in line for line in caplog.messages), words


def test_angles_and_counts_lose_what_is_below_all_errors(curve):
    reflection = reflection_of(curve)
    one, other = (centred(each, reflection) for each in (curve, perturbed(curve, 1)))
    assert np.array_equal(one.two_theta, other.two_theta)
    assert np.array_equal(one.data, other.data)
    assert one.data == pytest.approx(curve.data, rel=1e-6)
