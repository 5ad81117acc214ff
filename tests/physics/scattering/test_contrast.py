import pytest
import torch
from torch.testing import assert_close

from madpipe.physics.atoms import dispersion_correction
from madpipe.physics.scattering.contrast import (
    THOMSON,
    additive_density,
    charges_of,
    design_matrix,
    dispersion_of,
    formula_counts,
    mean_square,
    number_densities,
    partial_intensities,
    scattering_length_density,
)
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS

CORE_SHELL = FORM_FACTORS["core_shell_sphere"]


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("Ni3Fe", {"Ni": 3, "Fe": 1}),
        ("Ni0.75Fe.25", {"Ni": 0.75, "Fe": 0.25}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("CH3(CH2)6CH3", {"C": 8, "H": 18}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
    ],
)
def test_formulas_are_counted(formula, counts):
    assert formula_counts(formula) == pytest.approx(counts)


@pytest.mark.parametrize("formula", ["", "3Ni", "Ni(", "Ni)", "ni", "Ni-Fe", "()", "Ni0", "Ni3 4"])
def test_no_formula_is_refused(formula):
    with pytest.raises(ValueError, match="chemical formula"):
        formula_counts(formula)


def test_water_and_heavy_metal_have_their_published_densities():
    """X-rays far from edges: 333 electrons/nm^3 of water, 4662 of gold, times r_e."""
    for formula, density, expected in (("H2O", 0.997, 9.39), ("Au", 19.3, 131.4)):
        elements = list(formula_counts(formula))
        atoms = torch.tensor(list(number_densities(formula_counts(formula), density).values()))
        found = scattering_length_density(atoms, charges_of(elements), torch.zeros(1, len(elements)) + 0j)
        assert float(found.real[0]) == pytest.approx(expected, rel=2e-3)


def test_density_of_permalloy_is_near_the_measured():
    assert additive_density({"Ni": 3.0, "Fe": 1.0}) == pytest.approx(8.6, rel=0.01)
    with pytest.raises(ValueError, match="g/cm"):
        additive_density({"Fe": 3.0, "O": 4.0})


@pytest.mark.parametrize("density", [0.0, -1.0, float("inf")])
def test_no_density_is_refused(density):
    with pytest.raises(ValueError, match="density above 0"):
        number_densities({"Ni": 1.0}, density)


def test_the_design_of_partial_intensities_is_the_direct_sum():
    """One resonant element in both regions and the solvent; the others absorb, so the cross term is complex."""
    q, energy = torch.linspace(0.001, 0.3, 9), torch.tensor([7000.0, 7100.0, 7113.0, 7150.0])
    elements = ["Ni", "Fe", "O"]
    atoms = torch.tensor([[0.06, 0.03, 0.0], [0.01, 0.04, 0.05]])
    solvent = torch.tensor([0.0, 0.001, 0.03])
    charges, dispersion = charges_of(elements), dispersion_of(elements, energy)
    fixed = dispersion[:1].expand_as(dispersion).clone()  # the others keep one f', f''
    fixed[:, 1] = dispersion[:, 1]
    gram = CORE_SHELL.gram(q, torch.tensor([[30.0, 12.0]]))
    contrast = scattering_length_density(atoms - solvent, charges, fixed)
    direct = mean_square(gram, contrast)
    without = fixed[:1].clone()
    without[:, 1] = 0
    normal = scattering_length_density(atoms - solvent, charges, without)
    resonant = (THOMSON * charges[1] * (atoms - solvent)[:, 1])[None] + 0j
    ratio = torch.complex(*dispersion_correction("Fe", energy)) / 26
    parts = partial_intensities(gram, normal, resonant)
    assert float(parts[0, :, 3].abs().max()) > 0
    assert_close(torch.einsum("ec,bqc->eq", design_matrix(ratio), parts), direct, rtol=1e-12, atol=0)


def test_mean_square_is_that_of_amplitudes_added_as_complex_numbers():
    """Of concentric spheres no orientation matters: |sum c f|^2."""
    q, lengths = torch.linspace(0.001, 0.3, 9), torch.tensor([[30.0, 12.0]])
    contrast = torch.tensor([[3.0 + 0.5j, -2.0 + 1.0j]])
    amplitude = (CORE_SHELL.mean(q, lengths) * contrast[:, None]).sum(-1)
    found = mean_square(CORE_SHELL.gram(q, lengths), contrast)
    assert_close(found, amplitude.abs().square(), rtol=1e-10, atol=1e-10 * float(found.max()))
