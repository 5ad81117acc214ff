"""What is said of an answer: nothing of good data; of bad ones what is wrong, with the reading that explains them."""

import re
from dataclasses import replace

import gemmi
import numpy as np
import pytest
import torch

from madpipe.base.warned import DataWarning
from madpipe.mad.config import FitConfig, SimulatedSample
from madpipe.mad.fit.fit import fit_with_nuisances
from madpipe.mad.fit.telling import told
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.records import Stack
from madpipe.mad.simulate.sample import simulate

CONFIG = FitConfig()
F_PRIME, F_DOUBLE_PRIME = np.array([-9.0, -7.0, -3.0]), np.array([3.0, 6.0, 4.0])
HEXAGONAL, TETRAGONAL = (60.0, 60.0, 50.0, 90.0, 90.0, 120.0), (60.0, 60.0, 50.0, 90.0, 90.0, 90.0)


def simulated(**changes):
    sample = SimulatedSample(**{"dimensions": 2, "grid": 40, "photons": 3e6, **changes})
    return simulate(sample, torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def frame():
    return simulated()


def silent(stack, refine=()):
    """Fit, and let every warning be an error, as pytest has it."""
    return told(fit_with_nuisances(stack, CONFIG, refine), lambda: stack, CONFIG)


def said(stack, refine=()):
    with pytest.warns(DataWarning) as heard:
        fit = silent(stack, refine)
    lines = [str(one.message) for one in heard]
    assert fit.warnings == "\n".join(lines)
    assert all(len(line.splitlines()) == 1 for line in lines)
    return "\n".join(lines)


def exchanged(stack, order):
    return replace(stack, data=stack.data[order].copy())


def monitored(stack, **wrong):
    monitor = np.ones(len(stack.energy))
    for place, value in wrong.items():
        monitor[int(place[1:])] = value
    return replace(stack, monitor=monitor)


# -- good data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        *({"photons": photons} for photons in (1e3, 1e4, 1e5, 1e8)),
        {"dimensions": 3, "grid": 16, "photons": 1e4},
        {"dimensions": 3, "grid": 16, "photons": 1e8},
        {"composition": "pure_resonant"},
        {"composition": "no_resonant"},
        {"background": 0.5, "gap_width": 3, "beam_stop_radius": 2.5},
    ],
)
def test_nothing_is_said_of_good_data(changes):
    assert silent(simulated(**changes)).warnings is None


def test_nothing_is_said_where_the_monitor_drifts_and_is_refined():
    stack = simulated(scale_jitter=0.01, energy_offset_ev=1.5, photons=1e7)
    assert silent(stack, ("scale", "offset")).warnings is None


def test_the_line_says_what_was_found(frame, caplog):
    caplog.set_level("INFO", "madpipe")
    silent(replace(frame, mask=np.arange(40)[:, None] % 4 // 3 * np.ones((40, 40), np.uint32)))
    line = caplog.messages[-1]
    assert re.fullmatch(
        r"chi-square per degree of freedom [\d.]+.*; R 0\.\d+, of noise 0\.\d+; 1200 points, 25 % masked", line
    )


# -- what is wrong is named, with the evidence ----------------------------------------------------------------


def test_energies_in_reverse_order(frame):
    assert "with the energies in reverse order it is" in said(exchanged(frame, slice(None, None, -1)))


def test_two_energies_exchanged(frame):
    order = np.arange(8)
    order[[1, 5]] = 5, 1
    text = said(exchanged(frame, order))
    assert f"with the energies {frame.energy[1]:g} and {frame.energy[5]:g} eV exchanged" in text


def test_a_monitor_that_is_five_per_cent_off(frame):
    text = said(monitored(frame, e2=0.95))
    found = [float(word) for word in re.search(r"free exposures \(([^)]*) of", text)[1].split(", ")]
    assert found[2] == pytest.approx(1 / 0.95, abs=0.02)
    assert np.delete(found, 2) == pytest.approx(np.ones(7), abs=0.04)
    assert "--refine scale" in text


def test_more_resonant_atoms_than_a_particle_has(frame):
    """f', f'' of another element, and an exposure; refined, a scale that is far from its prior is told."""
    other = replace(frame, f_prime=frame.f_prime / 6, f_double_prime=frame.f_double_prime / 6)
    assert "times that of the pure resonant element as bright, which no particle has" in said(monitored(other, e2=0.8))
    text = said(monitored(frame, e2=0.94), ["scale"])
    assert "more than the prior allows for" in text or "hardly possible" in text


def test_intensities_that_are_no_photons(frame):
    for factor in (0.1, 1 / frame.data.max()):
        assert "scatter less than photons do" in said(replace(frame, data=frame.data * factor))
    text = said(replace(frame, data=frame.data * 8))
    assert float(re.search(r"a photon counts ([\d.]+) units", text)[1]) == pytest.approx(8, rel=0.1)


def test_a_mask_that_covers_most(frame):
    mask = (frame.data.sum(0) > np.quantile(frame.data.sum(0), 0.3)).astype(np.uint32)
    assert "70% of the intensities are masked" in said(replace(frame, mask=mask))


def test_three_energies_leave_nothing_to_compare(frame):
    kept = [0, 4, 7]
    few = {name: getattr(frame, name)[kept] for name in ("data", "energy", "f_prime", "f_double_prime")}
    assert "leave no freedom" in said(replace(frame, **few, truth=None))


def test_what_nothing_explains_has_the_usual_reasons(frame):
    data = frame.data.copy()
    data[3] = data[3] * np.linspace(0.5, 1.5, 40)  # a shadow
    assert "usual reasons: the order of the energies" in said(replace(frame, data=data))


# -- lists of reflections -------------------------------------------------------------------------------------


def crystal(group, cell, odd=None, noise=0.02, scales=(1, 1, 1)):
    """Friedel pairs of a crystal, the last energy indexed by another operation, intensities from all equivalents."""
    space = gemmi.SpaceGroup(group)
    hkl = [tuple(map(int, row)) for row in gemmi.make_miller_array(gemmi.UnitCell(*cell), space, 6.5)]
    hkl = [index for index in hkl if not space.operations().is_reflection_centric(list(index))]
    draw = torch.Generator().manual_seed(2)
    resonant = 60 * torch.randn(len(hkl), dtype=torch.complex128, generator=draw)
    total = resonant + 250 * torch.randn(len(hkl), dtype=torch.complex128, generator=draw)
    everywhere = {}
    for sign in (1, -1):
        ratio = dispersion_ratio(
            *(torch.tensor(x)[:, None] for x in (F_PRIME, sign * F_DOUBLE_PRIME)), torch.tensor(30.0)
        )
        intensity = mad_intensity(total[None], resonant[None], ratio).numpy()
        for place, index in enumerate(hkl):
            for one in space.operations().sym_ops:
                equal = np.array(one.apply_to_hkl(list(index))) * sign
                everywhere[tuple(equal.tolist())] = intensity[:, place]
    rows = [(index, sign) for index in hkl for sign in (1, -1)]

    def at(index, sign, energy):
        moved = gemmi.Op(odd).apply_to_hkl(list(index)) if odd and energy == 2 else index
        return everywhere.get(tuple((np.array(moved) * sign).tolist()), np.full(3, np.nan))[energy]

    data = np.array([[at(*row, energy) for row in rows] for energy in range(3)]) * np.array(scales)[:, None]
    sigma = noise * (data + 0.1 * np.nanmean(data))
    data = data + sigma * np.random.default_rng(3).normal(size=data.shape)
    return Stack(
        data=np.nan_to_num(data),
        data_errors=np.nan_to_num(sigma, nan=1.0),
        mask=np.isnan(data).astype(np.uint32),
        energy=np.array([12650.0, 12660.0, 12900.0]),
        f_prime=F_PRIME,
        f_double_prime=F_DOUBLE_PRIME,
        f0=30.0,
        element="Se",
        edge="K",
        table="mine",
        title="",
        name="crystal",
        reflection=np.arange(len(rows)),
        miller_indices=np.array([index for index, _ in rows]),
        friedel_sign=np.array([sign for _, sign in rows]),
        unit_cell=np.array(cell),
        space_group=group,
    )


@pytest.mark.parametrize(
    ("group", "cell", "odd", "words"),
    [
        ("P 3", HEXAGONAL, "y,x,-z", ("k,h,-l",)),
        ("P 4", TETRAGONAL, "y,x,-z", ("k,h,-l",)),
        ("P 6", HEXAGONAL, "y,x,-z", ("k,h,-l",)),
    ],
)
def test_a_wavelength_indexed_another_way(group, cell, odd, words):
    stack = crystal(group, cell, odd)
    text = said(stack)
    assert any(f"with 12900 eV indexed as {one} it is" in text for one in words)
    # without the space group every operation of the lattice is tried
    assert "with 12900 eV indexed as" in said(replace(stack, space_group=None))


def test_wavelengths_on_different_scales_and_where_refining_them_leads():
    stack = crystal("P 4", TETRAGONAL, scales=(1, 1, 5))
    assert re.search(r"free exposures \(1(\.0\d)?, (1|0\.9\d+), (4\.[89]|5)", said(stack))
    text = said(stack, ("scale",))
    assert "hardly possible" in text
    assert "errors of its prior" in text


@pytest.mark.parametrize("refine", [(), ("scale",)])
def test_nothing_is_said_of_a_good_list(refine):
    assert silent(crystal("P 3", HEXAGONAL), refine).warnings is None


def test_errors_that_are_stated_too_large_or_too_small():
    stack = crystal("P 4", TETRAGONAL)
    assert silent(replace(stack, data_errors=stack.data_errors * 1.25)).warnings is None  # as merging makes them
    assert silent(replace(stack, data_errors=stack.data_errors / 1.25)).warnings is None
    text = said(replace(stack, data_errors=stack.data_errors * 3))
    assert float(re.search(r"errors are some ([\d.]+) times too large", text)[1]) == pytest.approx(3, rel=0.1)
    text = said(replace(stack, data_errors=stack.data_errors / 3))
    assert float(re.search(r"errors are ([\d.]+) times too small", text)[1]) == pytest.approx(3, rel=0.1)
    assert "times as much as their stated errors" in said(replace(stack, data_errors=stack.data_errors / 3), ("scale",))
