"""Split counts: how wrong an answer is told without the truth, and a prediction is widened where it is wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.mad.fit.belief import DEGREES, Belief
from madpipe.mad.measurement import without_counts
from madpipe.mad.network import split as module
from madpipe.mad.network.answer import at_maximum
from madpipe.mad.network.calibration import at_least
from madpipe.mad.network.split import NEVER, are_counts, halves, learn
from madpipe.mad.network.trust import (
    calibrated,
    least,
    log_ratio,
    shrunken,
    spread,
    squares_by_shell,
    strength,
    usual,
    widened,
    widening,
    with_neighbours,
)
from madpipe.mad.records import Split

F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)  # Ni K, 8313 to 8348 eV [electron]
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52
SIDE = 64


@pytest.fixture
def particle(rng):
    """A frame whose points have 1 to 1e4 photons per energy, in two halves of it: (measurement, x, p, q)."""
    points = SIDE * SIDE
    root = 10 ** (2 * torch.rand(points, generator=rng))
    share, phase = 0.6 + 0.5 * torch.rand(points, generator=rng), 2 * math.pi * torch.rand(points, generator=rng)
    theta = torch.stack([root, root * share * phase.cos() / F0, root * share * phase.sin() / F0])
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, points)
    expected = module.slope_at(module.problem_of(empty, 0.0), theta).photons
    return replace(empty, intensity=torch.poisson(expected, generator=rng)), theta


def predicting(theta, relative, wrong, rng):
    """Predictions that miss by ``wrong`` times what they state, ``relative`` to |F_T|; each anew."""

    def ask(half, _shape):
        width = relative * theta[0] * torch.tensor([1.0, 1 / F0, 1 / F0])[:, None]
        # of Student's t with four degrees of freedom the scale is that of a normal of half the variance
        mean = theta + wrong * width * torch.randn(3, theta.shape[1], generator=rng) / math.sqrt(DEGREES / 2 - 1)
        zero = torch.zeros_like(width[0])
        precision = torch.stack([width[0] ** -2, zero, zero, width[1] ** -2, zero, width[2] ** -2])
        return Belief(mean, precision), theta[0].square() * half.exposure.sum()

    return ask


def true_squares(theta, answered):
    x, a, b = answered - theta
    a, b = a * F0, b * F0
    return torch.stack([x * x, a * a + b * b, (x - a).square() + b * b])


def test_halves_hold_every_photon_at_half_the_exposure(particle):
    measurement, _ = particle
    first, second = halves(measurement, torch.Generator().manual_seed(1))
    assert torch.equal(first.intensity + second.intensity, measurement.intensity)
    assert torch.equal(first.exposure, measurement.exposure / 2)
    # a half's counts scatter about half of the whole by its root over two
    off = (first.intensity - second.intensity) / measurement.intensity.clamp(min=1).sqrt()
    assert abs(float(off.square().mean()) - 1) < 4 * math.sqrt(3 / off.numel())


def test_an_honest_prediction_is_taken_as_it_is(particle, rng):
    measurement, theta = particle
    ask = predicting(theta, 0.05, 1.0, rng)
    found = learn(ask, measurement, (SIDE, SIDE))
    # where it tells less than the counts, wider is as good
    bright = found.photons[:, 0] >= 1e3
    assert (found.widened[~bright] <= 1.5).all()


def test_a_wrong_prediction_is_widened_and_the_answer_is_as_good_as_the_fit(particle, rng):
    measurement, theta = particle
    ask = predicting(theta, 0.02, 15.0, rng)
    found = learn(ask, measurement, (SIDE, SIDE))
    bright = found.photons[:, 0] >= 30
    assert (found.widened[bright] >= 5).all()
    prediction, photons = ask(measurement, None)
    factor = widening(found, photons / 8)
    taken, ignored = (
        true_squares(theta, at_maximum(measurement, widened(prediction, one)))
        for one in (factor, torch.full_like(factor, NEVER))
    )
    some = photons / 8 > 100
    assert (taken[:, some].mean(1) < ignored[:, some].mean(1)).all()
    trusting = true_squares(theta, at_maximum(measurement, prediction))
    assert (trusting[:, some].mean(1) > ignored[:, some].mean(1)).all()


def test_what_the_other_half_finds_is_the_true_error(particle, rng):
    measurement, theta = particle
    first, second = halves(measurement, rng)
    prediction, photons = predicting(theta, 0.03, 4.0, rng)(first, None)
    shell = torch.bucketize(photons / 8, torch.tensor([30.0, 300.0, 3000.0]))
    found = module._judged(first, second, prediction, photons, [1.0]).found[0]
    true = true_squares(theta, at_maximum(first, prediction))
    for number in range(4):
        off = (found - true)[:, shell == number]
        # their difference is noise of the other half, of mean zero
        assert (off.mean(1).abs() < 4 * off.std(1) / math.sqrt(off.shape[1])).all()
        if number >= 2:  # where photons are many the claim is no empty one
            assert (true[:, shell == number].mean(1) > 3 * off.std(1) / math.sqrt(off.shape[1])).all()


def test_the_same_stack_gives_the_same_split(particle, rng):
    measurement, theta = particle
    state = rng.get_state()
    answers = []
    for _ in range(2):
        rng.set_state(state)
        answers.append(learn(predicting(theta, 0.03, 3.0, rng), measurement, (SIDE, SIDE)))
    assert np.array_equal(answers[0].squared_error, answers[1].squared_error)


def test_values_that_are_no_counts_are_not_split(particle, rng):
    measurement, theta = particle
    scaled = replace(measurement, intensity=measurement.intensity * 1.7)
    assert are_counts(measurement)
    assert not are_counts(scaled)
    assert learn(predicting(theta, 0.03, 1.0, rng), scaled, (SIDE, SIDE)) is None


def split_of(found, error, stated=1.0, points=1000, widest=(1.0, 1.0)):
    rows = len(widest)
    full = np.full((rows, 3), 1.0)
    edges = np.array([(10.0, 30.0), (30.0, 100.0)])[:rows]
    return Split(
        photons=edges,
        points=np.full(rows, points),
        widened=np.array(widest),
        squared_error=found * full,
        squared_error_errors=error * full,
        uncalibrated=stated * full,
        stated=stated * full,
        of_fit=full,
        r_unseen=0.1,
        r_unseen_noise=0.1,
        usual=math.nan,
    )


def test_a_sure_finding_is_believed_and_a_vague_one_is_not():
    assert np.allclose(np.exp(shrunken(split_of(9.0, 0.1))), 3.0, rtol=0.1)
    assert np.allclose(shrunken(split_of(9.0, 1e4)), 0.0, atol=0.05)
    assert (shrunken(split_of(-5.0, 1.0)) < 0).all()  # less than nothing, by chance: less than stated


def test_factors_are_interpolated_in_the_logarithm_of_the_photons():
    split = split_of(1.0, 0.1, widest=(1.0, 4.0))
    middles = torch.tensor([math.sqrt(300), math.sqrt(3000)])
    assert torch.allclose(widening(split, middles), torch.tensor([1.0, 4.0]))
    assert torch.allclose(widening(split, middles.prod().sqrt()[None]), torch.tensor([2.0]))
    assert torch.allclose(widening(split, torch.tensor([0.0, 1e9])), torch.tensor([1.0, 4.0]))
    assert torch.equal(widening(None, middles), torch.ones(2))
    assert torch.equal(log_ratio(None, middles), torch.zeros(3, 2))


def test_neighbours_help_and_their_standard_errors_add_in_squares():
    values, points = torch.tensor([[1.0], [3.0], [1.0]]), torch.tensor([100, 100, 100])
    mean = with_neighbours(values, points, 1)[:, 0]
    assert torch.allclose(mean, torch.tensor([1.4, 7 / 3, 1.4]))
    error = with_neighbours(torch.ones(3, 1), points, 2)[:, 0]
    assert torch.allclose(error[1], torch.tensor(math.sqrt(1 + 2 / 16) / 1.5))


def test_how_usual_a_widening_is():
    kept = {"calibration.widening": torch.tensor([0.0] * 90 + [math.log(2.0)] * 10)}
    assert usual(split_of(1, 1), kept) == 1.0
    assert usual(split_of(1, 1, widest=(1.0, 2.0)), kept) == pytest.approx(0.1)
    assert usual(split_of(1, 1, widest=(9.0, 2.0)), kept) == 0.0
    assert math.isnan(usual(split_of(1, 1), {}))
    assert strength(None) == 0.0


def test_calibrated_errors_stand_beside_the_found_ones():
    split = split_of(1.0, 1e6, stated=4.0)  # nothing is found: no spread
    photons = torch.tensor([5.0, 20.0, 20.0, 50.0])
    before = {f"{name}_errors": torch.tensor([9.0, 1.0, 2.0, 1.0]) for name in ("f_total", "f_resonant", "f_normal")}
    after = {f"{name}_95": 1.96 * torch.tensor([9.0, 2.0, 4.0, 3.0]) for name in before}
    found = calibrated(split, squares_by_shell(split, photons, before, after))
    assert np.allclose(found.stated, [[16.0] * 3, [36.0] * 3], rtol=1e-3)
    assert np.array_equal(found.uncalibrated, split.uncalibrated)
    sure = split_of(16.0, 0.01, stated=4.0)  # twice as wrong as stated, before any calibration
    assert np.allclose(calibrated(sure, torch.ones(2, 2, 3)).stated, 16.0, rtol=0.05)


def test_errors_are_spread_by_what_was_found():
    split = replace(split_of(4.0, 0.001), squared_error=np.array([[1.0, 4.0, 1.0]] * 2))
    covariance = torch.tensor([1.0, 0.5, 0.2, 1.0, 0.1, 1.0])[:, None]
    found = spread(covariance, split, torch.tensor([30.0]))[:, 0]
    # x as stated, a and b twice as wrong; on a grid of logarithms 0.025 apart
    assert found.tolist() == pytest.approx([1.0, 1.0, 0.4, 4.0, 0.4, 4.0], rel=0.05)
    assert torch.equal(spread(covariance, None, torch.tensor([30.0])), covariance)


def test_no_calibration_makes_an_error_smaller_than_what_was_found_for_sure():
    """Found 3 +- .25 times what was stated: spread brings errors there; a calibration may take off two errors of it."""
    split = split_of(9.0, 1.5)
    factors = least(split, torch.tensor([30.0]))
    assert torch.allclose(factors * np.exp(shrunken(split)[0, 0]), torch.tensor(6.0).sqrt(), rtol=1e-6)
    names = ("f_total", "f_resonant", "delta_phi", "f_normal", "delta_phi_na")
    raw = {f"{name}_errors": torch.tensor([0.1]) for name in names}
    halved = {name: error / 2 for name, error in raw.items()}
    halved |= {f"{name}_95": 1.96 * error for name, error in halved.items()}
    raised = at_least(halved, raw, torch.full((3, 1), 0.8))
    for name in names:
        assert raised[f"{name}_errors"].item() == pytest.approx(0.08, rel=5e-3)
        assert raised[f"{name}_errors_95"].item() == pytest.approx(1.96 * 0.08, rel=5e-3)
    kept = at_least(halved, raw, torch.full((3, 1), 0.1))
    assert all(torch.equal(kept[name], halved[name]) for name in halved)
