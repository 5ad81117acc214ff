"""Absorption spectra as beamlines and programs write them, and edges that lie away from the table's."""

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.mad.config import FitConfig, MeasuredSample, SimulatedSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.measured.convert import convert
from madpipe.mad.measured.spectrum import dispersion_in, read_spectrum
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.atoms import absorptive_part, edge_energy
from madpipe.physics.normalisation import steepest_rise

ENERGY = torch.tensor([8950.0, 8975.0, 8985.0, 9010.0], dtype=torch.float64)  # about Cu K
EDGES = [("Cu", "K"), ("Fe", "K"), ("Se", "K"), ("Pt", "L3")]


def spectrum(element, edge, shift=0.0, width=1.0, step=0.5, rise=0.0):
    """Energies and absorption of an element whose edge rises over a width, shifted, between the points too [eV]."""
    at = edge_energy(element, edge)
    energy = np.concatenate(
        [np.arange(at - 200, at - 20, 5), np.arange(at - 20, at + 40, step), np.arange(at + 40, at + 900, 5)]
    )
    below = absorptive_part(element, torch.tensor([at - 30.0])).item() * ((at - 30) / energy) ** 1.0
    above = absorptive_part(element, torch.as_tensor(energy + 40)).numpy()
    share = 0.5 + np.arctan((energy - at - rise) / width) / np.pi
    return energy + shift, 0.3 * (below + share * (above - below)) + 0.1


def saved(path, energy, mu, header="# energy mu", columns=None):
    rows = np.column_stack([energy, *(columns or [mu])])
    path.write_text(header + "\n" + "\n".join(" ".join(f"{value:.10g}" for value in row) for row in rows) + "\n")
    return path


@pytest.fixture
def copper(tmp_path):
    energy, mu = spectrum("Cu", "K")
    plain = saved(tmp_path / "plain.dat", energy, mu)
    return energy, mu, dispersion_in(plain, "Cu", "K", ENERGY)


def test_columns_headings_units_and_encodings_give_the_same(tmp_path, copper):
    energy, mu, expected = copper
    counts = [np.full(len(mu), 1e5), 1e5 * np.exp(-mu)]
    commas = "\r\n".join(f"{one:.10g};{two:.10g}".replace(".", ",") for one, two in zip(energy, mu, strict=True))
    tabs = "Energy (keV)\tmu\n" + "\n".join(
        f"{one / 1e3:.12g}\t{two:.10g}" for one, two in zip(energy, mu, strict=True)
    )
    files = {
        "it.dat": ("# Energy I0 It", counts),
        "i1.dat": ("Energy I0 I1 Iref", [*counts, counts[0]]),
        "t.dat": ("# energy transmission", [np.exp(-mu)]),
        "fluo.dat": ("% Mono_Energy I_0 Iff", [counts[0], 1e5 * mu]),
        "xdi.xdi": ("# XDI/1.0\n# Column.1: energy eV\n# Column.2: mutrans", [mu]),
        "kev.xdi": ("# XDI/1.0\n# Column.1: energy keV\n# Column.2: mutrans", [mu]),
        "unnamed.txt": ("# measured at night", [mu]),
    }
    for name, (header, columns) in files.items():
        saved(tmp_path / name, energy / (1e3 if name == "kev.xdi" else 1), mu, header, columns)
    (tmp_path / "bom.xdi").write_text((tmp_path / "xdi.xdi").read_text(), encoding="utf-8-sig")
    (tmp_path / "utf16.csv").write_text("energy;mu\r\n" + commas, encoding="utf-16")
    (tmp_path / "tabs.csv").write_text(tabs)
    for name in (*files, "bom.xdi", "utf16.csv", "tabs.csv"):
        found = dispersion_in(tmp_path / name, "Cu", "K", ENERGY)  # a warning would fail the test
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)  # ten digits of an absorption on 1e3 of f'


def test_energies_that_only_as_kev_hold_the_edge_are_taken_so_and_told(tmp_path, copper):
    energy, mu, expected = copper
    with pytest.warns(DataWarning, match="taken as keV: only so they hold the edge, 8979 eV"):
        found = dispersion_in(saved(tmp_path / "kev.dat", energy / 1e3, mu), "Cu", "K", ENERGY)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="energies in eV or keV"):
        read_spectrum(
            saved(tmp_path / "nm.dat", energy, mu, "# XDI/1.0\n# Column.1: energy nm\n# Column.2: mu"), "Cu", "K"
        )


@pytest.mark.parametrize(("element", "edge"), EDGES)
@pytest.mark.parametrize("step", [0.25, 1.0, 2.0])
def test_the_steepest_rise_is_found_to_a_fraction_of_a_step(element, edge, step):
    for rise in (-0.7, 0.3, 0.7):
        energy, mu = spectrum(element, edge, 0.37, max(1.0, step), step, rise)
        found = steepest_rise(torch.as_tensor(energy), torch.as_tensor(mu), element, edge)
        assert found == pytest.approx(edge_energy(element, edge) + 0.37 + rise, abs=0.1 + 0.1 * step)


@pytest.mark.parametrize(("element", "edge"), EDGES)
@pytest.mark.parametrize("shift", [-12.0, -4.0, 4.0, 8.0, 25.0])
def test_an_edge_away_from_the_table_s_is_told_and_can_be_aligned(tmp_path, element, edge, shift):
    path = saved(tmp_path / "foil.dat", *spectrum(element, edge, shift))
    at = edge_energy(element, edge)
    with pytest.warns(
        DataWarning, match=rf"rises most steeply at {at + shift:.0f}.*{at:.1f} eV.*oxidation.*--align-edge"
    ):
        read_spectrum(path, element, edge)
    for align, expected in ((True, at), (at + 1.5, at + 1.5)):
        assert steepest_rise(*read_spectrum(path, element, edge, align), element, edge) == pytest.approx(
            expected, abs=0.1
        )


@pytest.mark.parametrize(("element", "edge"), EDGES)
@pytest.mark.parametrize("shift", [-2.5, 0.0, 2.5])
@pytest.mark.parametrize(("step", "width"), [(0.5, 1.0), (2.0, 3.0)])
def test_a_calibrated_spectrum_is_silent(tmp_path, element, edge, shift, step, width):
    read_spectrum(saved(tmp_path / "foil.dat", *spectrum(element, edge, shift, width, step)), element, edge)


def test_the_measured_foil_is_silent(shared):
    read_spectrum(shared / "xanes" / "Ni_metal_rt_01.xdi", "Ni", "K")


def test_a_shift_makes_f_a_wrong_and_alignment_right(tmp_path, rng):
    """Data of a sample with this spectrum, converted with the spectrum of a monochromator that is 8 eV off."""
    true = saved(tmp_path / "true.dat", *spectrum("Cu", "K"))
    off = saved(tmp_path / "off.dat", *spectrum("Cu", "K", 8.0))
    energies = tuple(8979.0 + move for move in (-20, -15, -10, -5, 0, 5, 10, 15))
    drawn = {"element": "Cu", "partner": "Zr", "dimensions": 2, "grid": 32, "photons": 1e7, "energies_ev": energies}
    stack = simulate(SimulatedSample(**drawn, spectrum=str(true)), rng)
    q = {"qx": stack.qx, "qy": stack.qy, "q_bragg": stack.q_bragg}
    np.savez(tmp_path / "run.npz", intensity=stack.data, energy_ev=stack.energy, f0=stack.f0, **q)

    def ratio(**given):
        found = convert(MeasuredSample(path=(str(tmp_path / "run.npz"),), element="Cu", spectrum=str(off), **given))
        truth = np.abs(stack.truth.f_resonant)
        bright = stack.data.min(0) > 1000
        return float(np.median((fit_stack(found, FitConfig()).f_resonant / truth)[bright]))

    with pytest.warns(DataWarning, match="--align-edge"):
        wrong = ratio()
    run = MeasuredSample(path=(str(tmp_path / "run.npz"),), element="Cu", align_edge=True)
    with pytest.raises(InputError, match="needs an absorption spectrum to shift"):
        convert(run)
    assert abs(wrong - 1) > 0.1
    assert ratio(align_edge=True) == pytest.approx(1, abs=0.02)
    assert ratio(align_edge=8979.0) == pytest.approx(1, abs=0.02)
