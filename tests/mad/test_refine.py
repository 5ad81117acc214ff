"""f', f'' found again from simulated reflections: exactly without noise, within honest error bars with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.records import Stack
from madpipe.mad.refine import refine_dispersion

F_PRIME = np.array([-9.0, -7.0, -3.0])
F_DOUBLE_PRIME = np.array([3.0, 6.0, 4.0])
COLD = (np.array([-8.0, -8.0, -3.0]), np.array([4.0, 4.0, 4.0]))
FOUR = 4.0  # |z| below this: 6e-5 of draws beyond, with a fixed generator


def reflections(generator, noise=0.0, count=150, start=COLD):
    """Friedel pairs of random structure factors; sigma is noise x (I + 0.15 mean I)."""

    def complex_normal(size, scale):
        return torch.randn(size, dtype=torch.complex128, generator=generator) * scale

    resonant = complex_normal(count, 100.0)
    total = resonant + complex_normal(count, 250.0)
    f0 = 20 + 13 * torch.rand(count, dtype=torch.float64, generator=generator)
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(count)
    f_prime = torch.as_tensor(F_PRIME)[:, None].expand(3, 2 * count)
    ratio = dispersion_ratio(f_prime, torch.as_tensor(F_DOUBLE_PRIME)[:, None] * sign, f0.repeat(2)[None])
    intensity = mad_intensity(total.repeat(2)[None], resonant.repeat(2)[None], ratio)
    floor = 0.15 * intensity.mean()
    sigma = noise * torch.hypot(intensity, floor)
    data = intensity + sigma * torch.randn(sigma.shape, dtype=torch.float64, generator=generator)
    stated = (noise or 0.01) * torch.hypot(data.clamp(min=0), floor)
    return Stack(
        data=data.numpy(),
        data_errors=stated.numpy(),
        energy=np.array([12650.0, 12660.0, 12900.0]),
        f_prime=start[0],
        f_double_prime=start[1],
        f0=f0.repeat(2).numpy(),
        element="Se",
        edge="K",
        table="",
        title="",
        name="",
        reflection=np.arange(2 * count),
        miller_indices=np.column_stack([np.tile(np.arange(count), 2)] * 3),
        friedel_sign=sign.numpy().astype(int),
    )


def z_scores(nuisance):
    errors = np.concatenate([nuisance.f_prime_errors[:2], nuisance.f_double_prime_errors[:2]])
    return np.concatenate([(nuisance.f_prime - F_PRIME)[:2], (nuisance.f_double_prime - F_DOUBLE_PRIME)[:2]]) / errors


def test_without_noise_the_truth_comes_back_from_a_cold_start(rng):
    found = refine_dispersion(reflections(rng))
    # the sum of squares is known to 1e-16 of sum (I / sigma)^2, its minimum hence to 1e-8 of I / sigma = 100 in
    # residuals, times the errors per unit of chi, 0.15 electron at 1 % noise
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)
    assert found.noise_scale < 1e-6


def test_error_bars_hold_over_noisy_repeats(rng):
    found = [refine_dispersion(reflections(rng, noise=0.01)) for _ in range(6)]
    scores = np.array([z_scores(one) for one in found])
    assert np.abs(scores).max() < FOUR
    # sum of 6 x 4 squares, correlated within a repeat: as if of 6 x 2, chi-square of mean 1 +- sqrt(2 / 12)
    assert abs((scores**2).mean() - 1) < FOUR * np.sqrt(2 / 12)
    # 150 x 3 - 4 degrees of freedom; the error model is fitted too, which costs a little
    scales = np.array([one.noise_scale for one in found])
    assert np.abs(scales - 1).max() < FOUR / np.sqrt(2 * 446) + 0.02


def test_the_minimum_where_nothing_is_determined_is_not_taken(rng):
    # at 3 % noise a minimum with all rho_k on one circle, f' near -13 and -9.7, is some 10 % lower than the true one
    found = [refine_dispersion(reflections(rng, noise=0.03, count=300)) for _ in range(3)]
    scores = np.array([z_scores(one) for one in found])
    assert np.abs(scores).max() < FOUR


def test_stated_errors_three_times_too_large_show_in_the_noise_scale_only(rng):
    stack = reflections(rng, noise=0.01)
    found = refine_dispersion(stack)
    loose = refine_dispersion(replace(stack, data_errors=3 * stack.data_errors))
    np.testing.assert_allclose(loose.f_prime, found.f_prime, rtol=1e-4)
    np.testing.assert_allclose(loose.f_prime_errors, found.f_prime_errors, rtol=1e-3)
    assert loose.noise_scale == pytest.approx(found.noise_scale / 3, rel=1e-4)


def test_the_last_energy_sets_the_gauge(rng):
    stack = reflections(rng, noise=0.01)
    found = refine_dispersion(stack)
    assert (found.f_prime[-1], found.f_double_prime[-1]) == (-3, 4)
    assert (found.f_prime_errors[-1], found.f_double_prime_errors[-1]) == (0, 0)
    other = refine_dispersion(replace(stack, f_prime=COLD[0] - 1.5, f_double_prime=2 * COLD[1]))
    np.testing.assert_allclose(other.f_double_prime, 2 * found.f_double_prime, rtol=1e-3)
    np.testing.assert_allclose(other.f_prime + 4.5, 2 * (found.f_prime + 3), rtol=1e-3)
    np.testing.assert_allclose(other.f_prime_errors, 2 * found.f_prime_errors, rtol=1e-2)
    assert "f' = -4.5, f'' = 8" in other.gauge


def test_differences_of_f_prime_keep_the_side_of_the_start(rng):
    stack = reflections(rng)
    above = refine_dispersion(replace(stack, f_prime=np.array([2.0, 1.0, -3.0])))
    np.testing.assert_allclose(above.f_prime, [3, 1, -3], atol=1e-6)
    np.testing.assert_allclose(above.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


def test_what_was_not_measured_is_left_out(rng):
    stack = reflections(rng)
    lost = torch.rand(stack.data.shape, generator=rng).numpy() < 0.2
    data = np.where(lost, np.nan, stack.data)
    found = refine_dispersion(replace(stack, data=data, data_errors=np.where(lost, np.nan, stack.data_errors),
                                      mask=lost.astype(np.uint32)))  # fmt: skip
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


def test_exposures_are_taken_into_account(rng):
    stack, monitor = reflections(rng), np.array([0.5, 2.0, 1.0])
    scaled = {"data": stack.data * monitor[:, None], "data_errors": stack.data_errors * monitor[:, None]}
    found = refine_dispersion(replace(stack, **scaled, monitor=monitor))
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"friedel_sign": None}, "needs Friedel mates"),
        ({"friedel_sign": np.ones(300, dtype=int), "miller_indices": None}, "needs Friedel mates"),
        ({"miller_indices": None}, "more than three intensities"),
        ({"f_double_prime": np.array([4.0, 4.0, 0.0])}, "unit of all others"),
    ],
)
def test_what_the_data_cannot_determine_is_refused(rng, changes, match):
    with pytest.raises(InputError, match=match):
        refine_dispersion(replace(reflections(rng), **changes))
