"""The MAD equation against closed forms, and its linear form against itself."""

import math

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.forward import (
    anomalous_factor,
    design_matrix,
    dispersion_ratio,
    in_resonant_gauge,
    intensity_slopes,
    linear_unknowns,
    mad_amplitude,
    mad_intensity,
)

ROUNDING = {"rtol": 1e-12, "atol": 1e-14}  # float64, about ten operations on values near 1


@pytest.fixture
def case(rng):
    f_t, f_a = torch.randn(2, 50, generator=rng, dtype=torch.complex128)
    f_prime, f_double_prime = -4 - 5 * torch.rand(8, 1, generator=rng), 4 * torch.rand(8, 1, generator=rng)
    f0 = 20 + torch.rand(50, generator=rng)
    return f_t, f_a, f_prime, f_double_prime, f0


def test_ratio_is_dispersion_over_form_factor(case):
    *_, f_prime, f_double_prime, f0 = case
    ratio = dispersion_ratio(f_prime, f_double_prime, f0)
    assert_close(ratio.real * f0, f_prime.expand(8, 50), **ROUNDING)
    assert_close(ratio.imag * f0, f_double_prime.expand(8, 50), **ROUNDING)


def test_the_anomalous_factor_stands_for_the_ratio_where_f_a_over_f0_does_for_f_a(case):
    f_t, f_a, f_prime, f_double_prime, f0 = case
    assert torch.equal(anomalous_factor(f_prime, f_double_prime), f_prime + 1j * f_double_prime)
    found = mad_intensity(f_t, f_a / f0, anomalous_factor(f_prime, f_double_prime))
    assert_close(found, mad_intensity(f_t, f_a, dispersion_ratio(f_prime, f_double_prime, f0)), **ROUNDING)


def test_slopes_are_the_derivatives_by_f_prime_and_f_double_prime(case):
    f_t, f_a, *parts, f0 = case
    f_prime, f_double_prime = (part.expand(8, 50).clone().requires_grad_() for part in parts)
    ratio = anomalous_factor(f_prime, f_double_prime)
    mad_intensity(f_t, f_a / f0, ratio).sum().backward()
    slopes = intensity_slopes(mad_amplitude(f_t, f_a / f0, ratio.detach()), f_a / f0)
    assert_close(slopes, (f_prime.grad, f_double_prime.grad), **ROUNDING)


def test_intensity_is_the_published_expression(case):
    f_t, f_a, f_prime, f_double_prime, f0 = case
    phase = f_t.angle() - f_a.angle()
    cross = f_prime * phase.cos() + f_double_prime * phase.sin()
    expected = f_t.abs() ** 2 + (f_prime**2 + f_double_prime**2) * (f_a.abs() / f0) ** 2
    expected = expected + 2 * f_t.abs() * f_a.abs() / f0 * cross
    assert_close(mad_intensity(f_t, f_a, dispersion_ratio(f_prime, f_double_prime, f0)), expected, **ROUNDING)


@pytest.mark.parametrize(("turn", "sign"), [(1j, -1), (-1j, +1)])
def test_resonant_part_in_quadrature_fixes_the_sign_of_f_second(case, turn, sign):
    f_t, _, f_prime, f_double_prime, f0 = case
    rho = dispersion_ratio(f_prime, f_double_prime, f0)
    expected = ((1 + sign * rho.imag) ** 2 + rho.real**2) * f_t.abs().square()
    assert_close(mad_intensity(f_t, turn * f_t, rho), expected, **ROUNDING)


def test_linear_form_equals_the_equation(case):
    f_t, f_a, f_prime, f_double_prime, f0 = case
    rho = dispersion_ratio(f_prime, f_double_prime, f0)
    linear = (design_matrix(rho) * linear_unknowns(f_t, f_a)).sum(-1)
    assert_close(linear, mad_intensity(f_t, f_a, rho), **ROUNDING)


def test_unknowns_lie_on_the_cone(case):
    f_t, f_a, *_ = case
    z = linear_unknowns(f_t, f_a)
    assert_close(z[:, 0] * z[:, 1], z[:, 2] ** 2 + z[:, 3] ** 2, **ROUNDING)


def test_gauge_changes_no_intensity(case):
    f_t, f_a, f_prime, f_double_prime, f0 = case
    rho = dispersion_ratio(f_prime, f_double_prime, f0)
    turned = in_resonant_gauge(f_t.abs(), f_t.angle() - f_a.angle())
    assert_close(mad_intensity(turned, f_a.abs().to(f_a), rho), mad_intensity(f_t, f_a, rho), **ROUNDING)


def test_friedel_mate_obeys_the_equation_with_f_second_negative(case):
    """F(-Q) of two atoms: conjugate every Thomson amplitude, keep the complex dispersion correction."""
    f_t, f_a, f_prime, f_double_prime, f0 = case
    mate = mad_intensity(f_t.conj(), f_a.conj(), dispersion_ratio(f_prime, f_double_prime, f0))
    assert_close(mate, mad_intensity(f_t, f_a, dispersion_ratio(f_prime, -f_double_prime, f0)), **ROUNDING)


def test_twin_has_the_same_intensity_without_f_second():
    rho = dispersion_ratio(torch.tensor(-7.0), torch.tensor(0.0), torch.tensor(20.0))
    f_t = torch.polar(torch.tensor(1.0), torch.tensor(math.pi / 3))
    f_a = torch.tensor(0.8 + 0j)
    assert_close(mad_intensity(f_t, f_a, rho), mad_intensity(f_t.conj(), f_a, rho))
