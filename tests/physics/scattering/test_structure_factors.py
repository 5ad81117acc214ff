import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch.testing import assert_close

from madpipe.physics.scattering.structure_factors import (
    decoupled,
    decoupling,
    effective_radius,
    hard_sphere,
    hayter_penfold,
    is_fluid,
    sticky_hard_sphere,
)
from madpipe.physics.scattering.yukawa import screened_structure_factor

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "structure.json").read_text())
Q = torch.tensor(GOLDEN["q"], dtype=torch.float64)
SERIES = 2e-9  # sasmodels changes to a series of a few terms near q = 0
ITERATED = 1e-5  # hayter_msa.c stops at 5e-6 of its scale
CONSTANTS = 1e-4  # e and k_B of 1973 there, each 1e-5 from today's


def numbers(case, *names):
    return [torch.tensor(case[name]) for name in names]


@pytest.mark.parametrize("case", GOLDEN["hard"])
def test_hard_spheres_are_those_of_sasmodels(case):
    found = hard_sphere(Q, *numbers(case, "radius", "phi"))
    assert_close(found, torch.tensor(case["s"]), rtol=SERIES, atol=0)


@pytest.mark.parametrize("case", GOLDEN["sticky"])
def test_sticky_spheres_are_those_of_sasmodels(case):
    found = sticky_hard_sphere(Q, *numbers(case, "radius", "phi", "tau"), case["width"])
    assert_close(found, torch.tensor(case["s"]), rtol=SERIES, atol=0)


@pytest.mark.parametrize("case", GOLDEN["charged"])
def test_charged_spheres_are_those_of_sasmodels(case):
    radius, phi, contact, decay = numbers(case, "radius", "phi", "contact", "decay")
    expected = torch.tensor(case["s"])
    assert_close(screened_structure_factor(2 * radius * Q, phi, contact, decay), expected, rtol=ITERATED, atol=0)
    found = hayter_penfold(Q, radius, phi, *numbers(case, "charge", "salt"), case["temperature"], case["permittivity"])
    assert_close(found, expected, rtol=CONSTANTS, atol=0)


@pytest.mark.parametrize("phi", [0.001, 0.3, 0.59])
def test_hard_spheres_follow_from_wertheim_s_direct_correlation(phi):
    """The closed form c(r) inside the sphere, transformed by quadrature: apart from Baxter's factorisation."""
    first = (1 + 2 * phi) ** 2 / (1 - phi) ** 4
    second = -((1 + phi / 2) ** 2) / (1 - phi) ** 4
    for x in (1e-6, 0.3, 1.9999, 2.0001, 7.0, 60.0):
        direct = quad(
            lambda r: (-first - 6 * phi * second * r - phi / 2 * first * r**3) * r * math.sin(x * r) / x,  # noqa: B023
            0,
            1,
            epsabs=1e-14,
            limit=200,
        )[0]
        expected = 1 / (1 - 24 * phi * direct)
        found = hard_sphere(torch.tensor([x / 80]), torch.tensor(40.0), torch.tensor(phi))
        assert float(found) == pytest.approx(expected, rel=1e-9)


def test_hard_spheres_at_zero_angle_have_the_compressibility_of_percus_and_yevick():
    phi = torch.linspace(0, 0.6, 7)
    found = hard_sphere(torch.zeros(1), torch.full_like(phi, 30.0), phi)[:, 0]
    assert_close(found, (1 - phi) ** 4 / (1 + 2 * phi) ** 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("eta", "contact", "decay"), [(0.02, 3.0, 1.25), (0.3, 1.5, 4.0), (0.1, 20.0, 2.0)])
def test_screened_spheres_obey_their_closure(eta, contact, decay):
    """c(r) outside is the potential, h(r) inside is -1; where they were scaled up, out to the wider diameter."""
    width, x = 0.02, np.arange(0.005, 400, 0.01)  # angular frequencies; a filter of that width in r
    s = screened_structure_factor(*(torch.as_tensor(one) for one in (x, eta, contact, decay))).numpy()
    density = 6 * eta / math.pi

    def at(r, transform):
        kernel = x * np.sin(x * r) / (2 * math.pi**2 * r) * np.exp(-((x * width) ** 2) / 2)
        return 0.01 * np.sum(transform * kernel)

    for r in (2.5, 4.0):
        expected = -contact * math.exp(-decay * (r - 1)) / r
        assert at(r, (1 - 1 / s) / density) == pytest.approx(expected, rel=5e-3, abs=2e-4)
    for r in (0.3, 0.6, 0.85):
        assert at(r, (s - 1) / density) == pytest.approx(-1, abs=2e-3)


@pytest.mark.parametrize(("contact", "decay"), [(1e-9, 2.0), (1.0, 4e4), (0.05, 66.0)])
def test_spheres_without_reach_or_charge_are_hard(contact, decay):
    radius, phi = torch.tensor(50.0), torch.tensor(0.2)
    found = screened_structure_factor(2 * radius * Q, phi, torch.tensor(contact), torch.tensor(decay))
    first_order = 24 * 0.2 * contact / decay  # rho times the integral of the potential; 4: S and the square of g(1+)
    assert_close(found, hard_sphere(Q, radius, phi), rtol=4 * first_order + 1e-9, atol=0)


def test_sticky_spheres_become_hard_where_nothing_sticks():
    radius, phi = torch.tensor(50.0), torch.tensor(0.2)
    found = sticky_hard_sphere(Q, radius, phi, torch.tensor(1e9))
    assert_close(found, hard_sphere(Q, radius, phi), rtol=1e-8, atol=0)
    assert_close(sticky_hard_sphere(Q, radius, 0 * phi, torch.tensor(0.1)), torch.ones_like(Q))


def test_sticky_spheres_have_the_second_virial_coefficient_of_baxter():
    """S(0) = 1 - 2 B rho + ..., B = 4 v (1 - 1 / (4 tau)) of Baxter's potential."""
    phi, tau = torch.tensor(1e-6), torch.tensor(0.15)
    found = sticky_hard_sphere(torch.zeros(1), torch.tensor(20.0), phi, tau)
    assert float((1 - found) / phi) == pytest.approx(8 - 2 / 0.15, rel=1e-4)


def test_two_phases_of_sticky_spheres_are_refused():
    radius, q = torch.tensor(50.0), Q[:2]
    assert not bool(is_fluid(torch.tensor(0.1), torch.tensor(0.05)))  # complex roots
    assert bool(is_fluid(torch.tensor(0.1), torch.tensor(0.11)))  # above Baxter's critical (2 - sqrt 2) / 6
    with pytest.raises(ValueError, match="larger tau"):
        sticky_hard_sphere(q, radius, torch.tensor(0.1), torch.tensor(0.05))


@pytest.mark.parametrize("phi", [-0.1, 0.75, math.nan])
def test_no_fluid_of_spheres_is_refused(phi):
    with pytest.raises(ValueError, match="smaller volume fraction"):
        hard_sphere(Q, torch.tensor(50.0), torch.tensor(phi))


def test_no_charge_is_refused():
    with pytest.raises(ValueError, match="use hard_sphere"):
        hayter_penfold(Q, torch.tensor(50.0), torch.tensor(0.1), torch.tensor(0.0), torch.tensor(0.1))


@pytest.mark.parametrize(
    ("function", "place"),
    [
        (hard_sphere, (50.0, 0.3)),
        (sticky_hard_sphere, (50.0, 0.2, 0.2)),
        (hayter_penfold, (20.0, 0.2, 20.0, 0.01)),  # scaled up
        (hayter_penfold, (50.0, 0.1, 3.0, 0.1)),  # not
    ],
)
def test_derivatives_are_those_of_central_differences(function, place):
    q = torch.tensor([0.004, 0.03, 0.1])
    at = torch.tensor(place)
    found = torch.autograd.functional.jacobian(lambda values: function(q, *values), at)
    for number, value in enumerate(place):
        step = torch.zeros_like(at)
        step[number] = 1e-5 * value
        difference = (function(q, *(at + step)) - function(q, *(at - step))) / (2e-5 * value)
        assert_close(
            found[:, number], difference, rtol=1e-6, atol=1e-8 * float(found[:, number].abs().max() + 1 / value)
        )


def test_decoupling_of_alike_particles_is_one_and_of_others_smaller():
    amplitude = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    beta = decoupling(amplitude.mean(1), amplitude.square().mean(1))
    assert_close(beta, torch.tensor([0.8, 1.0]))
    assert_close(decoupled(torch.tensor(0.5), beta), torch.tensor([0.6, 0.5]))


def test_the_effective_radius_is_that_of_a_sphere_of_the_volume():
    assert float(effective_radius(torch.tensor(4 / 3 * math.pi * 27.0))) == pytest.approx(3.0)
