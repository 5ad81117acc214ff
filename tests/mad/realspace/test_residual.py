"""R of an object beside its noise: honest objects pass, noise that is not the counts' does not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.mad import limits
from madpipe.mad.config import SimulatedSample
from madpipe.mad.realspace.joint.model import experiment_of, with_noise
from madpipe.mad.realspace.joint.residual import Residual, residual_of
from madpipe.mad.realspace.retrieve import _r_factor
from madpipe.mad.realspace.separation import scattering_factors
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.fourier import cornered


def case(**changes):
    sample = SimulatedSample(**{"dimensions": 2, "grid": 48, "nonresonant_dispersion": "mean", **changes})
    stack = simulate(sample, torch.Generator().manual_seed(3))
    root = math.sqrt(stack.truth.photons_per_electron2)
    factors, ndim = scattering_factors(stack), sample.dimensions
    parts = [torch.as_tensor(part) * root for part in (stack.truth.f_total / root, stack.truth.f_resonant / root)]
    pair = torch.stack([cornered(parts[0], ndim), cornered(parts[1] / torch.as_tensor(stack.f0), ndim)])
    return stack, experiment_of(stack, factors), pair.to(torch.complex64), int(stack.truth.support.sum())


@pytest.mark.parametrize("photons", [1e8, 1e6, 1e4])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_truth_explains_its_counts_at_every_budget(photons, dimensions):
    _, experiment, pair, voxels = case(photons=photons, dimensions=dimensions, grid=48 if dimensions == 2 else 20)
    for seed in range(5):
        noisy = with_noise(experiment, pair, torch.Generator().manual_seed(seed))
        left = residual_of(noisy, pair, voxels, torch.Generator().manual_seed(seed + 10))
        assert _r_factor(left).passed
        assert left.chi2 == pytest.approx(1 / (1 - 4 * voxels / noisy.counts.numel()), abs=0.1)


def test_chi_square_counts_the_unknowns():
    _, experiment, pair, voxels = case(photons=1e7)
    one, two = (residual_of(experiment, pair, number, torch.Generator().manual_seed(1)) for number in (0, voxels))
    assert 0 < one.chi2_model < 0.1  # half a thousandth of the counts' own error, at these budgets
    assert two.chi2 / one.chi2 == pytest.approx(1 / (1 - 4 * voxels / experiment.counts.numel()))


@pytest.mark.parametrize("factor", [0.1, 0.01])
def test_counts_in_another_unit_leave_too_little(factor):
    """Noise of counts a tenth as large is a third of Poisson's."""
    _, experiment, pair, voxels = case(photons=1e8)
    scaled = replace(experiment, counts=experiment.counts * factor)
    left = residual_of(scaled, pair * math.sqrt(factor), voxels, torch.Generator().manual_seed(1))
    made = _r_factor(left)
    assert left.r_over_noise == pytest.approx(math.sqrt(factor), rel=0.2)
    assert not made.passed
    assert "too much" in made.meaning or "less than an object can reach" in made.meaning


def test_the_unknowns_lower_what_may_be_reached():
    _, experiment, pair, voxels = case(photons=1e8)
    few, many = (
        residual_of(experiment, pair, number, torch.Generator().manual_seed(1)).least for number in (0, voxels)
    )
    share = 1 - 4 * voxels / experiment.counts.numel()
    assert many / few == pytest.approx(math.sqrt(share))
    whole = residual_of(experiment, pair, experiment.f_resonant.numel(), torch.Generator().manual_seed(1)).least
    most = experiment.f_resonant.numel() / limits.OVERSAMPLING**2
    assert whole / few == pytest.approx(math.sqrt(1 - 4 * most / experiment.counts.numel()))


def test_one_point_that_holds_the_photons_does_not_excuse_any_r():
    """R .40 of its noise, of a support that filled a frame with one pixel of 4e9."""
    _, experiment, pair, _ = case(photons=1e6)
    counts = experiment.counts.clone()
    counts[:, 5, 5] = 4e9
    peaked = pair.clone()
    peaked[:, 5, 5] = torch.tensor([math.sqrt(4e9), 0])
    left = residual_of(replace(experiment, counts=counts), peaked, 2304, torch.Generator().manual_seed(1))
    assert left.least > 0.42
    assert not _r_factor(replace(left, r=0.4 * left.r_noise)).passed


@pytest.mark.parametrize(("ratio", "passed"), [(0.7, False), (0.95, True), (1.2, False)])
def test_both_sides_have_a_limit(ratio, passed):
    assert _r_factor(Residual(r=ratio * 0.1, r_noise=0.1, chi2=1.0, chi2_model=0.0, least=0.9)).passed is passed
    assert np.isfinite(_r_factor(Residual(r=0.0, r_noise=0.0, chi2=1.0, chi2_model=0.0, least=0.9)).value)
