from functools import cache

import numpy as np
import pytest
import torch

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.scattering.contrast import (
    THOMSON,
    charges_of,
    dispersion_of,
    mean_square,
    partial_intensities,
    scattering_length_density,
)
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of
from madpipe.saxs.analysis.separation import separate_series
from madpipe.saxs.config_separation import SeparationSettings

ENERGY = np.array([6900.0, 7040.0, 7080.0, 7095.0])  # below the K edge of Fe, 7112
EXACT = SeparationSettings(element="Fe", offset=0, table=0, scale=0)
REPEATS = 40
OTHERS = 1.0
Q = torch.linspace(0.01, 0.25, 15, dtype=torch.float64)
ATOMS = torch.tensor(
    [[0.0670, 0.0223], [0.0914, 0.0]], dtype=torch.float64
)  # Ni and Fe in a core of Ni3Fe and in a shell of Ni


@cache
def gram():
    form = FORM_FACTORS["core_shell_sphere"]
    found = size_averages(form, Q, torch.tensor([[40.0, 15.0]]), "gaussian", torch.tensor([0.1]), spread_of(form, None))
    return found.gram


def curves(relative, generator, offset=0.0, scales=None, others=0.0):
    """Core-shell spheres at energies that the monochromator mistakes; only Fe's f', f'' change.

    Others are particles without iron, which keep the terms well within Schwarz's inequality.
    """
    true = torch.from_numpy(ENERGY + offset)
    dispersion = dispersion_of(["Ni", "Fe"], true)
    dispersion[:, 0] = dispersion[0, 0].real
    contrast = scattering_length_density(ATOMS, charges_of(["Ni", "Fe"]), dispersion)
    ideal = 1e-12 * mean_square(gram(), contrast).numpy()
    ideal = ideal + others * ideal[:1]
    sigma = relative * ideal
    scales = np.ones(len(ENERGY)) if scales is None else scales
    measured = scales[:, None] * ideal + sigma * generator.normal(size=ideal.shape)
    names = "\n".join(f"{one:g}" for one in ENERGY)
    return Curves(Q.numpy(), measured, sigma, absolute=1, names=names, title="", energy=ENERGY)


def truth():
    dispersion = dispersion_of(["Ni", "Fe"], torch.from_numpy(ENERGY[:1])).real + 0j
    dispersion[:, 1] = 0
    normal = scattering_length_density(ATOMS, charges_of(["Ni", "Fe"]), dispersion)
    resonant = (THOMSON * 26 * ATOMS[:, 1])[None] + 0j
    return 1e-12 * partial_intensities(gram(), normal, resonant)[0, :, :3].numpy()


def test_exact_energies_give_the_partial_intensities_with_errors_that_cover():
    found = separate_series(curves(1e-4, np.random.default_rng(1)), EXACT)
    assert found.explains
    free = found.bounded == 0
    pulls = (found.terms - truth()) / np.sqrt(np.einsum("qii->qi", found.covariance))
    assert free.sum() >= 8
    assert np.abs(pulls[free]).max() < 5
    assert np.square(pulls[free]).mean() == pytest.approx(1, abs=4 * np.sqrt(2 / (free.sum())))


def test_a_wrong_energy_is_told_by_a_plain_fit_and_found_by_the_nuisance():
    measured = curves(3e-5, np.random.default_rng(2), offset=3.0)
    with pytest.warns(warned.DataWarning, match="do not explain"):
        plain = separate_series(measured, EXACT)
    assert plain.chi2 > 5
    assert not plain.explains
    found = separate_series(measured, SeparationSettings(element="Fe", offset=5, table=0, scale=0))
    assert found.explains
    assert found.offset[1] < 0.3
    assert abs(found.offset[0] - 3) < 4 * found.offset[1]


def test_offsets_are_found_with_errors_that_cover():
    settings = SeparationSettings(element="Fe", offset=5, table=0, scale=0)
    made = [
        separate_series(curves(1e-4, np.random.default_rng(seed), 2.0, others=OTHERS), settings)
        for seed in range(REPEATS)
    ]
    pulls = np.array([(one.offset[0] - 2.0) / one.offset[1] for one in made])
    assert abs(pulls.mean()) < 4 / np.sqrt(REPEATS)
    assert abs(np.square(pulls).mean() - 1) < 4 * np.sqrt(2 / REPEATS)


def test_errors_cover_what_energies_and_scales_in_doubt_add():
    """At one q: the shared numbers move all q together."""
    generator = np.random.default_rng(8)
    settings = SeparationSettings(element="Fe", offset=1, table=0, scale=2e-3)
    ideal = curves(0.0, generator)  # the others add their share of the first curve to |F_T|^2
    expected = truth()[5] + np.array([OTHERS * ideal.intensity[0, 5], 0, 0])
    pulls = []
    for _ in range(REPEATS):
        scales = np.exp(2e-3 * generator.normal(size=len(ENERGY)))
        found = separate_series(curves(3e-4, generator, generator.normal(), scales, OTHERS), settings)
        pulls.append((found.terms[5] - expected) / np.sqrt(np.diag(found.covariance[5])))
    assert np.abs(np.mean(pulls, 0)).max() < 4 / np.sqrt(REPEATS)
    assert np.abs(np.square(pulls).mean(0) - 1).max() < 4 * np.sqrt(2 / REPEATS)


@pytest.mark.parametrize(
    ("energy", "words"), [(None, "0 came"), (np.array([7000.0, 7000.0, 7000.0, 7100.0]), "2 came")]
)
def test_too_few_energies_are_refused(energy, words):
    measured = curves(1e-4, np.random.default_rng(1))
    series = Curves(measured.q, measured.intensity, measured.sigma, absolute=1, names="", title="", energy=energy)
    with pytest.raises(InputError, match=words):
        separate_series(series, EXACT)


def test_energies_at_the_edge_are_told():
    measured = curves(0.1, np.random.default_rng(1))
    energy = np.array([*ENERGY[:3], 7105.0])
    near = Curves(measured.q, measured.intensity, measured.sigma, absolute=1, names="", title="", energy=energy)
    with pytest.warns(warned.DataWarning, match="within 15 eV"):
        found = separate_series(near, EXACT)
    assert "within 15 eV" in found.warnings


def test_points_and_backgrounds_left_open_are_found():
    """One energy lacks its first points, one curve has a constant background of its own."""
    generator = np.random.default_rng(4)
    measured = curves(1e-3, generator)
    level = float(measured.intensity[0, -1])
    raised = measured.intensity + np.array([[0.0], [0.0], [level], [0.0]])
    sigma = measured.sigma.copy()
    sigma[1, :2] = np.inf
    energy = np.array([6900.0, 7040.0, 7080.0, 7095.0])
    series = Curves(measured.q[2:], raised[:, 2:], sigma[:, 2:], absolute=1, names="", title="", energy=energy)
    settings = SeparationSettings(element="Fe", offset=0, table=0, scale=0, background=2 * level)
    found = separate_series(series, settings)
    assert found.explains
    assert abs(found.background[2, 0] - level) < 4 * found.background[2, 1]
