"""The dynamical model: against matrix exponentials, against itself in finer sublayers, and its derivatives."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from madpipe.physics.susceptibility import Susceptibility, crystal_named, susceptibility
from madpipe.rocking import forward
from madpipe.rocking.forward import Layers, Reflection, reflectivity, reflectivity_with_derivatives
from madpipe.rocking.profiles import Implanted, draw_implanted, to_free


def garnet(**beam):
    crystal = crystal_named("GGG")
    spacing = crystal.lattice_constant / math.sqrt(48)
    return Reflection(1.5406, spacing, susceptibility(crystal, (4, 4, 4), 1.5406), **beam)


GGG = garnet()
PEAK = math.asin(GGG.bragg) + GGG.refraction_shift
ANGLES = PEAK + np.radians(np.linspace(-1.1, 0.15, 46))
NO_LAYER = Layers(np.zeros(0), np.zeros((0, 2)), np.zeros(0))


def random_layers(seed=1, count=12, thickness=25.0):
    random = np.random.default_rng(seed)
    strain = 0.015 + 0.01 * random.standard_normal((count, 1)) + 0.0003 * random.standard_normal((count, 2))
    return Layers(np.full(count, thickness), strain, random.uniform(0.4, 1.0, count))


def matrix_of(s, disorder, coupling, reflection):
    """Takagi and Taupin's matrix at every angle, one row of the stack for each."""
    g = np.sin(ANGLES)
    own, off = reflection.chi.chi_0 / (2 * g), coupling * disorder / (2 * g)
    return np.array([[own, off], [-off, 2 * (s - g) - own]]).transpose(2, 0, 1)


def substrate_field(coupling, reflection):
    """The field that decays into the substrate, at every angle, as a column."""
    values, vectors = np.linalg.eig(matrix_of(reflection.bragg, 1.0, coupling, reflection))
    return np.take_along_axis(vectors, values.imag.argmax(1)[:, None, None], axis=2)


def intensity_of(layers, reflection, through):
    """Reflected share: both polarisations' fields from the substrate up, taken through each sublayer by a function."""
    total = np.zeros(len(ANGLES))
    for weight, factor in reflection.polarisations:
        coupling = factor * np.sqrt(complex(reflection.chi.product))
        field = substrate_field(coupling, reflection)
        sublayers = list(zip(layers.thickness, layers.strain, layers.debye_waller, strict=True))
        for thickness, strain, disorder in reversed(sublayers):
            ends = reflection.bragg / (1 + strain)
            field = through(field, thickness, ends, lambda s, d=disorder, c=coupling: matrix_of(s, d, c, reflection))
        total += weight * np.abs(field[:, 1, 0] / field[:, 0, 0]) ** 2
    return total


def by_matrix_exponentials(layers, reflection, pieces=40):
    """Takagi and Taupin's equations with strain linear within each sublayer, by many constant pieces of each."""

    def through(field, thickness, ends, matrix):
        (upper, lower), step = ends, -1j * reflection.wavenumber * thickness / pieces
        middle, slope = (upper + lower) / 2, (lower - upper) / (2 * forward.GAUSS)
        for place in (np.arange(pieces)[::-1] + 0.5) / pieces - 0.5:
            field = expm(step * matrix(middle + slope * place)) @ field
        return field

    return intensity_of(layers, reflection, through)


def test_a_layer_with_changing_strain_solves_the_takagi_taupin_equations():
    layers = random_layers()
    exact = by_matrix_exponentials(layers, GGG)
    assert np.abs(np.log10(reflectivity(ANGLES, layers, GGG) / exact)).max() < 1e-3


def test_sublayers_of_constant_strain_are_exact():
    layers = random_layers(2)
    layers = Layers(layers.thickness, np.repeat(layers.strain[:, :1], 2, axis=1), layers.debye_waller)
    exact = by_matrix_exponentials(layers, GGG, pieces=1)
    assert reflectivity(ANGLES, layers, GGG) == pytest.approx(exact, rel=2e-5)


def steep_layers(seed=1, count=12, thickness=120.0):
    """Strain changes so fast within a sublayer that kappa = k t^2 s' / 6 comes to some tenths."""
    random = np.random.default_rng(seed)
    strain = 0.004 * random.standard_normal((count, 1)) + [0.003, -0.003] * random.choice([-1, 1], (count, 1))
    return Layers(np.full(count, thickness), strain, random.uniform(0.4, 1.0, count))


def by_fourth_order(layers, reflection):
    """Magnus's formula itself: a matrix exponential of i k t (mean of M - i kappa [[0, M_12], [-M_21, 0]]) a layer."""
    k = reflection.wavenumber

    def through(field, thickness, ends, matrix):
        upper, lower = ends
        kappa = k * thickness**2 * (lower - upper) / (2 * forward.GAUSS * thickness) / 6
        mean = (matrix(upper) + matrix(lower)) / 2
        turned = mean * (1 - 1j * kappa * np.array([[0, 1], [-1, 0]]))
        return expm(-1j * k * thickness * turned) @ field

    return intensity_of(layers, reflection, through)


def test_steep_sublayers_follow_magnus_formula():
    layers = steep_layers()
    s = GGG.bragg / (1 + layers.strain)
    kappa = GGG.wavenumber * layers.thickness * (s[:, 1] - s[:, 0]) / (12 * forward.GAUSS)
    assert 0.2 < np.abs(kappa).min() < np.abs(kappa).max() < 0.5
    # the Taylor steps leave what they leave of sublayers of constant strain, twelve times as thick here
    assert reflectivity(ANGLES, layers, GGG) == pytest.approx(by_fourth_order(layers, GGG), rel=2e-4)


def test_unstrained_sublayers_are_no_layer():
    layers = Layers(np.full(30, 100.0), np.zeros((30, 2)), np.ones(30))
    assert reflectivity(ANGLES, layers, GGG) == pytest.approx(reflectivity(ANGLES, NO_LAYER, GGG), rel=1e-5)


def test_the_bare_garnet_reflects_four_fifths_where_refraction_has_moved_the_peak():
    """A wrong sign of the absorption gives 0.66."""
    near = PEAK + np.radians(np.linspace(-0.01, 0.01, 2001))
    curve = reflectivity(near, NO_LAYER, garnet(sigma_share=1.0))
    assert 0.76 < curve.max() < 0.82
    middle = np.average(near, weights=curve)
    assert np.degrees(abs(middle - PEAK)) < 5e-4


def test_a_strained_film_peaks_where_its_spacing_says():
    strain, thickness = 0.01, 3000.0
    layers = Layers(np.full(120, thickness / 120), np.full((120, 2), strain), np.ones(120))
    angles = PEAK + np.radians(np.linspace(-0.4, -0.15, 2001))
    expected = math.asin(GGG.bragg / (1 + strain)) + GGG.refraction_shift
    found = angles[np.argmax(reflectivity(angles, layers, GGG))]
    assert abs(found - expected) < 0.02 * GGG.wavelength / thickness  # a fiftieth of a fringe


@pytest.mark.parametrize("made", [random_layers, steep_layers])
@pytest.mark.parametrize("name", ["thickness", "strain", "debye_waller"])
def test_the_adjoint_gives_the_derivatives(name, made):
    layers, step = made(3), 1e-6
    _, by = reflectivity_with_derivatives(ANGLES, layers, GGG)
    given = getattr(layers, name)
    for index in np.ndindex(given.shape):
        if index[0] not in (0, 5, 11):
            continue
        ends = []
        for sign in (1, -1):
            moved = given.copy()
            moved[index] += sign * step * (100 if name == "thickness" else 1)
            ends.append(reflectivity(ANGLES, Layers(**{**vars(layers), name: moved}), GGG))
        slope = (ends[0] - ends[1]) / (2 * step * (100 if name == "thickness" else 1))
        found = getattr(by, f"by_{name}")[index]
        assert np.abs(found - slope).max() < 1e-5 * np.abs(slope).max()


def test_gradients_of_the_prior_s_profiles_pass_gradcheck():
    for values in draw_implanted(100, torch.Generator().manual_seed(4)):
        profile = Implanted(25.0)
        free = to_free(values)
        cut = profile.cut(free)

        def logarithm(numbers, profile=profile, cut=cut):
            layers = profile.layers(numbers, cut)
            return torch.log(forward.differentiable_reflectivity(*layers, ANGLES[::9], GGG) + 1e-8)

        assert torch.autograd.gradcheck(logarithm, (free.requires_grad_(),), eps=1e-6, atol=2e-4, rtol=2e-3)


def test_the_step_bounds_the_error():
    step = forward.largest_step(ANGLES, GGG, 0.031)
    for values in draw_implanted(10, torch.Generator().manual_seed(5)):
        coarse, fine = (
            reflectivity(ANGLES, Layers(*(part.numpy() for part in Implanted(size).layers(to_free(values)))), GGG)
            for size in (step, step / 6)
        )
        assert np.abs(np.log10((coarse + 1e-7) / (fine + 1e-7))).max() < 1e-3


def test_a_sublayer_too_thick_is_refused():
    with pytest.raises(ValueError, match=r"sublayers of at most \d+ wavelengths .* cut them finer"):
        reflectivity(ANGLES, Layers(np.array([1e6]), np.zeros((1, 2)), np.ones(1)), GGG)


def test_the_resolution_keeps_the_area_and_has_its_width():
    angles = np.linspace(0.4, 0.401, 201)
    finer = forward.angles_for(angles, 2e-5, GGG)
    matrix = forward.resolution(angles, finer, 2e-5, 0.3)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(201))
    line = np.zeros(len(finer))
    line[np.argmin(np.abs(finer - angles[100]))] = 1.0
    shape = matrix @ line
    above = angles[shape > shape.max() / 2]
    assert above[-1] - above[0] == pytest.approx(4e-5, abs=1e-5)


def test_a_measured_resolution_is_the_gaussian_that_it_samples_and_keeps_its_skew():
    measured = PEAK + np.radians(np.arange(-60, 60)) * 0.0018
    width = math.radians(0.003)
    angles = forward.angles_for(measured, width, GGG)
    offsets = np.linspace(-4, 4, 161) * width
    gauss = np.exp(-math.log(2) * (offsets / width) ** 2)
    found = forward.measured_resolution(measured, angles, offsets, 7.0 * gauss).toarray()
    assert np.abs(found - forward.resolution(measured, angles, width, 0.0).toarray()).max() < 2e-3 * found.max()
    skew = gauss * (offsets >= 0)  # a line is seen at angles above its own
    line = np.abs(angles - measured[60]) < width / 50
    shape = forward.measured_resolution(measured, angles, offsets, skew) @ line
    assert shape[61:63].sum() > 10 * shape[57:60].sum()


def test_angles_are_fine_enough_at_the_substrate_s_peak():
    """Wherever the scan's angles fall on the peak, the counts are right to half a per cent."""
    half_width = math.radians(0.003)
    values = draw_implanted(1, torch.Generator().manual_seed(3))[0]
    layers = Layers(*(part.numpy() for part in Implanted(25.0).layers(to_free(values))))
    for shift in (0.0, 0.3, 0.7):
        measured = PEAK + np.radians(np.arange(-80, 40) + shift) * 0.0018
        found, right = (
            forward.resolution(measured, angles, half_width, 0.0) @ reflectivity(angles, layers, GGG)
            for angles in (
                forward.angles_for(measured, half_width, GGG),
                np.linspace(measured[0] - 12 * half_width, measured[-1] + 12 * half_width, 12001),
            )
        )
        assert np.abs(found / right - 1).max() < 5e-3
    assert len(forward.angles_for(measured, half_width, GGG)) < 2.5 * len(measured)
    assert forward.angles_for(measured, 0.0, GGG) is measured


def test_a_known_program_gives_the_same_curve():
    """xrayutilities' dynamical model on a strained stack of fifty layers, (00l), where its strain is right."""
    xu = pytest.importorskip("xrayutilities", reason="xrayutilities (GPL) is not installed: pip install xrayutilities")
    energy, wavelength = 8048.0, 12398.419843320026 / 8048.0
    degrees = np.linspace(32.2, 33.4, 1201)
    substrate = xu.materials.GaAs
    for seed in (1, 2, 3):
        random = np.random.default_rng(seed)
        count, thickness = 50, 60.0
        strain = 0.012 * np.exp(-(((np.arange(count) - 20) / 12.0) ** 2)) + 0.0005 * random.standard_normal(count)
        stack = [xu.simpack.Layer(substrate, math.inf)]
        chi_0, chi_h = chi_of(substrate, energy)
        shares, shifts = [], []
        for one in strain[::-1]:  # theirs is from the substrate up
            layer = copy.deepcopy(substrate)
            layer.ApplyStrain(np.diag([0.0, 0.0, one]))
            stack.append(xu.simpack.Layer(layer, thickness))
            of_layer = chi_of(layer, energy)
            shares.append(abs(of_layer[1]) / abs(chi_h))
            shifts.append((of_layer[0] - chi_0).real)  # they let chi_0 follow the volume; it acts as a shift of s
        theirs = xu.simpack.DynamicalModel(*stack, energy=energy, polarization="S").simulate(degrees, hkl=(0, 0, 4))
        reflection = Reflection(wavelength, substrate.lattice.a / 4, Susceptibility(chi_0, chi_h, chi_h), 1.0)
        s = reflection.bragg / (1 + strain) - np.array(shifts[::-1]) / (2 * reflection.bragg)
        equivalent = reflection.bragg / s - 1
        layers = Layers(np.full(count, thickness), np.repeat(equivalent[:, None], 2, axis=1), np.array(shares[::-1]))
        angles = np.radians(degrees)
        width = forward.resolution(angles, angles, math.radians(0.004), 0.0)
        ours = reflectivity(angles, layers, reflection)
        inside = slice(40, -40)
        ratio = (width @ ours)[inside] / (width @ theirs)[inside]
        assert np.abs(np.log10(ratio)).max() < 1e-3, seed


def chi_of(material, energy):
    """chi_0 and chi_h of (004) as xrayutilities has them; it gives moduli, and the sign of neither matters alone."""
    chi_0 = material.chi0(energy)
    q = material.Q(0, 0, 4)
    real, imaginary = (abs(part) for part in (material.chih(q, energy, polarization="S")))
    return complex(-abs(chi_0.real), abs(chi_0.imag)), complex(-real, imaginary)
