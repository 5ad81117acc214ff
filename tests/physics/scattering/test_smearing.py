import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from torch.testing import assert_close

from madpipe.physics.scattering.smearing import (
    MOST_NODES,
    Resolution,
    given_smearing,
    largest_seen,
    smearing,
)

RADIUS = 2300.0
TARGET = 1e-4  # of the smeared curve, at its worst point
Q = np.geomspace(1e-5, 0.03, 60)


def sphere(q, radius=RADIUS):
    """Intensity of a sphere without spread: its minima are zeros."""
    x = np.maximum(np.abs(q) * radius, 1e-3)
    return (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


def steps(low, high, most):
    return np.linspace(low, high, math.ceil((high - low) / most) + 1)


def integral(function, ends):
    """Adaptive quadrature between ends that no oscillation crosses: apart from any grid."""
    return sum(quad(function, *pair, epsrel=1e-9, epsabs=1e-14)[0] for pair in itertools.pairwise(ends))


def slit(q, length, curve=sphere, period=math.pi / RADIUS):
    ends = np.sqrt(np.maximum(steps(q, math.hypot(q, length), period) ** 2 - q**2, 0))
    ends[-1] = length
    return integral(lambda u: float(curve(math.hypot(q, u))), ends) / length


def pinhole(q, dq, cut=2.5):
    ends = steps(q - cut * dq, q + cut * dq, min(math.pi / RADIUS, dq))
    shape = lambda k: math.exp(-0.5 * ((k - q) / dq) ** 2)  # noqa: E731
    return integral(lambda k: float(sphere(k)) * shape(k), ends) / integral(shape, ends)


def smeared(resolution, q=Q, curve=sphere, largest=2 * RADIUS):
    made = smearing(torch.as_tensor(q), resolution, largest)
    return made(torch.from_numpy(curve(made.q.numpy()))).numpy()


def test_slit_is_that_of_quadrature_at_every_point_of_few():
    chosen = Q[::4]
    found = smeared(Resolution(slit_length=torch.full((15,), 0.117)), chosen)
    np.testing.assert_allclose(found, [slit(q, 0.117) for q in chosen], rtol=TARGET / 50)


@pytest.mark.parametrize("relative", [0.01, 0.05, 0.3])
def test_pinhole_is_that_of_quadrature_at_every_point_of_few(relative):
    """At 30 % of q the Gaussian's lower end is at 0.25 q."""
    chosen = Q[1::4]
    found = smeared(Resolution(dq=torch.from_numpy(relative * chosen)), chosen)
    np.testing.assert_allclose(found, [pinhole(q, relative * q) for q in chosen], rtol=TARGET / 4)


@pytest.mark.parametrize("cut", [2.5, 3.0])
def test_negative_q_is_reflected(cut):
    q, dq = np.array([1e-4, 2e-4]), np.array([4e-4, 9e-5])
    found = smeared(Resolution(dq=torch.from_numpy(dq), cut=cut), q)
    np.testing.assert_allclose(found, [pinhole(*pair, cut) for pair in zip(q, dq, strict=True)], rtol=1e-8)


def test_a_curve_with_a_peak_at_zero_is_reflected_there():
    """Where few nodes lie between 0 and the first point, those below 0 count."""
    q, dq, curve = 0.05, 0.025, lambda k: 1 / (1 + (100 * k) ** 2)
    found = smeared(Resolution(dq=torch.tensor([dq])), np.array([q]), curve, 50.0)
    shape = lambda k: math.exp(-0.5 * ((k - q) / dq) ** 2)  # noqa: E731
    ends = np.linspace(q - 2.5 * dq, q + 2.5 * dq, 9)
    expected = integral(lambda k: curve(k) * shape(k), ends) / integral(shape, ends)
    assert float(found[0]) == pytest.approx(expected, rel=2e-7)


def test_slit_s_length_and_width_together_are_those_of_a_double_integral():
    radius, q = 200.0, np.array([0.002, 0.01, 0.03])
    half, length = 0.003, 0.02
    found = smeared(
        Resolution(slit_length=torch.full((3,), length), slit_width=torch.full((3,), half)),
        q,
        lambda k: sphere(k, radius),
        2 * radius,
    )
    for one, value in zip(q, found, strict=True):
        expected = dblquad(
            lambda u, k: float(sphere(math.hypot(k, u), radius)), one - half, one + half, 0, length, epsrel=1e-7
        )[0]
        assert value == pytest.approx(expected / (2 * half * length), rel=1e-6)


def test_wavelengths_and_pinhole_together_are_those_of_a_double_integral():
    q, dq, spread = 3e-3, 2e-4, 0.1
    found = smeared(Resolution(dq=torch.tensor([dq]), wavelength_spread=spread), np.array([q]))
    expected = quad(lambda s: pinhole(q / s, dq), 1 - spread / 2, 1 + spread / 2, epsrel=1e-7)[0] / spread
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_power_laws_are_those_of_closed_forms():
    """Of q^-4 behind a slit: (1/L) [L / (2 q^2 (q^2 + L^2)) + atan(L / q) / (2 q^3)]."""
    q, length = np.geomspace(1e-4, 1, 12), 0.05
    expected = (length / (2 * q**2 * (q**2 + length**2)) + np.arctan(length / q) / (2 * q**3)) / length
    found = smeared(Resolution(slit_length=torch.full((12,), length)), q, lambda k: k**-4.0, 100.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rows_sum_to_one_and_do_not_depend_on_other_points():
    q, dq = torch.tensor([0.3, 0.01, 0.02]), torch.tensor([0.03, 0.002, 0.001])
    made = smearing(q, Resolution(dq=dq, slit_length=dq), 500.0)
    assert_close(made.matrix.sum(1), torch.ones(3), rtol=1e-12, atol=0)
    again = smearing(q[[0, 1]], Resolution(dq=dq[[0, 1]], slit_length=dq[[0, 1]]), 500.0)
    assert_close(again.matrix, made.matrix[:2], rtol=0, atol=0)


def test_one_q_of_two_settings_stays_two_rows():
    q = torch.tensor([2e-3, 2e-3])
    found = smeared(Resolution(dq=torch.tensor([1e-4, 3e-4])), q.numpy())
    np.testing.assert_allclose(found, [pinhole(2e-3, 1e-4), pinhole(2e-3, 3e-4)], rtol=TARGET / 20)


def test_perfect_points_are_the_curve_s_own():
    dq = torch.tensor([0.0, 1e-4])
    found = smeared(Resolution(dq=dq), np.array([1e-3, 2e-3]))
    assert found[0] == pytest.approx(sphere(1e-3), rel=1e-5)


def test_what_is_seen_of_a_particle():
    assert largest_seen(torch.tensor([0.02, 0.01])) == pytest.approx(100 * math.pi)


def test_given_matrix_is_taken_and_a_wrong_one_refused():
    q, matrix = torch.tensor([0.1, 0.2]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert_close(given_smearing(q, matrix)(torch.tensor([4.0, 8.0])), torch.tensor([7.0, 4.0]))
    with pytest.raises(ValueError, match="divide"):
        given_smearing(q, 2 * matrix)
    assert_close(given_smearing(q, 2 * matrix, normalised=False).matrix, 2 * matrix)
    with pytest.raises(ValueError, match="sort"):
        given_smearing(q.flip(0), matrix)


@pytest.mark.parametrize(
    ("q", "resolution", "words"),
    [
        ([0.0, 0.1], Resolution(), "leave such points out"),
        ([0.1, 0.2], Resolution(dq=torch.tensor([-0.1, 0.1])), "finite dq"),
        ([0.1, 0.2], Resolution(slit_length=torch.tensor([0.1, math.inf])), "finite slit_length"),
        ([0.1, 0.2], Resolution(dq=torch.tensor([0.1])), "for each of 2"),
        ([0.1, 0.2], Resolution(wavelength_spread=1.0), "wavelength spread"),
    ],
)
def test_no_resolution_is_refused(q, resolution, words):
    with pytest.raises(ValueError, match=words):
        smearing(torch.tensor(q), resolution, 100.0)


def test_a_grid_beyond_all_bounds_is_refused():
    with pytest.raises(ValueError, match=f"{MOST_NODES} nodes"):
        smearing(torch.tensor([1e-3, 5.0]), Resolution(), 1e6)
