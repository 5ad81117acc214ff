"""Strain and depth profiles against closed forms and against particles whose shell is known."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from scipy.special import erfc

from madpipe.mad.config import SimulatedSample
from madpipe.mad.realspace.depth_profiles import (
    Profile,
    depth_below_surface,
    depth_profile,
    fit_shell,
    strain_along,
    strain_difference,
)
from madpipe.mad.simulate.sample import simulate

VOXEL = 10.0
Q = np.array([3.0, 0.0, 0.0])


def places(shape):
    return np.indices(shape) - np.reshape([size // 2 for size in shape], (-1, *[1] * len(shape)))


def ball(shape, radius):
    return np.sqrt(np.square(places(shape)).sum(axis=0)) <= radius


# depth


@pytest.mark.parametrize("ndim", [2, 3])
def test_depth_in_a_ball_is_the_radius_less_the_distance_from_the_middle(ndim):
    shape = (41,) * ndim
    inside = ball(shape, 14.3)
    depth = depth_below_surface(inside, np.full(ndim, VOXEL))
    count = np.count_nonzero(inside)  # the radius is that of the voxels' volume
    radius = math.sqrt(count / math.pi) if ndim == 2 else (3 * count / (4 * math.pi)) ** (1 / 3)
    expected = VOXEL * (radius - np.sqrt(np.square(places(shape)).sum(axis=0)))
    # curvature moves the half-level by sigma^2 / (2 R) per dimension beyond the first: 0.05 voxel; a point is sharp
    assert np.abs(depth - expected)[inside].max() < 0.7 * VOXEL
    assert abs((depth - expected)[inside].mean()) < 0.1 * VOXEL
    assert not depth[~inside].any()


@pytest.mark.parametrize(
    ("normal", "spacing"), [((1, 0, 0), 1), ((1, 1, 0), 2**-0.5), ((1, 2, -1), 6**-0.5), ((3, -1, 0.7), 0.0)]
)
def test_depth_below_a_facet_at_any_angle(normal, spacing):
    """A slab: no staircase; a facet lies anywhere between two planes of voxels."""
    normal = np.array(normal) / np.linalg.norm(normal)
    distance = np.tensordot(normal, places((48, 48, 48)), axes=1)
    inside = np.abs(distance - 0.2) <= 8.1
    depth = depth_below_surface(inside, np.full(3, VOXEL)) / VOXEL
    middle = ball((48, 48, 48), 12)  # the grid's border is a surface too
    upper = inside & middle & (distance > 2)
    assert abs((depth - (8.3 - distance))[upper].mean()) < max(spacing / 2, 0.05)
    assert (depth - (8.3 - distance))[upper].std() < 0.12


def test_depth_knows_voxels_that_are_not_cubes():
    inside = ball((31, 31), 9.4)
    wide = depth_below_surface(inside, np.array([VOXEL, 1000 * VOXEL]))
    assert wide[15, 15] == pytest.approx(9.5 * VOXEL, abs=0.2 * VOXEL)  # up or down only


def test_no_support_has_no_depth():
    assert not depth_below_surface(np.zeros((8, 8), dtype=bool), np.ones(2)).any()
    full = depth_below_surface(np.ones((9, 9), dtype=bool), np.ones(2))  # beyond the grid is outside
    assert full[4, 4] == pytest.approx(4.5, abs=0.1)


# strain


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.6, 0.0, -0.8), (1.0, 1.0, 1.0)])
def test_strain_of_a_uniform_strain_is_that_strain_however_often_its_phase_wraps(direction):
    q = 3.0 * np.array(direction) / np.linalg.norm(direction)
    inside = ball((24, 25, 26), 9.5)
    along = np.tensordot(q / 3.0, places(inside.shape) * VOXEL, axes=1)
    strain = 0.06  # 1.8 radian a voxel along Q: ten turns across the ball
    density = (1 + 0.3 * np.cos(places(inside.shape)[1])) * np.exp(1j * (3.0 * strain * along + 0.7))
    found = strain_along(density, inside, np.full(3, VOXEL), q)
    known = np.isfinite(found)
    assert not known[~inside].any()
    assert np.count_nonzero(known & inside) > 0.95 * np.count_nonzero(inside)
    np.testing.assert_allclose(found[known], strain, rtol=1e-10)


def test_strain_of_a_quadratic_displacement_is_exact_within_and_half_a_voxel_off_at_the_rim():
    inside = ball((25, 24), 8.3)
    along = places(inside.shape)[0] * VOXEL
    bend = 2e-6  # 1/angstrom^2: u = bend x^2
    density = np.exp(1j * 3.0 * bend * along**2)
    found = strain_along(density, inside, np.full(2, VOXEL), np.array([3.0, 0.0]))
    within = inside & np.roll(inside, 1, 0) & np.roll(inside, -1, 0)
    np.testing.assert_allclose(found[within], (2 * bend * along)[within], atol=1e-12)
    rim = inside & ~within
    np.testing.assert_allclose(np.abs(found - 2 * bend * along)[rim], bend * VOXEL, rtol=1e-9)


def test_strain_ignores_what_is_outside_and_has_no_value_without_a_neighbour(rng):
    inside = ball((21, 21), 6.4)
    density = np.where(inside, 1.0, torch.randn(21, 21, generator=rng, dtype=torch.complex128).numpy())
    found = strain_along(density, inside, np.full(2, VOXEL), np.array([3.0, 0.0]))
    assert np.nanmax(np.abs(found)) < 1e-15
    row = np.zeros((9, 9), dtype=bool)
    row[4, 2:7] = True
    assert np.isnan(strain_along(density[:9, :9], row, np.full(2, VOXEL), np.array([3.0, 0.0]))).all()
    assert np.isfinite(strain_along(density[:9, :9], row, np.full(2, VOXEL), np.array([0.0, 3.0])))[row].all()


# profiles


def test_a_profile_is_the_mean_and_its_standard_error_of_each_layer():
    rng = np.random.default_rng(1)
    inside = ball((31, 31, 31), 12.5)
    depth = depth_below_surface(inside, np.full(3, VOXEL))
    values = rng.normal(0.7, 0.2, inside.shape)
    values[15, 15] = np.nan
    found = depth_profile(values, depth, inside, VOXEL)
    for number in (0, 3):
        layer = values[inside & (depth >= number * VOXEL) & (depth < (number + 1) * VOXEL) & np.isfinite(values)]
        assert found.voxels[number] == len(layer)
        assert found.mean[number] == pytest.approx(layer.mean())
        assert found.error[number] == pytest.approx(layer.std(ddof=1) / math.sqrt(len(layer)))
    assert (np.diff(found.depth) > 0).all()
    # the spread of the means is what their errors say: chi-squared of 12 or so degrees of freedom
    chi2 = np.sum(((found.mean - 0.7) / found.error) ** 2)
    assert abs(chi2 - len(found.mean)) < 4 * math.sqrt(2 * len(found.mean))


def test_a_layer_of_few_voxels_is_left_out():
    inside = np.zeros((9, 9), dtype=bool)
    inside[4, 4:6] = True
    found = depth_profile(np.ones((9, 9)), depth_below_surface(inside, np.ones(2)), inside, 1.0)
    assert len(found.depth) == 0


def stepped(thickness, outside, inside, width, error, rng):
    depth = np.arange(0.5, 12) * VOXEL
    share = np.array([0.5 * math.erfc((d - thickness) / (math.sqrt(2) * width)) for d in depth])
    mean = inside + (outside - inside) * share + error * rng.normal(size=len(depth))
    return Profile(depth, mean, np.full(len(depth), error), np.full(len(depth), 100))


def test_a_shell_is_found_within_its_errors():
    """Pulls of 200 noisy steps: no bias, and a spread of one standard error (a 12-point chi-squared raises some)."""
    rng = np.random.default_rng(2)
    found = [fit_shell(stepped(43.0, 1.0, 0.75, 8.0, 0.01, rng), VOXEL) for _ in range(200)]
    for value, error, truth in (("thickness", "thickness_error", 43.0), ("inside", "inside_error", 0.75)):
        pulls = np.array([(getattr(one, value) - truth) / getattr(one, error) for one in found])
        assert abs(pulls.mean()) < 4 / math.sqrt(200) + 0.1
        assert 0.7 < pulls.std() < 1.15
    assert all(one.found for one in found)
    assert np.mean([one.width for one in found]) == pytest.approx(8.0, rel=0.05)


def test_no_shell_is_found_where_there_is_none():
    rng = np.random.default_rng(3)
    assert not fit_shell(stepped(43.0, 0.8, 0.8, 8.0, 0.01, rng), VOXEL).found
    assert not fit_shell(Profile(*[np.arange(4.0)] * 4), VOXEL).found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_thickness_and_strain_of_a_simulated_shell(seed):
    """Facetted particle, sharp core 400 angstrom below its facets, voxels of 164: found to a twentieth of a voxel."""
    sample = SimulatedSample(seed=seed, noise=False, misfit=0.001, strain_phase_rms=0.0)
    stack = simulate(sample, torch.Generator().manual_seed(seed))
    truth, voxel = stack.truth, sample.particle_size_angstrom * sample.oversampling / sample.grid
    inside, sizes = truth.support > 0, np.full(3, voxel)
    depth = depth_below_surface(inside, sizes)
    shell = fit_shell(depth_profile(truth.composition, depth, inside, voxel), voxel)
    assert abs(shell.thickness - sample.shell_thickness_angstrom) < 0.05 * voxel
    assert shell.thickness_error < 0.05 * voxel
    assert shell.outside == pytest.approx(1.0, abs=0.01)
    assert shell.inside == pytest.approx(0.75, abs=0.01)
    strain = strain_along(truth.rho_resonant + truth.rho_normal, inside, sizes, stack.q_bragg)
    difference, error = strain_difference(strain, depth, inside, shell.thickness, voxel)
    # Eshelby: (1 + nu) / (3 (1 - nu)) times the misfit in a sphere, nu = 0.3, the shell's mean of its own zero
    assert difference == pytest.approx(0.619 * sample.misfit, rel=0.15)
    assert error < 0.05 * sample.misfit
    shuffled = strain_difference(np.where(inside, 0.3, np.nan), depth, inside, shell.thickness, voxel)
    assert shuffled == pytest.approx((0.0, 0.0), abs=1e-15)


def test_a_difference_without_voxels_of_either_kind_is_not_a_number():
    inside = ball((15, 15), 4.0)
    depth = depth_below_surface(inside, np.full(2, VOXEL))
    assert math.isnan(strain_difference(np.zeros((15, 15)), depth, inside, 1000.0, VOXEL)[0])


def test_a_shell_s_errors_are_raised_by_the_scatter_about_the_step():
    """Layers that scatter ten times more than they say: scipy's own scaling by chi-square per degree of freedom."""
    random = np.random.default_rng(4)
    depth, voxels = np.arange(12) * 10.0 + 5.0, np.full(12, 200)

    def step(depth, thickness, outside, inside, width):
        return inside + (outside - inside) * erfc((depth - thickness) / (math.sqrt(2) * width)) / 2

    values = step(depth, 52.0, 0.9, 0.2, 9.0) + 0.03 * random.standard_normal(12)
    found = fit_shell(Profile(depth, values, np.full(12, 0.003), voxels), 10.0)
    start = (found.thickness, found.outside, found.inside, found.width)
    _, covariance = curve_fit(step, depth, values, start, np.ones(12), absolute_sigma=False)
    errors = (found.thickness_error, found.outside_error, found.inside_error)
    # both end within curve_fit's tolerance of 1e-8, the Jacobian is a forward difference
    assert errors == pytest.approx(np.sqrt(np.diag(covariance))[:3], rel=1e-3)
