"""Laws without regions: their limits, slopes and gradients."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf, gamma
from torch.testing import assert_close

from madpipe.physics.scattering.shapes.empirical import debye
from madpipe.physics.scattering.shapes.registry import EMPIRICAL

every = pytest.mark.parametrize("law", EMPIRICAL.values(), ids=lambda law: law.name)


def defaults(law):
    return torch.tensor([[spec.default for spec in law.parameters]])


@every
def test_gradients_are_those_of_differences(law):
    q, at = torch.tensor([0.002, 0.0213, 0.11, 0.31]), defaults(law)[0]
    slopes = torch.autograd.functional.jacobian(lambda numbers: law.intensity(q, numbers[None])[0].log(), at)
    for place in range(len(at)):
        step = torch.zeros_like(at)
        step[place] = 1e-4 * max(float(at[place]), 1.0)
        values = [law.intensity(q, (at + k * step)[None])[0].log() for k in (-1, 1)]
        assert_close(slopes[:, place], (values[1] - values[0]) / (2 * step[place]), rtol=1e-6, atol=1e-6)


@every
def test_intensity_is_positive_and_finite_at_both_bounds(law):
    q = torch.logspace(-5, 0.3, 60)
    ends = torch.tensor([[spec.low for spec in law.parameters], [spec.high for spec in law.parameters]])
    intensity = law.intensity(q, ends)
    assert bool(intensity.isfinite().all())
    assert bool((intensity >= 0).all())


@pytest.mark.parametrize("name", ["gaussian_coil", "beaucage", "guinier_porod"])
def test_guinier_slope_is_rg(name):
    law, q = EMPIRICAL[name], torch.tensor([1e-6, 1e-4])
    numbers = defaults(law)
    low, high = law.intensity(q, numbers)[0]
    assert abs(3 * (1 - high / low) / q[1] ** 2 / numbers[0, 0] ** 2 - 1) < 1e-3


def test_debye_is_the_same_on_both_sides_of_its_series():
    y = torch.tensor([1e-12, 1e-4, 0.0299999, 0.03, 0.0300001, 1.0, 50.0])
    expected = [quad(lambda s, a=a: 2 * (1 - s) * np.exp(-a * s), 0, 1, epsabs=1e-15)[0] for a in y.tolist()]
    assert_close(debye(y), torch.tensor(expected), rtol=1e-12, atol=0)


def test_fractal_is_the_transform_of_its_own_correlation():
    """S(q) - 1 = D / r0^D int r^(D-1) exp(-r/xi) sin(qr)/(qr) dr, Teixeira's definition; also where D = 1."""
    law, radius, xi = EMPIRICAL["mass_fractal"], 10.0, 100.0
    for dimension in (1.0, 1.7, 2.5):
        for q in (0.002, 0.03):
            total = quad(
                lambda r, d=dimension, q=q: r ** (d - 1) * np.exp(-r / xi) * np.sinc(q * r / np.pi), 0, 4000, limit=2000
            )[0]
            x = q * radius
            ball = (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2
            expected = ball * (1 + dimension / radius**dimension * total)
            found = law.intensity(torch.tensor([q]), torch.tensor([[radius, dimension, xi]])).item()
            assert abs(found / expected - 1) < 1e-7


def test_guinier_porod_and_its_slope_are_continuous_where_they_meet():
    law, rg, s, m = EMPIRICAL["guinier_porod"], 60.0, 1.0, 3.6
    meeting = np.sqrt((m - s) * (3 - s) / 2) / rg
    q = torch.tensor(meeting * (1 + 1e-6 * np.array([-2.0, -1.0, 1.0, 2.0])))
    value = law.intensity(q, torch.tensor([[rg, s, m]]))[0].log()
    below, across, above = value.diff() / q.log().diff()
    assert abs(across - below) < 1e-4
    assert abs(across - above) < 1e-4
    assert abs(above + m) < 1e-6


def test_beaucage_is_its_formula():
    rg, power, ratio = 40.0, 2.3, 0.7
    q = np.array([0.004, 0.05, 0.3])
    b = ratio * power / rg**power * gamma(power / 2)
    expected = np.exp(-((q * rg) ** 2) / 3) + b * (erf(q * rg / np.sqrt(6)) ** 3 / q) ** power
    found = EMPIRICAL["beaucage"].intensity(torch.tensor(q), torch.tensor([[rg, power, ratio]]))[0]
    assert_close(found.numpy(), expected, rtol=1e-12, atol=0)
