"""The second generator: apart from the first, and both sides of the package agree with what it makes."""

import ast
import inspect
import math
from itertools import pairwise

import independent
import numpy as np
import pytest
import torch
from independent import KINDS, LARGEST_SIZE, LEAST_SHARE, independent_stack

from madpipe.base.metrics import wrapped
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.scores.validate import truth_columns
from madpipe.physics.atoms import dispersion_correction, edge_energy, form_factor
from madpipe.physics.fourier import diffract

EPS = np.finfo(float).eps
EDGES = (("Co", "K", "Pt"), ("Pt", "L3", "Co"), ("Ni", "K", "Fe"))
ENERGIES = (7650.0, 7690.0, 7705.0, 7711.5, 7716.0, 7725.0, 7760.0)  # about the Co K edge, 7709 eV
ATOMS = ("Co", "K", "Pt")


def each_kind():
    return pytest.mark.parametrize(("kind", "dimensions"), [(kind, ndim) for kind in KINDS for ndim in (2, 3)])


def equation_of(stack):
    """Noise-free intensities by the package's equation, and the sum of moduli that bounds their rounding."""
    columns = [-1, *[1] * (stack.data.ndim - 1)]
    f_prime, f_double_prime = (torch.tensor(x).reshape(columns) for x in (stack.f_prime, stack.f_double_prime))
    f_total, f_resonant = torch.tensor(stack.truth.f_total), torch.tensor(stack.truth.f_resonant)
    ratio = dispersion_ratio(f_prime, f_double_prime, torch.tensor(stack.f0))
    moduli = np.abs(stack.truth.f_normal) + (2 + ratio.abs().numpy()) * np.abs(stack.truth.f_resonant)
    return mad_intensity(f_total, f_resonant, ratio).numpy(), moduli**2


def bright(stack):
    return stack.truth.expected.min(axis=0) > 100


def test_it_is_written_apart():
    tree = ast.parse(inspect.getsource(independent))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert named == {"json", "math", "dataclasses", "numpy", "xraydb", "madpipe.mad.records"}


@each_kind()
@pytest.mark.parametrize("atoms", EDGES)
def test_the_equation_gives_its_noise_free_intensities(kind, dimensions, atoms):
    element, edge, partner = atoms
    stack = independent_stack(
        kind, dimensions=dimensions, grid=20, element=element, edge=edge, partner=partner, noise=False
    )
    calculated, largest = equation_of(stack)
    # the amplitude is a sum of four terms, each of a few operations, and is squared: 32 roundings are ample
    assert (np.abs(calculated - stack.data) <= 32 * EPS * largest).all()
    assert np.array_equal(stack.data, stack.truth.expected)


@each_kind()
def test_structure_factors_are_the_sum_over_the_atoms(kind, dimensions):
    """At some points, the exponential of the definition voxel by voxel; everywhere, the package's transform."""
    stack = independent_stack(kind, dimensions=dimensions, grid=20, seed=3)
    truth, root = stack.truth, math.sqrt(stack.truth.photons_per_electron2)
    atoms = truth.rho_resonant / truth.f0_resonant
    expected = diffract(torch.tensor(atoms), dimensions).numpy() * stack.f0 * root
    # a sum of 20^d terms along d axes of 20 each
    tolerance = 20 * dimensions * EPS * np.abs(atoms).sum() * stack.f0.max() * root
    assert np.abs(expected - truth.f_resonant).max() <= tolerance
    axes = [getattr(stack, name) for name in ("qz", "qy", "qx")[-dimensions:]]
    step = 2 * math.pi / (20 * (axes[0][1] - axes[0][0]))
    place = np.stack(np.meshgrid(*[(np.arange(20) - 10) * step] * dimensions, indexing="ij"))
    for index in ((9, 12, 3)[:dimensions], (0, 10, 19)[:dimensions]):
        q = np.array([axis[n] for axis, n in zip(axes, index, strict=True)])
        summed = (atoms * np.exp(1j * np.tensordot(q, place, axes=1))).sum() * stack.f0[index] * root
        assert abs(summed - truth.f_resonant[index]) <= tolerance


def test_the_parts_add_up():
    truth = independent_stack("janus", grid=20).truth
    scale = EPS * np.abs(truth.f_total).max()
    assert np.allclose(truth.f_total, truth.f_resonant + truth.f_normal, rtol=4 * EPS, atol=4 * scale)


@each_kind()
def test_every_full_voxel_holds_as_many_atoms_whatever_they_are(kind, dimensions):
    stack = independent_stack(kind, dimensions=dimensions, grid=32, size=22, shares=(0.1, 0.9))
    truth, voxel = stack.truth, 2 * math.pi / (32 * (stack.qx[1] - stack.qx[0]))
    cell = 2 * math.pi * math.sqrt(3) / np.linalg.norm(stack.q_bragg)
    resonant, partner = truth.rho_resonant / truth.f0_resonant, truth.rho_normal / truth.f_normal_atom
    filling = np.abs(resonant + partner) / (4 * (voxel / cell) ** 3)
    assert filling.max() <= 1 + 32 * EPS
    # a phase that differs by d within a voxel, at most 0.5 but at its steps and its vortex, leaves 1 - d^2 / 8
    assert np.median(filling[truth.support == 1]) > 0.97
    smooth = filling > 0.97
    share = resonant[smooth] / (resonant + partner)[smooth]
    assert np.median(np.abs(share - truth.composition[smooth])) < 0.01


@pytest.mark.parametrize("atoms", EDGES)
def test_its_atoms_are_those_of_the_tables(atoms):
    element, edge, partner = atoms
    stack = independent_stack("wulff", grid=20, element=element, edge=edge, partner=partner)
    f_prime, f_double_prime = dispersion_correction(element, torch.tensor(stack.energy))
    assert np.allclose(stack.f_prime, f_prime, rtol=0, atol=1e-9)
    assert np.allclose(stack.f_double_prime, f_double_prime, rtol=1e-9)
    mean = [part.mean() for part in dispersion_correction(partner, torch.tensor(stack.energy))]
    bragg = torch.tensor([np.linalg.norm(stack.q_bragg)])
    own, other = (float(form_factor(name, bragg)[0]) for name in (element, partner))
    # Waasmaier and Kirfel's sum of Gaussians against Hubbell's table: under a per cent near a first reflection
    assert stack.truth.f0_resonant == pytest.approx(own, rel=0.01)
    assert stack.truth.f_normal_atom.real == pytest.approx(other + float(mean[0]), rel=0.01)
    assert stack.truth.f_normal_atom.imag == pytest.approx(float(mean[1]), rel=1e-9)
    about = stack.energy - edge_energy(element, edge)
    assert about.min() < -9
    assert about.max() > 9
    assert np.abs(about).min() < 9
    assert np.ptp(np.diff(stack.energy)) > 1


@each_kind()
def test_counts_are_photons_of_the_brightest_energy(kind, dimensions):
    stack = independent_stack(kind, dimensions=dimensions, grid=24, photons=3e5, seed=1)
    expected = stack.truth.expected
    assert expected.reshape(len(expected), -1).sum(1).max() == pytest.approx(3e5, rel=1e-12)
    assert stack.data.dtype == np.uint32
    # every energy's sum is Poisson's; the squared deviates' mean has a variance of (2 + 1 / mu) / points
    totals, mean = stack.data.reshape(len(expected), -1).sum(1), expected.reshape(len(expected), -1).sum(1)
    assert (np.abs(totals - mean) < 5 * np.sqrt(mean)).all()
    bright = expected > 1
    squares = ((stack.data - expected) ** 2 / expected)[bright]
    assert abs(squares.mean() - 1) < 4 * math.sqrt(3 / bright.sum())


@each_kind()
def test_particles_fit_their_size_and_hold_what_was_asked_for(kind, dimensions):
    for seed in range(4):
        truth = independent_stack(kind, dimensions=dimensions, grid=32, size=LARGEST_SIZE * 32, seed=seed).truth
        place = np.argwhere(truth.support).astype(float) - 16
        # a half full voxel's middle lies less than a diagonal outside
        assert np.linalg.norm(place, axis=1).max() <= LARGEST_SIZE * 16 + math.sqrt(dimensions)
        assert np.linalg.norm(place, axis=1).max() > 0.7 * LARGEST_SIZE * 16
        inside = truth.composition[truth.support == 1]
        assert inside.min() >= LEAST_SHARE
        assert inside.max() <= 1


@each_kind()
def test_shares_are_those_given(kind, dimensions):
    truth = independent_stack(kind, dimensions=dimensions, size=20, shares=(0.02, 1.0), seed=2).truth
    inside = truth.composition[truth.support == 1]
    if kind == "void":  # a gradient across the particle
        assert np.ptp(inside) > 0.5
    else:
        assert inside.min() == pytest.approx(0.02)
        assert inside.max() == pytest.approx(1.0)
        assert (inside < 0.1).sum() > 10
        assert (inside > 0.9).sum() > 10
    if kind == "heavy_core":  # of the partner
        middle = truth.composition[tuple(slice(14, 19) for _ in range(dimensions))]
        assert np.median(middle) == pytest.approx(0.02)


def test_every_particle_is_another_and_the_same_again():
    first, again, other = (independent_stack("hexagon", dimensions=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.data, again.data)
    assert not np.array_equal(first.truth.support, other.truth.support)


def test_a_core_is_a_step_of_the_phase():
    """Between neighbours of core and of shell the phase differs by half a radian and more, elsewhere by strain."""
    filled = independent._wulff(independent._fine_points(48, 2), 30, (0.1, 0.9), np.random.default_rng(4))
    core = filled.share == 0.1
    steps = np.diff(filled.phase, axis=0)[filled.inside[1:] & filled.inside[:-1] & (core[1:] != core[:-1])]
    others = np.diff(filled.phase, axis=0)[filled.inside[1:] & filled.inside[:-1] & (core[1:] == core[:-1])]
    # of fine points, 60 to a radius of 30: a bend of at most 2 + 3 radian over a radius is 0.17 between two
    assert np.abs(others).max() < 0.2
    assert np.abs(steps).min() > 0.3


def test_a_vortex_winds_once_and_a_void_is_empty():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        filled = independent._void(independent._fine_points(48, 2), 36, (0.5, 0.5), rng)
        wave = np.exp(1j * filled.phase)
        square = [wave[:-1, :-1], wave[1:, :-1], wave[1:, 1:], wave[:-1, 1:], wave[:-1, :-1]]
        turns = sum(np.angle(b / a) for a, b in pairwise(square)) / (2 * math.pi)
        assert np.abs(np.round(turns)).sum() == 1
        row, column = np.argwhere(filled.inside).T
        middle = filled.inside[row.min() : row.max(), column.min() : column.max()]
        assert (~middle[20:-20, 20:-20]).sum() > 40  # a radius of 0.08 x 36 voxels of 4 fine points each: 104


def test_polygons_have_an_acute_corner():
    """A triangle whose least corner is at most 50 degrees: its area over its longest side squared is bounded."""
    for seed in range(4):
        filled = independent._polygon(independent._fine_points(48, 2), 40, (0.1, 0.9), np.random.default_rng(seed))
        place = np.argwhere(filled.inside)[::7]
        longest = np.sqrt(((place[:, None] - place[None]) ** 2).sum(2).max())
        # largest for 50, 65, 65 degrees: sin 50 sin 65 / (2 sin 65); least for 30, 50, 100: sin 30 sin 50 / (2 sin 100)
        assert 0.18 < filled.inside.sum() / longest**2 < 0.40


@each_kind()
def test_the_exact_fit_of_noise_free_intensities_is_the_truth(kind, dimensions):
    stack = independent_stack(kind, dimensions=dimensions, grid=20, photons=1e9, energies_ev=ENERGIES, noise=False)
    # its belief that |F_A| is not far beyond a pure element's moves single points beside an extinction by 0.1 errors
    fit, truth = fit_stack(stack, FitConfig(prior_breadth=0.0)), truth_columns(stack)
    for name in ("f_total", "f_resonant", "f_normal", "delta_phi"):
        error = getattr(fit, name) - truth[name]
        error = np.abs(wrapped(error) if name == "delta_phi" else error)
        # without noise what is left is where the fit stops, 1e-6 of an error bar
        assert (error < 1e-5 * truth[f"{name}_errors"])[bright(stack)].all()


@each_kind()
def test_the_exact_fit_of_bright_counts_is_the_truth_within_its_errors(kind, dimensions):
    stack = independent_stack(kind, dimensions=dimensions, grid=20, photons=1e9, energies_ev=ENERGIES, seed=5)
    fit, truth = fit_stack(stack, FitConfig()), truth_columns(stack)
    # both moduli known to a twentieth: there the likelihood is a Gaussian and the deviates are normal
    known = np.maximum(*(truth[f"{name}_errors"] / truth[name] for name in ("f_resonant", "f_normal"))) < 0.05
    points = known & bright(stack)
    assert points.sum() > 30
    for name in ("f_total", "f_resonant", "f_normal", "delta_phi"):
        error = getattr(fit, name) - truth[name]
        squares = ((wrapped(error) if name == "delta_phi" else error) / truth[f"{name}_errors"])[points] ** 2
        assert abs(squares.mean() - 1) < 4 * math.sqrt(2 / points.sum()), name
