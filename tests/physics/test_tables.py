"""Every number is xraydb's own to the bit, for every element, whoever else reads at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import xraydb
from scipy.interpolate import CubicSpline

from madpipe.physics import atoms, tables

ELEMENTS = [xraydb.atomic_symbol(number) for number in range(1, 93)]


@pytest.mark.parametrize("element", ELEMENTS)
def test_edges_and_chantler_s_table_are_xraydb_s_to_the_bit(element):
    assert list(tables.edges(element).items()) == [
        (name, level.energy) for name, level in xraydb.xray_edges(element).items()
    ]
    nodes = xraydb.chantler_energies(element)
    if element == "Cs":  # an energy stands twice in its table, which no spline goes through
        for refused in (lambda: xraydb.f1_chantler(element, nodes), lambda: tables.chantler(element)):
            with pytest.raises(ValueError, match="strictly increasing"):
                refused()
        return
    expected = (nodes, xraydb.f1_chantler(element, nodes), xraydb.f2_chantler(element, nodes))
    for mine, theirs in zip(tables.chantler(element), expected, strict=True):
        assert mine.dtype == theirs.dtype == float
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("element", ["C", "O", "Si", "Ti", "Fe", "Co", "Ni", "Cu", "Ga", "As", "Se", "Pt", "Au", "U"])
def test_dispersion_around_the_edges_is_that_of_xraydb_s_table_to_the_bit(element):
    nodes = xraydb.chantler_energies(element)
    f_prime, f_double_prime = xraydb.f1_chantler(element, nodes), xraydb.f2_chantler(element, nodes)
    around = [edge + step for edge in tables.edges(element).values() if edge > 100 for step in (-30, -5, 0, 0.1, 5, 40)]
    for energy, mine, absorbed in zip(around, *atoms.dispersion_correction(element, torch.tensor(around)), strict=True):
        lower = np.searchsorted(nodes, energy, side="right") - 1
        window = slice(max(0, lower - 3), lower + 4)
        assert mine == CubicSpline(nodes[window], f_prime[window])(energy)
        assert absorbed == np.exp(np.interp(np.log(energy), np.log(nodes), np.log(f_double_prime)))


@pytest.mark.parametrize("name", ["Ni", "ni", "NI", "nickel", "Nickel", "Pu", "aluminum", "Xx", "", " Ni", "Uuo"])
def test_numbers_are_xraydb_s(name):
    try:
        expected = xraydb.atomic_number(name)
    except ValueError:
        expected = 0
    assert tables.known_number(name) == expected


def test_every_element_has_its_number():
    assert [tables.known_number(element) for element in ELEMENTS] == list(range(1, 93))


def test_many_threads_read_at_once():
    """xraydb's own session answered with empty rows here, on 16 cores."""
    for cached in (tables.edges, tables._elements, tables._file, atoms.chantler_table):
        cached.cache_clear()
    elements = ELEMENTS[10:50]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda element: (atoms.edge_energies(element), atoms.chantler_table(element)), elements))
    for element, (edges, table) in zip(elements, found, strict=True):
        assert edges["K"] == xraydb.xray_edge(element, "K").energy
        assert np.array_equal(table[0], xraydb.chantler_energies(element))


def test_a_look_up_imports_neither_xraydb_nor_its_database_layer():
    code = (
        "import sys, torch; from madpipe.physics import atoms; before = 'scipy.interpolate' in sys.modules;"
        "atoms.dispersion_correction('Ni', torch.tensor([8333.0])); atoms.edge_energy('Ni', 'K');"
        "print(before, 'xraydb' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
