import math

import pytest
import torch
import xraydb
import xraylib
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from madpipe.physics import atoms

ENERGIES = (8313.0, 8328.0, 8333.0, 8338.0, 8343.0, 8348.0)
# Chantler's table (J. Phys. Chem. Ref. Data 24, 71, 1995) by xraydb, with two decimals
F_PRIME = (-5.80, -7.32, -9.03, -7.27, -6.55, -6.08)
F_DOUBLE_PRIME = (0.51, 0.63, 2.09, 3.77, 3.83, 3.85)


def test_nickel_has_the_published_numbers():
    f_prime, f_double_prime = atoms.dispersion_correction("Ni", torch.tensor(ENERGIES))
    assert_close(f_prime, torch.tensor(F_PRIME), rtol=0, atol=0.01)
    assert_close(f_double_prime, torch.tensor(F_DOUBLE_PRIME), rtol=0, atol=0.01)


def test_xraylib_anomalous_factors_are_as_wrong_as_the_docstring_says():
    assert xraylib.Fi(28, 8.333) == pytest.approx(-4.87, abs=0.01)
    assert -xraylib.Fii(28, 8.313) == pytest.approx(2.46, abs=0.01)
    assert "Fii" in atoms.__doc__


@pytest.mark.parametrize("element", ["H", "Ni", "Au", "U"])
def test_dispersion_is_what_xraydb_gives_for_one_energy_at_a_time(element):
    energy = torch.logspace(0.1, 5.9, 97)
    f_prime, f_double_prime = atoms.dispersion_correction(element, energy)
    alone = [(xraydb.f1_chantler(element, float(one)), xraydb.f2_chantler(element, float(one))) for one in energy]
    # both interpolate the same seven nodes in float64: rounding of values below 200 electron
    assert_close(torch.stack([f_prime, f_double_prime], 1), torch.tensor(alone), rtol=1e-10, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(7000, 10000, allow_subnormal=False), min_size=1, max_size=12))
def test_an_energy_has_its_own_f_prime_whichever_others_are_asked_for(energies):
    together = atoms.dispersion_correction("Ni", torch.tensor(energies))[0]
    alone = torch.cat([atoms.dispersion_correction("Ni", torch.tensor([one]))[0] for one in energies])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("element", ["C", "Fe", "Ni", "Se", "Pt", "Au"])
def test_f_double_prime_absorbs_and_f_prime_dips_at_the_edge(element):
    energy, f_prime, f_double_prime = atoms.chantler_table(element)
    assert (f_double_prime >= 0).all()
    assert (energy.diff() > 0).all()
    k_edge = atoms.edge_energy(element, "K")
    if k_edge > 1000:
        step = atoms.absorptive_part(element, torch.tensor([0.99, 1.01]) * k_edge)
        assert step[1] > 2 * step[0]
        near = (energy > 0.9 * k_edge) & (energy < 1.1 * k_edge)
        lowest = int(f_prime[near].argmin())
        assert lowest + 1 >= int(torch.searchsorted(energy[near], k_edge)) >= lowest  # the node beside the edge


@pytest.mark.parametrize(
    ("element", "edge", "energy"),
    [
        ("Ni", "K", 8333.0),
        ("Fe", "K", 7112.0),
        ("Co", "K", 7709.0),
        ("Cu", "K", 8979.0),
        ("Pt", "L3", 11564.0),
        ("Au", "L3", 11919.0),
    ],
)
def test_edges_are_where_the_tables_have_them(element, edge, energy):
    assert atoms.edge_energy(element, edge) == energy
    assert atoms.edge_energies(element)[edge] == energy


def test_form_factor_is_the_published_one():
    q = torch.tensor([0.0, 3.09, 4 * math.pi * 0.1])
    assert_close(atoms.form_factor("Ni", q), torch.tensor([28.0, 20.52, 25.795]), rtol=0, atol=0.005)


@pytest.mark.parametrize("element", ["H", "Fe", "Au", "U"])
def test_form_factor_falls_from_the_atomic_number(element):
    q = torch.cat([torch.tensor([0.0, 1e-9, 1e-7, 2e-6]), torch.linspace(0.2, 20, 300)])
    f0 = atoms.form_factor(element, q)
    assert_close(f0[:4], torch.full((4,), float(atoms.atomic_number(element))), rtol=1e-9, atol=0)
    assert (f0[3:].diff() < 0).all()
    assert (f0 > 0).all()


def test_form_factor_keeps_shape_dtype_and_place(rng):
    q = torch.rand((2, 3, 4), generator=rng, dtype=torch.float64) * 6
    expected = torch.tensor([xraylib.FF_Rayl(28, float(one) / (4 * math.pi)) for one in q.flatten()])
    assert_close(atoms.form_factor("Ni", q), expected.reshape(q.shape), rtol=1e-12, atol=0)
    assert atoms.form_factor("Ni", q.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: atoms.atomic_number("Xx"), "'Xx' came"),
        (lambda: atoms.atomic_number("Pu"), "Z = 1 to 92"),
        (lambda: atoms.edge_energy("Ni", "Q7"), "'Q7' came; choose among K, L1"),
        (lambda: atoms.edge_energy("Zz", "K"), "'Zz' came"),
        (lambda: atoms.form_factor("Ni", torch.tensor([-0.1])), r"finite \|Q\| >= 0"),
        (lambda: atoms.form_factor("Ni", torch.tensor([math.nan])), r"finite \|Q\| >= 0"),
        (lambda: atoms.dispersion_correction("Ni", torch.tensor([0.5])), "0.5 came; give them in eV"),
        (lambda: atoms.dispersion_correction("Ni", torch.tensor([8333.0, 2e6])), r"2e\+06 came"),
        (lambda: atoms.dispersion_correction("Ni", torch.tensor([math.nan])), "nan came"),
        (lambda: atoms.dispersion_correction("Nn", torch.tensor([8333.0])), "'Nn' came"),
    ],
)
def test_what_the_tables_do_not_hold_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
