"""The benchmark's conventions, and a training of a few steps; benchmarks/bench_automatedsas.py trains in earnest."""

import h5py
import numpy as np
import pytest
import torch

from madpipe.saxs.network.automatedsas import (
    SHAPES,
    AutomatedSasConfig,
    Labelled,
    Particles,
    accuracy,
    curves_of,
    read_part,
    simulate_shape,
    train,
)


@pytest.fixture(scope="module")
def path(shared):
    return shared / "saxs" / "automatedsas.h5"


@pytest.mark.parametrize("shape", SHAPES)
def test_our_curves_of_the_benchmark_s_training_particles_are_the_benchmark_s(path, shape):
    """Its orientation average has 76 nodes, too few at the largest q (README): the median over q is compared."""
    curves = read_part(path, "train")
    rows = np.flatnonzero(curves.label == SHAPES.index(shape))[:6]
    with h5py.File(path) as file:
        given = torch.from_numpy(file["train/parameters"][:][rows]).float()
    radius, length, shell, width, core, coat, solvent = given[:, :7].T
    bare = not shape.startswith("cs")
    shells = torch.zeros_like(radius) if bare else shell
    contrasts = torch.stack([core - solvent, torch.zeros_like(core) if bare else coat - solvent], dim=1)
    lengths = radius if shape.endswith("sphere") else length
    found = curves_of(shape, curves.q, Particles(radius, lengths, shells, width, contrasts))
    off = np.abs(np.log(found / curves.intensity[rows]))
    assert np.median(off) < 1e-3
    assert off[:, :40].max() < 5e-3  # at small q nodes are enough


@pytest.mark.parametrize("shape", SHAPES)
def test_simulated_curves_are_finite_and_as_many_as_asked(shape, rng):
    found = simulate_shape(shape, np.geomspace(0.0037, 0.26, 50), 7, rng)
    assert found.shape == (7, 50)
    assert np.isfinite(found).all()
    assert found.min() > 0.999e-3  # the background


def test_a_training_of_a_few_steps_beats_chance(path):
    curves = read_part(path, "train")
    some = Labelled(curves.q, curves.intensity[::4], curves.label[::4])
    config = AutomatedSasConfig(width=16, steps=25, validate_every=25, simulated=24, batch=48)
    network, history = train(some, config, torch.Generator().manual_seed(1))
    test = Labelled(curves.q, curves.intensity[1::40], curves.label[1::40])
    assert accuracy([network], test, 0.0, torch.Generator().manual_seed(2), scale=True) > 0.4  # chance: .17
    assert history.best_step == 25
