import math

import pytest
import torch
from torch.testing import assert_close

from madpipe.base.columns import read_columns
from madpipe.physics.atoms import absorptive_part, edge_energies, edge_energy
from madpipe.physics.normalisation import (
    MARGIN_ABOVE,
    MARGIN_BELOW,
    absorption_from_columns,
    interpolate,
    match_to_table,
    steepest_rise,
)

ENERGY = torch.tensor([8300.0, 8310.0, 8320.0])


def test_interpolation_is_exact_on_a_line_and_continues_it(rng):
    x = torch.rand(12, generator=rng, dtype=torch.float64).sort().values
    at = torch.tensor([[-1.0, 0.5], [float(x[3]), 2.0]])
    assert_close(interpolate(x, 3 * x - 1, at), 3 * at - 1, rtol=0, atol=1e-12)
    y = torch.rand(12, generator=rng, dtype=torch.float64)
    assert_close(interpolate(x, y, x), y, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"I0": [2.0, 4.0, 8.0], "itrans": [1.0, 1.0, 1.0]}, [math.log(2), math.log(4), math.log(8)]),
        ({"i0": [2.0, 4.0, 8.0], "i1": [1.0, 1.0, 1.0]}, [math.log(2), math.log(4), math.log(8)]),
        ({"i0": [2.0, 4.0, 8.0], "ifluor": [1.0, 1.0, 1.0]}, [0.5, 0.25, 0.125]),
        ({"mu": [1.0, 2.0, 3.0], "i0": [9.0, 9.0, 9.0]}, [1.0, 2.0, 3.0]),
        ({"mutrans": [1.0, 2.0, 3.0], "mufluor": [7.0, 7.0, 7.0]}, [1.0, 2.0, 3.0]),
        ({"norm": [0.0, 0.5, 1.0]}, [0.0, 0.5, 1.0]),
        ({"I0": [2.0, 4.0, 8.0], "It": [1.0, 1.0, 1.0]}, [math.log(2), math.log(4), math.log(8)]),
        ({"I_0": [2.0, 4.0, 8.0], "I_t": [1.0, 1.0, 1.0]}, [math.log(2), math.log(4), math.log(8)]),
        ({"i0": [2.0, 4.0, 8.0], "iff": [1.0, 1.0, 1.0], "ir": [9.0, 9.0, 9.0]}, [0.5, 0.25, 0.125]),
        ({"Transmission": [1.0, 0.5, 0.25]}, [0.0, math.log(2), math.log(4)]),
        ({"mu(E)": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0]),
        ({"Absorption": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0]),
    ],
)
def test_absorption_comes_from_what_was_measured(columns, expected):
    tensors = {"energy": ENERGY, **{name: torch.tensor(values) for name, values in columns.items()}}
    energy, mu = absorption_from_columns(tensors)
    assert torch.equal(energy, ENERGY)
    assert_close(mu, torch.tensor(expected), rtol=1e-15, atol=0)


def test_energies_are_sorted_and_repeated_ones_averaged():
    columns = {"energy": torch.tensor([3.0, 1.0, 2.0, 1.0]), "mu": torch.tensor([30.0, 10.0, 20.0, 12.0])}
    energy, mu = absorption_from_columns(columns)
    assert energy.tolist() == [1, 2, 3]
    assert mu.tolist() == [11, 20, 30]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"angle": ENERGY, "mu": ENERGY}, "a column named energy .* angle, mu came"),
        ({"energy": ENERGY, "signal": ENERGY}, "an absorption column .* energy, signal came"),
        ({"energy": ENERGY, "itrans": ENERGY}, "i0 with itrans"),
        ({"energy": ENERGY, "i0": ENERGY, "itrans": 0 * ENERGY}, "counts above zero"),
    ],
)
def test_columns_without_absorption_are_refused(columns, says):
    with pytest.raises(ValueError, match=says):
        absorption_from_columns(columns)


def table_spectrum(element="Ni", edge="K", below=200.0, above=600.0, step=1.0):
    energy = torch.arange(edge_energy(element, edge) - below, edge_energy(element, edge) + above, step)
    return energy, absorptive_part(element, energy)


@pytest.mark.parametrize(
    ("element", "edge", "below", "above"),
    [
        ("Fe", "K", 200.0, 800.0),
        ("Se", "K", 100.0, 300.0),
        ("Pt", "L3", 150.0, 1600.0),
        ("Pt", "L3", 150.0, 2600.0),
        ("Pt", "L2", 1000.0, 550.0),
        ("Au", "L3", 150.0, 1200.0),
        ("Au", "L2", 200.0, 1500.0),
        ("U", "M5", 100.0, 160.0),
    ],
)
def test_the_table_itself_comes_back_through_any_background(element, edge, below, above):
    energy, table = table_spectrum(element, edge, below, above)
    offset = (energy - edge_energy(element, edge)) / 1000
    curve = 0.4 * offset**2 if above >= 500 else 0.0
    # condition number about 100 x 1e-16 x background over signal
    assert_close(match_to_table(energy, 0.2 * table - 2 + offset + curve, element, edge), table, rtol=0, atol=1e-10)


@pytest.mark.parametrize("element", ["Ni", "Pt"])
def test_what_happens_near_an_edge_does_not_touch_the_match(element):
    edge = {"Ni": "K", "Pt": "L3"}[element]
    energy, table = table_spectrum(element, edge, 200.0, 2000.0)
    near = torch.zeros_like(energy, dtype=torch.bool)
    for other in edge_energies(element).values():
        near |= (energy > other - MARGIN_BELOW) & (energy < other + MARGIN_ABOVE)
    structure = torch.where(near, torch.cos(energy / 5), 0.0)
    assert_close(match_to_table(energy, table + structure, element, edge), table + structure, rtol=0, atol=1e-10)


def test_a_denser_part_of_the_spectrum_does_not_weigh_more():
    """With wiggles of 5 % the answer depends on the weights: ten times the points must not change it."""
    coarse, _ = table_spectrum(step=2.0)
    dense = torch.cat([coarse[coarse < 8700], torch.arange(8700.0, 8800.0, 0.2), coarse[coarse >= 8800]])
    answers = []
    for energy in (coarse, dense.unique(sorted=True)):
        mu = absorptive_part("Ni", energy) + 0.2 * torch.sin((energy - 8333).abs() / 30)
        answers.append(interpolate(energy, match_to_table(energy, mu, "Ni", "K"), coarse))
    # trapezoids of sin(E / 30 eV): (2 eV / 30 eV)^2 / 12 of 0.2 electron, squared terms likewise
    assert_close(answers[1][coarse < 8690], answers[0][coarse < 8690], rtol=0, atol=1e-3)


def test_the_foil_rises_below_the_nominal_edge(shared):
    columns = read_columns(shared / "xanes" / "Ni_metal_rt_01.xdi").by_name
    energy, mu = absorption_from_columns({name: torch.from_numpy(values) for name, values in columns.items()})
    # points 0.5 eV apart; its monochromator is nominal and metallic Ni has its first inflection below 8333 eV
    assert steepest_rise(energy, mu, "Ni", "K") == pytest.approx(8331.5, abs=0.5)


def test_the_steepest_rise_is_looked_for_at_its_own_edge():
    energy, table = table_spectrum("Pt", "L3", 200.0, 3000.0)
    for edge in ("L3", "L2", "L1"):
        # the table's own rise takes 6 eV around its edge at L3 and 30 eV at L1
        assert steepest_rise(energy, table, "Pt", edge) == pytest.approx(edge_energy("Pt", edge), abs=16)
    shift = steepest_rise(energy + 7.3, table, "Pt", "L3") - steepest_rise(energy, table, "Pt", "L3")
    assert shift == pytest.approx(7.3, abs=0.2)


@pytest.mark.parametrize(
    ("spoil", "element", "says"),
    [
        (lambda e, mu: (e, mu), "Cu", "rise within 30 eV of the Cu K edge"),
        (lambda e, mu: (e, mu), "Fe", "rise within 30 eV of the Fe K edge"),
        (lambda e, mu: (e / 1000, mu), "Ni", "give energies in eV"),
        (lambda e, mu: (e + 60, mu), "Ni", "the spectrum rises most at 839"),
        (lambda e, mu: (e, -mu), "Ni", "rise within 30 eV"),
        (lambda e, mu: (e.flip(0), mu.flip(0)), "Ni", "strictly increasing"),
        (lambda e, mu: (e, torch.where(e == 8500, math.nan, mu)), "Ni", "finite"),
        (lambda e, mu: (e[e > 8305], mu[e > 8305]), "Ni", "0 and 550 came"),
        (lambda e, mu: (e[e < 8385], mu[e < 8385]), "Ni", "171 and 2 came"),
        (lambda e, mu: (e, mu + 2 * torch.sin(e / 60)), "Ni", "85% came"),
        (lambda e, mu: (e, mu), "Nq", "'Nq' came"),
    ],
)
def test_a_spectrum_that_cannot_be_matched_is_refused(spoil, element, says):
    energy, mu = spoil(*table_spectrum())
    with pytest.raises(ValueError, match=says):
        match_to_table(energy, mu, element, "K")
