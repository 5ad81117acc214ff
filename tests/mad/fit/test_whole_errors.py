"""Errors of points with what refined nuisances do to all of them: the truth is covered where photons are many."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.mad.config import FitConfig, SimulatedSample
from madpipe.mad.fit.exact import covariance, fisher_information
from madpipe.mad.fit.fit import fit_points, fit_with_nuisances, own_errors
from madpipe.mad.fit.whole_errors import common_covariance, root_of
from madpipe.mad.measurement import measurement_from_stack, with_nuisance
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


def test_a_point_follows_its_nuisances_as_the_derivative_says(drifting):
    """Scales, f', f'' moved a little along one direction of their covariance, noise-free points fitted again."""
    stack, fit = drifting
    clean = replace(stack, data=stack.truth.expected, background=None)
    nuisance = replace(fit.nuisance, covariance=None)
    direction = root_of(fit.nuisance)[..., -1:] * 1e-3  # so little that second order is small
    shift = direction[..., 0].numpy()
    moved = replace(
        nuisance,
        scale=nuisance.scale * np.exp(shift[0]),
        f_prime=nuisance.f_prime + shift[1],
        f_double_prime=nuisance.f_double_prime + shift[2],
    )
    before, after = (fit_points(clean, CONFIG, one)[0] for one in (nuisance, moved))
    measurement = measurement_from_stack(with_nuisance(clean, nuisance))
    parameters = torch.as_tensor(
        np.stack(
            [before.f_total, before.f_resonant * np.cos(before.delta_phi), before.f_resonant * np.sin(before.delta_phi)]
        ).reshape(3, -1)
    )
    bound = covariance(fisher_information(measurement, parameters))
    predicted = common_covariance(measurement, parameters, bound, direction)[0].sqrt().numpy()
    bright = stack.truth.expected.mean(0).ravel() > 1e4
    change = np.abs(after.f_total - before.f_total).ravel()
    assert change[bright] == pytest.approx(predicted[bright], rel=0.1, abs=0.02 * predicted[bright].max())


def test_errors_of_points_by_themselves_are_those_without_the_nuisances_covariance(drifting):
    stack, fit = drifting
    alone = own_errors(stack, fit)
    plain, _ = fit_points(stack, CONFIG, replace(fit.nuisance, covariance=None))
    for name in (*FIELDS, "delta_phi", "delta_phi_na"):
        np.testing.assert_array_equal(getattr(alone, f"{name}_errors"), getattr(plain, f"{name}_errors"))
        np.testing.assert_array_equal(getattr(fit, name), getattr(plain, name))
    assert (fit.f_resonant_errors >= plain.f_resonant_errors * (1 - 1e-12)).all()
    assert own_errors(stack, plain) is plain
