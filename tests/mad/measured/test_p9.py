"""Measured selenium MAD of a protein crystal, wavelengths unknown: from the files to the atoms."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import least_squares

from madpipe.config import DEFAULT
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.fit import fit_stack, fit_with_nuisances
from madpipe.mad.measured.convert import convert
from madpipe.mad.measurement import calculated_photons

# Independent analysis of the same files (../shared/data/README.md): fractional coordinates; the z axis of I4 is polar.
SELENIUM = np.array([[0.8135, 0.7379, 0.0], [0.3351, 0.2064, 0.4384], [0.3873, 0.3186, 0.0301]])
FOURFOLD = np.array([[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]]])  # I4: x y axes turned


@cache
def analysis(folder):
    sample = DEFAULT.mad.samples["p9"]
    paths = tuple(str(folder / "p9_mad" / f"w{number}.sca") for number in (1, 2, 3))
    stack = convert(sample.model_copy(update={"path": paths}), "p9")
    fit = fit_with_nuisances(stack, FitConfig(), sample.refine)
    return stack, fit


@pytest.fixture(scope="module")
def p9(shared):
    return analysis(shared)


@pytest.fixture(scope="module")
def pairs(p9):
    """Entries (+, -) of the reflections with all six intensities."""
    stack, _ = p9
    place = {key: entry for entry, key in enumerate(keys(stack)) if stack.good[:, entry].all()}
    return np.array(
        [(entry, place[index, -1]) for (index, sign), entry in place.items() if (index, -sign) in place and sign > 0]
    )


def keys(stack):
    return zip(map(tuple, stack.miller_indices.tolist()), stack.friedel_sign.tolist(), strict=True)


def test_nothing_measured_is_lost(p9, pairs, shared):
    stack, _ = p9
    text = [(shared / "p9_mad" / f"w{number}.sca").read_text().splitlines()[3:] for number in (1, 2, 3)]
    numbers = [sum((len(line.rstrip()) - 12) // 16 for line in lines) for lines in text]
    assert stack.good.sum(1).tolist() == numbers
    assert len(pairs) == 725
    line = next(line for line in text[1] if line.startswith("   0   0   4"))  # its numbers touch
    entry = list(keys(stack)).index(((0, 0, 4), -1))
    assert (stack.data[1, entry], line[28:36]) == (104526.7, "104526.7")
    assert "to be refined" in stack.table


def test_dispersion_agrees_with_the_independent_analysis(p9):
    stack, fit = p9
    found = fit.nuisance
    assert (found.f_prime[-1], found.f_double_prime[-1]) == (stack.f_prime[-1], stack.f_double_prime[-1])
    # identifiable are the ratios of f'' and the differences of f' over f''; README: -10, -7.3, -3; 6.62, 5.68, 4
    unit = found.f_double_prime[-1]
    ratio, error = found.f_double_prime[:2] / unit, found.f_double_prime_errors[:2] / unit
    difference, spread = (found.f_prime[:2] - found.f_prime[-1]) / unit, found.f_prime_errors[:2] / unit
    # both analyses have the same noise, but put the energies on one scale in ways of their own
    assert (np.abs(ratio - [6.62 / 4, 5.68 / 4]) < 3 * error).all()
    # the unit of f' is tied to that of f'' by |rho F_A|^2 alone: 15 % more or less change chi-square by 1 %
    np.testing.assert_allclose(difference, [-7 / 4, -4.3 / 4], rtol=0.15, atol=3 * spread.max() / 4)
    assert 0.2 < found.noise_scale < 0.5  # the stated errors are some 2 to 5 times too large


def test_intensities_and_bijvoet_differences_are_explained(p9, pairs):
    stack, fit = p9
    calculated = calculated_photons(stack, fit)
    plus, minus = pairs.T
    both = pairs.ravel()
    residual = np.abs(stack.data - calculated)[:, both].sum() / stack.data[:, both].sum()
    assert residual <= 0.015
    correlations = [
        np.corrcoef((values[plus] - values[minus]), (model[plus] - model[minus]))[0, 1]
        for values, model in zip(stack.data, calculated, strict=True)
    ]
    assert (np.array(correlations) >= [0.97, 0.96, 0.87]).all()
    certified = fit.certified[both]
    assert certified.mean() > 0.95


def reflection_data(p9, pairs):
    """|F_A|, indices, |Q|^2 / (4 pi)^2 and f0 of the whole reflections."""
    stack, fit = p9
    plus = pairs[:, 0]
    indices = stack.miller_indices[plus]
    a, _, c = stack.unit_cell[:3]
    s2 = ((indices[:, :2] ** 2).sum(1) / a**2 + indices[:, 2] ** 2 / c**2) / 4
    return fit.f_resonant[plus], indices, s2, stack.f0[plus]


def from_atoms(parameters, indices, s2, f0):
    """|F_A| of three Se atoms in I4: nine coordinates, three occupancies times scale, one B [angstrom^2]."""
    places, weights, b = parameters[:9].reshape(3, 3), parameters[9:12], parameters[12]
    turned = np.einsum("gij,aj->gai", FOURFOLD, places[:, :2])
    phase = 2 * np.pi * (np.einsum("ri,gai->rga", indices[:, :2], turned) + indices[:, 2:, None] * places[:, 2])
    return np.abs(2 * (np.exp(1j * phase) @ weights).sum(1)) * f0 * np.exp(-b * s2)  # 2: body centring


def refined(modulus, indices, s2, f0):
    """Least-squares atoms from the independent analysis' coordinates; the first atom's z stays, the axis is polar."""
    start = np.concatenate([SELENIUM.ravel(), np.ones(3), [20.0]])
    start[9:12] = modulus.mean() / from_atoms(start, indices, s2, f0).mean()
    free = np.arange(13) != 2

    def residual(values):
        return from_atoms(np.insert(values, 2, SELENIUM[0, 2]), indices, s2, f0) - modulus

    steps = np.concatenate([np.full(9, 0.01), start[9:12], [10.0]])[free]
    return np.insert(least_squares(residual, start[free], x_scale=steps).x, 2, SELENIUM[0, 2])


def test_three_selenium_atoms_explain_the_reflections_left_out(p9, pairs):
    data = reflection_data(p9, pairs)
    assert len(data[0]) == 725
    scores = []
    for split in range(5):
        left_out = np.random.default_rng(split).random(len(data[0])) < 0.3
        atoms = refined(*(column[~left_out] for column in data))
        model = from_atoms(atoms, *(column[left_out] for column in data[1:]))
        scores.append(np.corrcoef(model, data[0][left_out])[0, 1])
    assert np.median(scores) >= 0.85


def test_the_prior_on_the_resonant_part_rests_on_its_measured_share(p9, pairs):
    # three Se atoms among some thousand others; weak reflections have a second minimum at several times the |F_A|, and
    # a prior for a pure element leaves them there
    stack, fit = p9
    assert 0.01 < fit.nuisance.resonant_share < 0.15
    wide = fit_stack(stack, FitConfig(), replace(fit.nuisance, resonant_share=1.0))
    plus = pairs[:, 0]
    beyond = wide.f_resonant[plus] > 2 * fit.f_resonant[plus]
    assert 5 < beyond.sum() < 60
    assert np.median(np.abs(wide.f_resonant - fit.f_resonant)[plus] / fit.f_resonant_errors[plus]) < 0.1


def test_the_three_atoms_are_alike_and_where_they_were_found(p9, pairs):
    data = reflection_data(p9, pairs)
    atoms = refined(*data)
    places, weights = atoms[:9].reshape(3, 3), atoms[9:12]
    cell = np.array([113.949, 113.949, 32.474])
    distance = np.linalg.norm((places - SELENIUM) * cell, axis=1)
    assert distance.max() < 0.5  # angstrom: a quarter of the resolution, 1.8 angstrom
    assert weights.min() > 0.8 * weights.max()
