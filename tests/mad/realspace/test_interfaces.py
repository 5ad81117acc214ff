"""The belief in a composition's spectrum: its derivatives, its size, what it makes of few photons."""

import math

import numpy as np
import pytest
import torch

from madpipe.mad.config import JointConfig, RetrieveConfig, SimulatedSample
from madpipe.mad.realspace.joint.interfaces import LEAST, Roughness, interfaces, measured_spread, unbelieved
from madpipe.mad.realspace.retrieve import retrieve
from madpipe.mad.realspace.verdicts import on_truth
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.fourier import grid


def ball(ndim, radius=6.0, size=16):
    """Voxels of a sphere or circle, off the middle."""
    axes = [torch.arange(size, dtype=torch.float64) - size // 2 + 0.3 for _ in range(ndim)]
    return grid(axes).norm(dim=0) < radius


def dense(inside):
    """Q for a spread of one, column by column, on the voxels inside."""
    rough, columns = Roughness(inside), []
    for place in inside.nonzero():
        unit = torch.zeros(inside.shape, dtype=torch.float64)
        unit[tuple(place)] = 1
        columns.append(rough.times(unit)[inside])
    return torch.stack(columns, 1)


@pytest.fixture(scope="module")
def balls():
    torch.set_default_dtype(torch.float64)
    return {2: (inside := ball(2, 9.0, 24), dense(inside)), 3: (inside := ball(3, 5.0, 12), dense(inside))}


def drawn(matrix, generator):
    """A composition of the belief, of zero mean."""
    values, vectors = torch.linalg.eigh(matrix)
    unit = torch.randn(len(values) - 1, generator=generator, dtype=torch.float64)
    return vectors[:, 1:] @ (unit / values[1:].sqrt())


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_mean_is_free_and_the_rest_varies_by_the_spread(balls, ndim):
    _, matrix = balls[ndim]
    torch.testing.assert_close(matrix, matrix.T)
    torch.testing.assert_close(matrix.sum(0), torch.zeros(len(matrix)), atol=1e-9, rtol=0)
    values = torch.linalg.eigvalsh(matrix)
    assert values[1] > 1e-6 * values[-1]
    # no flow through the surface doubles the variance there, a mean taken off lowers it: a factor of 1.5 in all
    spread = float((1 / values[1:]).sum() / len(values)) ** 0.5
    assert 1 / 1.5 < spread < 1.5


def test_power_falls_as_that_of_sharp_interfaces():
    """Along a row of an endless grid: the spectrum's slope between 0.2 and 0.8 per voxel is -4."""
    rough = Roughness(torch.ones(64, 64, 64, dtype=torch.bool))
    k = torch.tensor([4.0, 16.0]) * math.pi / 64
    place = grid([torch.arange(64.0)] * 3)[0]
    waves = [torch.cos(one * (place + 0.5)) for one in k]
    power = [float(wave.square().sum() / (wave * rough.times(wave)).sum()) for wave in waves]
    lattice = 2 - 2 * torch.cos(k)  # k^2 of the difference quotient
    expected = ((rough.kappa**2 + lattice[0]) / (rough.kappa**2 + lattice[1])) ** 2
    assert power[1] / power[0] == pytest.approx(float(expected), rel=1e-3)
    assert math.log(power[1] / power[0]) / math.log(4) == pytest.approx(-4, abs=0.35)


def test_the_term_has_its_own_derivatives(rng):
    shape = (6, 7)
    atoms = torch.randn(2, *shape, generator=rng, dtype=torch.complex128) + torch.tensor([3.0, 1.0])[:, None, None]
    inside = torch.rand(shape, generator=rng) > 0.2
    prior = interfaces(inside, 0.3)
    term = prior(atoms)
    change = torch.randn(2, *shape, generator=rng, dtype=torch.complex128)
    ahead, behind = (prior(atoms + k * 1e-5 * change).value for k in (1, -1))
    slope = float((term.downhill.conj() * change).real.sum())
    assert (ahead - behind) / 2e-5 == pytest.approx(-slope, rel=1e-3)
    bend = float((change.conj() * term.curvature(change)).real.sum())
    samples = torch.stack([term.noise(rng) for _ in range(4000)])
    spread = float((samples.conj() * change).real.sum((1, 2, 3)).var())
    assert spread == pytest.approx(bend, rel=4 * math.sqrt(2 / 4000))  # four standard errors of a variance


def test_what_the_counts_say_comes_back_from_the_most_likely(balls, rng):
    inside, matrix = balls[3]
    errors = torch.where(inside, 0.1 + 0.1 * torch.rand(inside.shape, generator=rng), 0.0)
    counted = torch.where(inside, torch.randn(inside.shape, generator=rng), 0.0)
    weight = errors[inside] ** -2
    likely = torch.zeros_like(counted)
    likely[inside] = torch.linalg.solve(torch.diag(weight) + matrix / 0.3**2, weight * counted[inside])
    torch.testing.assert_close(unbelieved(likely, errors, inside, 0.3), counted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("noise", [0.03, 0.3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_spread_is_found_in_noise(balls, ndim, noise):
    inside, matrix = balls[ndim]
    found = []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        counted = torch.zeros(inside.shape)
        counted[inside] = 0.8 + 0.12 * drawn(matrix, generator)
        counted[inside] += noise * torch.randn(int(inside.sum()), generator=generator)
        found.append(measured_spread(counted, torch.where(inside, noise, 0.0), inside, generator))
    # eigenvalues above the noise tell the spread, the root of two over their number each time
    values = torch.linalg.eigvalsh(matrix)[1:]
    features = float((1 / (1 + values * noise**2 / 0.12**2)).square().sum())
    assert np.mean(found) == pytest.approx(0.12, rel=4 / math.sqrt(2 * features * len(found)) + 0.05)


def test_an_even_composition_has_the_least_spread(balls, rng):
    inside, _ = balls[3]
    counted = torch.where(inside, 0.7 + 0.01 * torch.randn(inside.shape, generator=rng), 0.0)
    assert measured_spread(counted, torch.where(inside, 0.01, 0.0), inside, rng) < 0.02
    counted = torch.where(inside, 0.7, 0.0)
    assert measured_spread(counted, torch.where(inside, 0.01, 0.0), inside, rng) == LEAST


def test_few_photons_make_a_better_composition_with_the_belief_and_errors_that_cover():
    sample = SimulatedSample(grid=24, oversampling=2.5, photons=1e5, strain_phase_rms=0.5, misfit=0.001, seed=5)
    stack = simulate(sample, torch.Generator().manual_seed(6))
    off, deviations = {}, {}
    for belief in ("none", "measured"):
        config = RetrieveConfig(joint=JointConfig(belief=belief))
        found = retrieve(None, stack, config, torch.Generator().manual_seed(1))
        assert (found.believed_spread is None) is (belief == "none")
        placed, composition, errors = on_truth(found, stack)
        both = placed.support.numpy() & (stack.truth.support > 0)
        error = (composition - stack.truth.composition)[both]
        off[belief], deviations[belief] = np.sqrt(np.mean(error**2)), np.abs(error / errors[both])
    assert off["measured"] < 0.6 * off["none"]
    assert np.mean(deviations["measured"] < 1) > 0.5
    assert np.mean(deviations["measured"] < 1.96) > 0.85
