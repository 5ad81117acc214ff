"""Susceptibilities of the built-in crystals against what is known of them."""

import numpy as np
import pytest

from madpipe.physics.susceptibility import CRYSTALS, crystal_named, susceptibility


def test_cells_hold_their_atoms():
    counts = {name: sum(occupancy for *_, occupancy in crystal.atoms()) for name, crystal in CRYSTALS.items()}
    assert counts["Si"] == counts["Ge"] == counts["GaAs"] == counts["SiC-3C"] == 8
    assert counts["GGG"] == 160
    assert counts["YSZ"] == pytest.approx(4 + 8 * 0.957)
    gadolinium = [site for site in CRYSTALS["GGG"].atoms() if site[0] == "Gd"]
    assert len(gadolinium) == 24


def test_silicon_is_as_in_the_tables():
    """Cu K alpha 1, in 1e-6: chi_0 = -15.13 + 0.35 i, |chi_h| of (400) 7.7, of (111) 8.0."""
    found = susceptibility(crystal_named("Si"), (4, 0, 0), 1.540562)
    assert found.chi_0.real * 1e6 == pytest.approx(-15.13, abs=0.1)
    assert found.chi_0.imag * 1e6 == pytest.approx(0.350, abs=0.01)
    assert abs(found.chi_h) * 1e6 == pytest.approx(7.75, abs=0.15)
    assert abs(susceptibility(crystal_named("Si"), (1, 1, 1), 1.540562).chi_h) * 1e6 == pytest.approx(8.0, abs=0.15)


def test_a_crystal_without_a_centre_has_two_chi_h_of_one_product():
    found = susceptibility(crystal_named("GaAs"), (1, 1, 1), 1.540562)
    assert abs(found.chi_h) != pytest.approx(abs(found.chi_minus_h), rel=1e-3)
    other = susceptibility(crystal_named("GaAs"), (-1, -1, -1), 1.540562)
    assert other.product == pytest.approx(found.product)
    assert abs(other.chi_h) == pytest.approx(abs(found.chi_minus_h))


def test_absorption_is_positive():
    for name in CRYSTALS:
        assert susceptibility(crystal_named(name), (4, 0, 0), 1.5406).chi_0.imag > 0


@pytest.mark.parametrize(
    ("indices", "wavelength", "words"),
    [((4, 0, 0), 3.0, "a wavelength below 2.7155 angstrom"), ((2, 0, 0), 1.54, "forbidden here")],
)
def test_what_cannot_be_measured_is_refused(indices, wavelength, words):
    with pytest.raises(ValueError, match=words):
        susceptibility(crystal_named("Si"), indices, wavelength)


def test_a_larger_cell_is_thinner():
    crystal = crystal_named("Si")
    larger = crystal.with_lattice_constant(crystal.lattice_constant * 1.01)
    ratio = susceptibility(larger, (4, 0, 0), 1.54).chi_0 / susceptibility(crystal, (4, 0, 0), 1.54).chi_0
    assert np.real(ratio) == pytest.approx(1.01**-3, rel=1e-9)
