"""A stack as channels and points: each quantity against a plain loop or a closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.config import FitConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.measurement import (
    Measurement,
    bijvoet_pairs,
    calculated_photons,
    condition_number,
    error_model,
    measurement_from_stack,
    with_nuisance,
)
from madpipe.mad.noise_law import POISSON, NoiseLaw
from madpipe.mad.records import Nuisance, Stack

F_PRIME, F_DOUBLE_PRIME = np.array([-9.0, -7.0, -3.0, -5.0]), np.array([3.0, 6.0, 4.0, 0.5])
MONITOR = np.array([1.0, 0.5, 2.0, 1.5])


def some(rng, points=5, noise=POISSON, background=2.0):
    """Points with a mask, exposures and a background."""
    good = torch.rand(4, points, generator=rng) > 0.2
    good[:3] = True
    return Measurement(
        intensity=torch.where(good, 100 * torch.rand(4, points, generator=rng), 0.0),
        background=torch.full((4, points), background),
        good=good,
        exposure=torch.tensor(MONITOR),
        f_prime=torch.tensor(F_PRIME),
        f_double_prime=torch.tensor(F_DOUBLE_PRIME),
        f0=15 + 10 * torch.rand(points, generator=rng),
        noise=noise,
        point_of_entry=torch.arange(points),
        energy_of_channel=torch.arange(4),
    )


def pairs(count=30, **changes):
    """Friedel mates of random structure factors, without noise; the mates in reverse order, one reflection alone."""
    random = np.random.default_rng(5)
    indices = random.permutation(np.arange(count))
    hkl = np.column_stack([np.concatenate([indices, indices[:0:-1]])] * 3)
    sign = np.concatenate([np.ones(count), -np.ones(count - 1)]).astype(int)
    total, share, f0 = 10 + 40 * random.random(count), 0.3 + random.random(count), 15 + 10 * random.random(count)
    phase = 2 * np.pi * random.random(count)
    intensity = np.empty((4, 2 * count - 1))
    for entry, (index, of) in enumerate(zip(hkl[:, 0], sign, strict=True)):
        rho = (F_PRIME + 1j * of * F_DOUBLE_PRIME) / f0[index]
        intensity[:, entry] = MONITOR * np.abs(total[index] * (np.exp(1j * phase[index]) + rho * share[index])) ** 2
    return Stack(
        data=intensity + 3.0,
        energy=np.array([12650.0, 12660.0, 12900.0, 12600.0])[:4],
        f_prime=F_PRIME,
        f_double_prime=F_DOUBLE_PRIME,
        f0=f0[hkl[:, 0]],
        element="Se",
        edge="K",
        table="",
        title="",
        name="",
        monitor=MONITOR,
        background=np.full(intensity.shape, 3.0),
        reflection=np.arange(len(sign)),
        miller_indices=hkl,
        friedel_sign=sign,
        **changes,
    )


def nuisance(**changes):
    zero, one = np.zeros(4), np.ones(4)
    plain = {"scale": one, "scale_errors": zero, "energy_offset": 0.0, "energy_offset_errors": 0.0}
    own = {"f_prime": F_PRIME, "f_prime_errors": zero, "f_double_prime": F_DOUBLE_PRIME, "f_double_prime_errors": zero}
    return Nuisance(**{**plain, **own, "noise_scale": 1.0, "gauge": "", **changes})


def test_brightness_and_what_follows_from_it_are_plain_loops(rng):
    data = some(rng)
    for point in range(5):
        seen = [k for k in range(4) if bool(data.good[k, point])]
        exposure = sum(MONITOR[k] for k in seen)
        net = sum(float(data.intensity[k, point]) - 2.0 for k in seen)
        brightness = (max(net, 0.0) + 1) / exposure
        f0 = float(data.f0[point])
        pure = np.mean(np.abs(f0 + F_PRIME + 1j * F_DOUBLE_PRIME) ** 2)
        assert float(data.total_exposure()[point]) == pytest.approx(exposure)
        assert float(data.brightness()[point]) == pytest.approx(brightness)
        assert float(data.pure_resonant(data.brightness())[point]) == pytest.approx(brightness / pure)
        assert data.least(data.brightness())[:, point].numpy() == pytest.approx(1e-3 * brightness * MONITOR + 2.0)
        assert int(data.channels()[point]) == len(seen)


def test_weights_are_the_inverse_variance_at_the_model_and_never_above_that_of_a_dark_channel(rng):
    data = some(rng, noise=NoiseLaw(4.0, 0.5, 0.01))
    expected = torch.tensor([0.0, 1.0, 10.0, 100.0])[:, None].expand(4, 5)
    seen = torch.maximum(expected, data.least(data.brightness()))
    assert_close(data.weights(expected), data.good / (4.0 + 0.5 * seen + 0.01 * seen**2))


def test_the_error_model_is_found_from_errors_that_follow_it():
    random = np.random.default_rng(1)
    intensity = 10 ** random.uniform(0.0, 4.0, (4, 59))
    sigma = np.sqrt((4.0 + 0.01 * intensity**2) * np.exp(0.2 * random.standard_normal(intensity.shape)))
    law = error_model(replace(pairs(), data=intensity, data_errors=sigma))
    # 236 errors with 0.2 in their logarithm: 0.2 / sqrt(118) on each term, four times that, and the mean of exp
    mean = np.exp(0.2**2 / 2)
    assert (law.linear, law.constant / mean, law.quadratic / mean) == (
        0,
        pytest.approx(4.0, rel=0.1),
        pytest.approx(0.01, rel=0.1),
    )


def test_friedel_mates_become_channels_of_one_point_with_the_sign_of_f_second():
    stack = pairs()
    data = measurement_from_stack(stack)
    assert data.f_double_prime.tolist() == [*F_DOUBLE_PRIME, *-F_DOUBLE_PRIME]
    assert data.exposure.tolist() == [*MONITOR, *MONITOR]
    for entry, (sign, point) in enumerate(zip(stack.friedel_sign, data.point_of_entry.tolist(), strict=True)):
        place = slice(0, 4) if sign > 0 else slice(4, 8)
        assert data.intensity[place, point].tolist() == stack.data[:, entry].tolist()
    plus, minus = bijvoet_pairs(stack).T
    assert len(plus) == 29
    assert (stack.miller_indices[plus] == stack.miller_indices[minus]).all()
    assert (stack.friedel_sign[plus] == 1).all()
    assert (stack.friedel_sign[minus] == -1).all()


def test_calculated_photons_of_an_exact_answer_are_the_data():
    stack = pairs()
    fit = fit_stack(stack, FitConfig(prior_breadth=0.0))
    # rounding times the condition number of the design, below 1e3
    np.testing.assert_allclose(calculated_photons(stack, fit), stack.data, rtol=1e-9)


def test_a_nuisance_is_put_where_it_belongs():
    stack = replace(pairs(), data_errors=np.ones((4, 59)))
    beta, scale = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.1, 1.0, 0.9, 1.2])
    changed = with_nuisance(stack, nuisance(scale=scale, background_scale=beta, noise_scale=2.0, f_prime=F_PRIME - 1))
    np.testing.assert_allclose(changed.monitor, MONITOR * scale)
    np.testing.assert_allclose(changed.background, 3.0 * beta[:, None] * np.ones(59))
    np.testing.assert_allclose(changed.data_errors, 2.0)
    assert (changed.f_prime == F_PRIME - 1).all()
    assert (with_nuisance(replace(stack, monitor=None), nuisance(scale=scale)).monitor == scale).all()
    assert with_nuisance(stack, None) is stack


def test_the_condition_number_is_that_of_columns_of_unit_norm():
    stack = replace(pairs(), friedel_sign=None, miller_indices=None)
    rho = (F_PRIME + 1j * F_DOUBLE_PRIME) / np.sort(stack.f0)[29]  # the lower median, as torch's
    matrix = np.column_stack([np.ones(4), np.abs(rho) ** 2, 2 * rho.real, 2 * rho.imag])
    values = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0), compute_uv=False)
    assert condition_number(stack) == pytest.approx(values[0] / values[-1], rel=1e-9)
