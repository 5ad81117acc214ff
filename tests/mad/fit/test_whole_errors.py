"""Errors of points with what refined nuisances do to all of them: the truth is covered where photons are many."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_telling import crystal

from madpipe.mad.config import FitConfig, SimulatedSample
from madpipe.mad.fit.exact import covariance, fisher_information
from madpipe.mad.fit.fit import fit_points, fit_with_nuisances, own_errors
from madpipe.mad.fit.whole_errors import common_covariance
from madpipe.mad.measurement import calculated_photons, measurement_from_stack, with_nuisance
from madpipe.mad.records import Nuisance
from madpipe.mad.scores.validate import truth_columns
from madpipe.mad.simulate.sample import simulate

CONFIG = FitConfig()
FIELDS = ("f_total", "f_resonant", "f_normal")


@pytest.fixture(scope="module")
def drifting():
    sample = SimulatedSample(dimensions=2, grid=48, photons=1e8, scale_jitter=0.01, energy_offset_ev=1.5, seed=2)
    stack = simulate(sample, torch.Generator().manual_seed(2))
    return stack, fit_with_nuisances(stack, CONFIG, ("scale", "offset"))


def within(stack, fit, least, count):
    truth = truth_columns(stack)
    bright = stack.truth.expected.mean(0) > least
    return {
        name: np.mean(np.abs(getattr(fit, name) - truth[name])[bright] < count * getattr(fit, f"{name}_errors")[bright])
        for name in FIELDS
    }


def test_whole_errors_cover_the_truth_where_own_errors_do_not(drifting):
    stack, fit = drifting
    alone = within(stack, own_errors(stack, fit), 1e4, 1.96)
    whole = within(stack, fit, 1e4, 1.96)
    assert min(alone.values()) < 0.8
    assert min(whole.values()) > 0.9


def nuisance_of(stack, scale=0.0, f_prime=0.0, f_double_prime=0.0):
    """What a refinement would say, moved a little, each energy by its own amount."""
    slope = np.linspace(-1, 1, len(stack.energy))
    none = np.zeros(len(stack.energy))
    return Nuisance(
        scale=np.exp(scale * slope),
        scale_errors=none,
        energy_offset=0.0,
        energy_offset_errors=0.0,
        f_prime=stack.f_prime + f_prime * slope,
        f_prime_errors=none,
        f_double_prime=stack.f_double_prime + f_double_prime * slope,
        f_double_prime_errors=none,
        noise_scale=1.0,
        gauge="",
    )


@pytest.mark.parametrize("kind", ["frame", "list"])
@pytest.mark.parametrize(("place", "name"), [(0, "scale"), (1, "f_prime"), (2, "f_double_prime")])
def test_a_point_follows_its_nuisances_as_the_derivative_says(kind, place, name, drifting):
    stack = drifting[0] if kind == "frame" else crystal("P 4", (60.0, 60.0, 50.0, 90.0, 90.0, 90.0))
    clean = replace(stack, data=calculated_photons(stack, fit_points(stack, CONFIG)[0]), truth=None)
    step = 1e-4
    before, after = (fit_points(clean, CONFIG, nuisance_of(stack, **{name: one * step}))[0] for one in (0, 1))
    measurement = measurement_from_stack(with_nuisance(clean, nuisance_of(stack)))
    parameters = torch.zeros(3, len(measurement.f0))
    polar = before.f_resonant * np.exp(1j * before.delta_phi)
    parts = torch.as_tensor(np.stack([before.f_total, polar.real, polar.imag]).reshape(3, -1))
    parameters[:, measurement.point_of_entry] = parts
    root = torch.zeros(4, len(stack.energy), 1)
    root[place, :, 0] = step * torch.linspace(-1, 1, len(stack.energy))
    bound = covariance(fisher_information(measurement, parameters))
    predicted = common_covariance(measurement, parameters, bound, root)[0].sqrt()[measurement.point_of_entry].numpy()
    bright = clean.data.mean(0).ravel() > 1e4
    change = np.abs(after.f_total - before.f_total).ravel()
    assert change[bright] == pytest.approx(predicted[bright], rel=0.05, abs=0.02 * predicted[bright].max())


def test_errors_of_points_by_themselves_are_those_without_the_nuisances_covariance(drifting):
    stack, fit = drifting
    alone = own_errors(stack, fit)
    plain, _ = fit_points(stack, CONFIG, replace(fit.nuisance, covariance=None))
    for name in (*FIELDS, "delta_phi", "delta_phi_na"):
        np.testing.assert_array_equal(getattr(alone, f"{name}_errors"), getattr(plain, f"{name}_errors"))
        np.testing.assert_array_equal(getattr(fit, name), getattr(plain, name))
    assert (fit.f_resonant_errors >= plain.f_resonant_errors * (1 - 1e-12)).all()
    assert own_errors(stack, plain) is plain
