"""Mosaicity: laws by their moments, quadrature and kernel against thousands of domains, rotations."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.physics.rotations import cross_matrix, rotation, rotation_vector, turning
from madpipe.stills.diffraction import mean_values
from madpipe.stills.forward import expected, image
from madpipe.stills.mosaic import Domains, SpotKernel, drawn, drawn_gaussian, listed, quadrature, realised, single
from madpipe.stills.simulate.demo import demo

GROUPS, OF_A_GROUP = 50, 100  # 5000 domains


def sampled(scene, domains):
    """Mean image of the groups of domains, and its standard error in each pixel."""
    groups = [
        image(replace(scene, mosaicity=Domains(part, np.full(OF_A_GROUP, 1 / OF_A_GROUP))), scene.panels[0])
        for part in domains.vectors.reshape(GROUPS, OF_A_GROUP, 3)
    ]
    return np.mean(groups, axis=0), np.std(groups, axis=0, ddof=1) / math.sqrt(GROUPS)


def test_moments_of_the_quadrature_are_those_of_the_law():
    """Axis uniform, angle normal: <v> = 0, <v v> = 1/3, <v v v v> = 3 (1 1 + 1 1 + 1 1) / 15, kurtosis 5.4."""
    law = quadrature()
    assert len(law.weights) == 78
    assert math.fsum(law.weights) == pytest.approx(1, rel=1e-14)
    assert np.abs(law.weights @ law.vectors).max() < 1e-15
    np.testing.assert_allclose(
        np.einsum("m,mi,mj->ij", law.weights, law.vectors, law.vectors), np.eye(3) / 3, atol=1e-14
    )
    fourth = np.einsum("m,mi,mj,mk,ml->ijkl", law.weights, *[law.vectors] * 4)
    delta = np.eye(3)
    for i, j, k, m in itertools.product(range(3), repeat=4):
        pairs = delta[i, j] * delta[k, m] + delta[i, k] * delta[j, m] + delta[i, m] * delta[j, k]
        assert fourth[i, j, k, m] == pytest.approx(3 * pairs / 15, abs=1e-13)
    assert fourth[0, 0, 0, 0] * 9 == pytest.approx(5.4)


def test_drawn_domains_have_the_law_s_moments_and_another_seed_draws_others(rng):
    law = drawn(100_000, rng)
    angle = np.linalg.norm(law.vectors, axis=1)
    assert abs(np.mean(angle**2) - 1) < 4 * math.sqrt(2 / 1e5)
    component = law.vectors[:, 0]
    assert abs(np.mean(component**2) - 1 / 3) < 4 * math.sqrt((3 / 5 - 1 / 9) / 1e5)
    assert not np.array_equal(drawn(5, rng).vectors, drawn(5, rng).vectors)
    same = [drawn(5, torch.Generator().manual_seed(3)).vectors for _ in range(2)]
    np.testing.assert_array_equal(*same)
    gaussian = drawn_gaussian(100_000, rng).vectors
    assert abs(np.mean(np.square(gaussian).sum(1)) - 1) < 4 * math.sqrt(2 / 3 / 1e5)


@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_quadrature_is_the_mean_of_5000_domains(shape, rng):
    """Within 5 standard errors, and 3e-4 of the peak where rare domains make all the light; 10 % more is seen."""
    scene = demo(shape=shape)
    mean, error = sampled(scene, drawn(GROUPS * OF_A_GROUP, rng))
    error = np.hypot(error, 3e-4 * mean.max())
    broad = replace(scene, spread=1.1 * scene.spread)
    assert np.abs((image(scene, scene.panels[0]) - mean) / error).max() < 5
    assert np.abs((image(broad, scene.panels[0]) - mean) / error).max() > 6


@pytest.mark.parametrize("tensor", [np.eye(3) / 3, np.diag([0.1, 0.7, 0.2])], ids=["isotropic", "anisotropic"])
def test_kernel_is_the_mean_of_5000_gaussian_domains(tensor, rng):
    """First order in the rotation: in the demo |q| s = 7e-4, the second is q s^2 = 1e-5 1/angstrom of a spot's 8e-4."""
    scene = demo(shape="gauss")
    domains = drawn_gaussian(GROUPS * OF_A_GROUP, rng)
    vectors = domains.vectors @ np.sqrt(3 * tensor)  # tensor is diagonal
    mean, error = sampled(scene, Domains(vectors, domains.weights))
    found = image(replace(scene, mosaicity=SpotKernel(tensor)), scene.panels[0])
    bright = mean > 0.01 * mean.max()
    z = ((found - mean) / np.hypot(error, 0.02 * mean))[bright]
    assert np.sqrt(np.mean(z**2)) < 1.3
    assert np.abs(z).max() < 6
    other = image(replace(scene, mosaicity=SpotKernel(tensor), spread=1.2 * scene.spread), scene.panels[0])
    assert np.abs(((other - mean) / np.hypot(error, 0.02 * mean))[bright]).max() > 6


def test_a_kernel_of_no_spread_is_the_spot_itself():
    scene = demo(shape="gauss", spread=0.0)
    still = image(replace(scene, mosaicity=single()), scene.panels[0])
    np.testing.assert_allclose(
        image(replace(scene, mosaicity=SpotKernel.isotropic()), scene.panels[0]), still, rtol=1e-9
    )


def test_a_kernel_keeps_a_spot_s_integral():
    """Over a cell of the reciprocal lattice; both spots are Gaussians far from its border."""
    scene = replace(demo(shape="gauss", pixel=1.0), cells=np.full(3, 12.0), spread=math.radians(0.3))
    step = np.linspace(-0.5, 0.5, 61)[:-1]
    h = np.stack([one.ravel() for one in np.meshgrid(step, step, step)]) + np.array([[6.0], [-3.0], [2.0]])
    q = torch.from_numpy(scene.crystal.reciprocal @ h)
    sums = [float(mean_values(replace(scene, mosaicity=law), q).sum()) for law in (single(), SpotKernel.isotropic())]
    assert sums[1] == pytest.approx(sums[0], rel=1e-6)


def test_a_kernel_needs_a_gaussian_spot():
    with pytest.raises(InputError, match=r"'gauss' is required; got 'square'.*quadrature"):
        demo(mosaicity=SpotKernel.isotropic())


def test_rotations_and_their_vectors(rng):
    vectors = torch.randn((200, 3), generator=rng).numpy()
    vectors[0] = 0
    vectors[1] = [1e-9, 0, 0]
    matrices = rotation(vectors)
    np.testing.assert_allclose(
        matrices @ np.swapaxes(matrices, 1, 2), np.broadcast_to(np.eye(3), (200, 3, 3)), atol=1e-14
    )
    small = np.linalg.norm(vectors, axis=1) < 3
    np.testing.assert_allclose(rotation_vector(matrices)[small], vectors[small], atol=1e-12)
    x = np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(rotation(np.array([math.pi / 2, 0.0, 0.0])) @ x, [0, 0, 1], atol=1e-15)  # right-handed
    np.testing.assert_allclose(cross_matrix(vectors) @ x, np.cross(vectors, x))


@pytest.mark.parametrize("size", [1e-4, 5e-3, 0.02, 1.0, 2.5])
def test_turning_is_the_derivative_of_a_rotation(size):
    vector = size * np.array([2.0, -1.0, 2.0]) / 3
    for number, step in enumerate(1e-5 * np.eye(3)):
        between = rotation(vector + step) @ rotation(vector - step).T
        np.testing.assert_allclose(rotation_vector(between) / 2e-5, turning(vector)[:, number], atol=2e-10)


def test_listed_rotations_stand_as_given(rng):
    matrices = rotation(0.3 * torch.randn((7, 3), generator=rng).numpy())
    np.testing.assert_allclose(listed(matrices).rotations(1.0), matrices, atol=1e-14)


def test_what_domains_really_have(rng):
    """Mean and rms about it of domains that were turned together."""
    law = drawn(2000, rng)
    common = rotation(np.array([0.02, -0.01, 0.03]))
    mean, rms = realised(law, 0.01)
    moved = listed(common @ law.rotations(0.01))
    mean_moved, rms_moved = realised(moved, 1.0)
    assert rms_moved == pytest.approx(rms, rel=1e-12)
    np.testing.assert_allclose(rotation(mean_moved), common @ rotation(mean), atol=1e-12)
    assert np.linalg.norm(mean) < 4 * 0.01 / math.sqrt(2000)
    assert abs(rms / 0.01 - 1) < 4 * math.sqrt(0.5 / 2000)


def test_steps_of_a_spindle_are_averaged():
    scene = demo()
    angles = np.array([0.1, 0.3])
    pixels = np.arange(0, 4096, 5)
    steps = replace(scene, phi=replace(scene.phi, axis=np.array([0.0, 1.0, 0.0]), angles=angles))
    apart = [
        expected(
            replace(scene, crystal=scene.crystal.turned(rotation(np.array([0.0, one, 0.0])))), scene.panels[0], pixels
        )
        for one in angles
    ]
    np.testing.assert_allclose(expected(steps, scene.panels[0], pixels), np.mean(apart, axis=0), rtol=1e-9, atol=1e-12)
