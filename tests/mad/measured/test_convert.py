"""From files to a checked stack: nothing lost, nothing invented, and bad input refused in one line."""

import warnings

import h5py
import numpy as np
import pytest
import torch
from beamline_files import JOULE, write_cxi, write_mtz

from madpipe.base import store
from madpipe.base.columns import read_columns
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.mad.config import MeasuredSample, SimulatedSample
from madpipe.mad.measured.convert import convert
from madpipe.mad.records import Stack
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.absorption import dispersion_from_spectrum
from madpipe.physics.atoms import dispersion_correction, edge_energy, form_factor
from madpipe.physics.crystal import HC
from madpipe.physics.normalisation import absorption_from_columns

AWAY = np.array([8300.0, 8350.0, 8400.0])  # both sides of the Ni K edge at 8333 eV, none within 15 eV
COUNTS = np.random.default_rng(7).integers(0, 1000, (3, 4, 5)).astype(np.uint16)
BASE = {
    "intensity": COUNTS,
    "energy_ev": AWAY,
    "f_prime": np.array([-4.0, -5.0, -3.0]),
    "f_double_prime": np.array([0.5, 3.9, 3.8]),
    "f0": 20.5,
    "qy": np.arange(4.0) / 100,
    "qx": np.arange(5.0) / 100,
    "element": "Ni",
}


def savez(path, **changes):
    arrays = {**BASE, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return str(path)


def sample(*paths, **given):
    return MeasuredSample(path=tuple(str(path) for path in paths), **given)


def refused(match, *paths, **given):
    with pytest.raises(InputError, match=match) as info:
        convert(sample(*paths, **given))
    assert "\n" not in str(info.value)


# --- numpy: round trip and order


def test_npz_to_stack_and_through_the_file_loses_nothing(tmp_path):
    mask = np.zeros(COUNTS.shape, dtype=np.uint32)
    mask[1, 2, 3] = 4
    path = savez(tmp_path / "run.npz", mask=mask, background=np.ones(COUNTS.shape), monitor=np.array([1.0, 2, 3]))
    store.write(tmp_path / "stack.h5", convert(sample(path)))
    stack = store.read(tmp_path / "stack.h5", Stack)
    assert stack.data.dtype == COUNTS.dtype
    np.testing.assert_array_equal(stack.data, COUNTS)
    np.testing.assert_array_equal(stack.mask, mask)
    np.testing.assert_array_equal(stack.background, np.ones(COUNTS.shape))
    np.testing.assert_array_equal(stack.monitor, [1, 2, 3])
    for name, ours in (("energy_ev", "energy"), ("f_prime",) * 2, ("f_double_prime",) * 2, ("qy",) * 2, ("qx",) * 2):
        np.testing.assert_array_equal(getattr(stack, ours), BASE[name])
    assert (stack.f0, stack.element, stack.edge, stack.name) == (20.5, "Ni", "K", "run")


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0], [2, 1, 0]])
def test_unsorted_pairs_are_sorted_with_all_that_goes_with_an_energy(tmp_path, order):
    mask = np.zeros(COUNTS.shape, dtype=np.uint32)
    mask[2, 0, 0] = 1
    per_energy = {name: BASE[name] for name in ("intensity", "energy_ev", "f_prime", "f_double_prime")}
    per_energy |= {"mask": mask, "monitor": np.array([1.0, 2.0, 3.0]), "background": COUNTS / 10}
    path = savez(tmp_path / "run.npz", **{name: value[order] for name, value in per_energy.items()})
    stack = convert(sample(path))
    for name, value in per_energy.items():
        ours = {"intensity": "data", "energy_ev": "energy"}.get(name, name)
        np.testing.assert_array_equal(getattr(stack, ours), value)


def test_one_file_per_energy_equals_one_file(tmp_path):
    mask = np.zeros((4, 5), dtype=np.uint32)
    mask[0, 0] = 1
    whole = convert(sample(savez(tmp_path / "whole.npz", mask=mask)))
    per_energy = ("intensity", "energy_ev", "f_prime", "f_double_prime")
    paths = [savez(tmp_path / f"{k}.npz", mask=mask, **{name: BASE[name][k] for name in per_energy}) for k in (1, 2, 0)]
    joined = convert(sample(*paths))
    for name in ("data", "energy", "f_prime", "f_double_prime", "qx", "qy"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    np.testing.assert_array_equal(joined.good, whole.good)


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_energies_of_the_configuration_serve_files_without(tmp_path):
    silent = {"energy_ev": None, "f_prime": None, "f_double_prime": None}
    frames = [savez(tmp_path / f"{k}.npz", intensity=COUNTS[k], **silent) for k in range(3)]
    stack = convert(sample(*frames, energies_ev=tuple(AWAY)))
    np.testing.assert_array_equal(stack.data, COUNTS)
    np.testing.assert_array_equal(stack.energy, AWAY)
    whole = savez(tmp_path / "whole.npz", energy_ev=None)
    np.testing.assert_array_equal(convert(sample(whole, energies_ev=tuple(AWAY[::-1]))).data, COUNTS[::-1])


def test_a_list_in_npz_keeps_its_mates(tmp_path):
    indices = np.array([[1, 1, 1], [1, 1, 1], [2, 0, 0]])
    path = savez(
        tmp_path / "list.npz", intensity=np.ones((3, 3)), qx=None, qy=None,
        friedel_sign=np.array([1, -1, 1]), miller_indices=indices,
    )  # fmt: skip
    stack = convert(sample(path))
    assert stack.axes == ["reflection"]
    np.testing.assert_array_equal(stack.miller_indices, indices)
    np.testing.assert_array_equal(stack.friedel_sign, [1, -1, 1])


# --- f', f'' and f0


def test_without_f_prime_the_table_gives_it(tmp_path):
    stack = convert(sample(savez(tmp_path / "run.npz", f_prime=None, f_double_prime=None)))
    f_prime, f_double_prime = dispersion_correction("Ni", torch.as_tensor(AWAY))
    np.testing.assert_array_equal(stack.f_prime, f_prime)
    np.testing.assert_array_equal(stack.f_double_prime, f_double_prime)
    assert stack.table.startswith("Chantler")


def test_values_of_the_configuration_come_before_the_files(tmp_path):
    path = savez(tmp_path / "run.npz")
    stack = convert(sample(path, f_prime=(-5, -6, -3), f_double_prime=(1, 2, 3)))
    np.testing.assert_array_equal(stack.f_prime, [-5, -6, -3])
    np.testing.assert_array_equal(stack.f_double_prime, [1, 2, 3])
    assert stack.table == "values given in the configuration"


def test_a_spectrum_gives_the_f_prime_of_the_sample_itself(tmp_path, shared):
    foil = shared / "xanes" / "Ni_metal_rt_01.xdi"
    energies = np.array([8313.0, 8333.0, 8338.0])  # near the edge: a warning would fail the test
    stack = convert(sample(savez(tmp_path / "run.npz", energy_ev=energies), spectrum=str(foil)))
    columns = {name: torch.as_tensor(column.copy()) for name, column in read_columns(foil).by_name.items()}
    f_prime, f_double_prime = dispersion_from_spectrum(
        *absorption_from_columns(columns), "Ni", "K", torch.as_tensor(energies)
    )
    np.testing.assert_allclose(stack.f_prime, f_prime, rtol=1e-12)  # the same sums, a few thousand terms
    np.testing.assert_allclose(stack.f_double_prime, f_double_prime, rtol=1e-12)
    assert "Ni_metal_rt_01.xdi" in stack.table


def test_f0_is_taken_at_the_true_momentum_transfer(tmp_path):
    q_bragg = np.array([3.09, 0.02])
    stack = convert(sample(savez(tmp_path / "run.npz", f0=None, q_bragg=q_bragg)))
    length = np.hypot(q_bragg[0] + BASE["qy"][:, None], q_bragg[1] + BASE["qx"])
    np.testing.assert_allclose(stack.f0, form_factor("Ni", torch.as_tensor(length)), rtol=1e-12)
    assert stack.f0[0, 0] == pytest.approx(20.52, abs=0.01)  # docs/conventions.md: 27.99 would be f0 at q = 0


# --- lists of reflections


def scalepack(path, rows, cell="   100.000   100.000    50.000    90.000    90.000    90.000"):
    lines = ["".join(f"{i:4d}" for i in row[:3]) + "".join(f"{v:8.1f}" for v in row[3:]) for row in rows]
    path.write_text("\n".join(["    1", " -987", cell, *lines]) + "\n")
    return path


@pytest.fixture
def three_lists(tmp_path):
    rows = [
        [[1, 0, 3, 100, 1, 110, 2], [2, 2, 0, 50, 3], [3, 1, 2, 70, 4, 80, 5]],
        [[1, 0, 3, 200, 1, 210, 2], [2, 2, 0, 60, 3]],
        [[3, 1, 2, 77, 4, 0, -1], [1, 0, 3, 400, 1, 420, 2], [2, 2, 0, 80, 3]],
    ]
    return [scalepack(tmp_path / f"w{k}.sca", rows[k]) for k in range(3)]


SELENIUM = {"element": "Se", "energies_ev": (12600.0, 12700.0, 12900.0)}


def test_lists_are_joined_by_index_and_mate_and_masked_where_not_measured(three_lists):
    stack = convert(sample(*three_lists, **SELENIUM), "crystal")
    entries = [(*index, sign) for index, sign in zip(stack.miller_indices.tolist(), stack.friedel_sign, strict=True)]
    assert entries == [(1, 0, 3, 1), (1, 0, 3, -1), (2, 2, 0, 1), (3, 1, 2, 1), (3, 1, 2, -1)]
    nan = np.nan
    np.testing.assert_array_equal(
        stack.data, [[100, 110, 50, 70, 80], [200, 210, 60, nan, nan], [400, 420, 80, 77, nan]]
    )
    np.testing.assert_array_equal(stack.data_errors, [[1, 2, 3, 4, 5], [1, 2, 3, nan, nan], [1, 2, 3, 4, nan]])
    np.testing.assert_array_equal(stack.good, np.isfinite(stack.data))
    assert (stack.name, stack.axes) == ("crystal", ["reflection"])


def test_f0_of_each_reflection_is_at_its_own_momentum_transfer(three_lists):
    stack = convert(sample(*three_lists, **SELENIUM))
    h, k, l = stack.miller_indices.T  # noqa: E741
    q = 2 * np.pi * np.sqrt((h**2 + k**2) / 100**2 + l**2 / 50**2)
    np.testing.assert_allclose(stack.f0, form_factor("Se", torch.as_tensor(q)), rtol=1e-12)


def test_lists_scaled_apart_get_the_ratio_of_their_means_as_exposure(three_lists):
    stack = convert(sample(*three_lists, **SELENIUM))
    common = np.array([[100, 110, 50], [200, 210, 60], [400, 420, 80]]).mean(1)  # of entries measured three times
    np.testing.assert_allclose(stack.monitor, common / common[2], rtol=1e-15)
    given = convert(sample(*three_lists, monitor=(1, 1, 1), **SELENIUM))
    np.testing.assert_array_equal(given.monitor, [1, 1, 1])


def test_exposures_are_relative_to_the_highest_energy_in_any_order_of_files(three_lists):
    turned = sample(*three_lists[::-1], element="Se", energies_ev=SELENIUM["energies_ev"][::-1])
    stack, other = convert(sample(*three_lists, **SELENIUM)), convert(turned)
    np.testing.assert_array_equal(other.monitor, stack.monitor)
    np.testing.assert_array_equal(other.data, stack.data)


def test_mtz_with_several_datasets_is_one_stack_on_its_own_scale(tmp_path):
    wavelengths = (0.99, 0.97, 0.95)
    path = write_mtz(tmp_path / "all.mtz", [(f"w{number}", value) for number, value in enumerate(wavelengths)])
    stack = convert(sample(path, element="Se"))
    np.testing.assert_allclose(stack.energy, HC / np.array(wavelengths), rtol=1e-5)
    assert stack.monitor is None
    assert stack.data.shape == (3, 4)


# --- CXI and our own


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_cxi_of_others_needs_f0_and_gets_the_rest(tmp_path):
    volume = np.ones((3, 2, 4, 5))
    extra = {f"entry_1/data_1/{axis}": np.arange(float(n)) for axis, n in (("qz", 2), ("qy", 4), ("qx", 5))}
    path = write_cxi(tmp_path / "all.cxi", AWAY * JOULE, data=volume, extra=extra)
    refused("f0 at the true momentum transfer", path, element="Ni")
    given = {"f_prime": (-4.0, -5, -3), "f_double_prime": (0.5, 4, 4), "element": "Ni"}
    stack = convert(sample(path, q_bragg=(3.09, 0.0, 0.0), **given))
    assert stack.f0.shape == (2, 4, 5)
    assert stack.f0[0, 0, 0] == pytest.approx(20.52, abs=0.01)  # docs/conventions.md
    assert stack.f0[1, 0, 0] < stack.f0[0, 0, 0]
    np.testing.assert_array_equal(stack.data, volume)
    np.testing.assert_allclose(stack.energy, AWAY, rtol=1e-12)
    assert convert(sample(path, q_bragg=(3.09,), **given)).f0 == pytest.approx(20.52, abs=0.01)  # |Q| will do


def test_our_own_stack_passes_through(tmp_path, rng):
    made = simulate(SimulatedSample(dimensions=2, grid=32), rng)
    store.write(tmp_path / "stack.h5", made)
    with pytest.warns(DataWarning, match=r"8 of 8|6 of 8|within 15 eV"):
        stack = convert(sample(tmp_path / "stack.h5"))
    for name in ("data", "energy", "f_prime", "f_double_prime", "f0", "qx", "qy", "q_bragg"):
        np.testing.assert_array_equal(getattr(stack, name), getattr(made, name))
    np.testing.assert_array_equal(stack.truth.f_total, made.truth.f_total)
    assert (stack.table, stack.name, stack.title) == (made.table, made.name, made.title)


# --- warnings


def warned_of(energies, tmp_path, **given):
    path = savez(tmp_path / "run.npz", energy_ev=np.array(energies), f_prime=None, f_double_prime=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(sample(path, **given))
    return [str(item.message) for item in caught if item.category is DataWarning]


def test_energies_on_one_side_of_the_edge_are_warned_of(tmp_path):
    edge = edge_energy("Ni", "K")
    (below,) = warned_of([edge - 60, edge - 40, edge - 20], tmp_path)
    assert "hand" in below
    assert "undetermined" in below
    (above,) = warned_of([edge + 60, edge + 40, edge + 20], tmp_path)
    assert "hand" in above
    assert warned_of([edge - 60, edge + 40, edge + 20], tmp_path) == []


def test_a_free_atoms_table_near_the_edge_is_warned_of(tmp_path):
    edge = edge_energy("Ni", "K")
    (near,) = warned_of([edge - 60, edge - 14.9, edge + 60], tmp_path)
    assert "1 of 3" in near
    assert "spectrum" in near
    assert warned_of([edge - 60, edge - 15.1, edge + 60], tmp_path) == []
    assert warned_of([edge - 60, edge - 1, edge + 60], tmp_path, f_prime=(-5, -7, -4), f_double_prime=(1, 2, 3)) == []


def test_nominal_energies_of_a_refinement_are_not_warned_of(tmp_path):
    assert warned_of([8333.0, 8334.0, 8335.0], tmp_path, refine=("dispersion",)) == []


def test_missing_q_axes_are_warned_of_and_said_in_the_title(tmp_path):
    path = savez(tmp_path / "run.npz", qx=None)
    with pytest.warns(DataWarning, match="qx"):
        stack = convert(sample(path))
    np.testing.assert_array_equal(stack.qx, [-2, -1, 0, 1, 2])
    assert "qx in pixels" in stack.title


# --- bad input


def at(value, index=(0, 0, 0), dtype=float):
    counts = COUNTS.astype(dtype)
    counts[index] = value
    return counts


@pytest.mark.parametrize(
    ("changes", "given", "match"),
    [
        ({"energy_ev": np.array([8300.0, 8300, 8400])}, {}, "at least 3 distinct photon energies; 2 came"),
        ({"f_double_prime": np.array([0.5, -3.9, 3.8])}, {}, "f'' must be >= 0"),
        ({"intensity": at(-1)}, {}, "finite and >= 0"),
        ({"intensity": at(np.nan)}, {}, "NaN"),
        ({"intensity": np.zeros_like(COUNTS)}, {}, "needs photons"),
        ({"mask": np.zeros((5, 4), dtype=np.uint32)}, {}, "mask must have the shape"),
        ({"mask": np.ones((4, 5), dtype=np.uint32)}, {}, "covers every point"),
        ({"f_prime": None}, {}, "f' and f'' are required together"),
        ({}, {"f_prime": (-1.0, -2, -3)}, "f' and f'' are required together"),
        ({}, {"f_prime": (-1.0, -2), "f_double_prime": (1.0, 2)}, "3 of each; the configuration gives 2 and 2"),
        ({"f_double_prime": np.array([0.5, 3.9])}, {}, "f' and f'' are required together"),
        ({"element": None, "f_prime": None, "f_double_prime": None}, {}, "resonant element is required"),
        ({}, {"element": "Fe"}, "element must be the file's, 'Ni'"),
        ({"edge": "K"}, {"edge": "L3"}, "edge must be the file's"),
        ({"element": "Xx"}, {}, "'Xx'"),
        ({}, {"edge": "K7"}, "'K7'"),
        ({"energy_ev": None}, {}, "photon energy of every frame"),
        ({"energy_ev": None}, {"energies_ev": (8300.0, 8400.0)}, r"data \(3, 4, 5\) and energies \(2,\)"),
        ({"f0": None}, {}, "f0 at the true momentum transfer"),
        ({"f0": np.ones((5, 4))}, {}, "f0 must be one number or have the shape"),
        ({"friedel_sign": np.ones(5, dtype=int)}, {}, "reshape"),
        ({"intensity": np.ones((3, 6)), "friedel_sign": np.zeros(6, dtype=int)}, {}, r"friedel_sign must be \+1 or -1"),
        ({"intensity": np.ones((3, 6)), "miller_indices": np.ones((5, 3), dtype=int)}, {}, r"must be \(6, 3\)"),
        ({"f_prime": None, "f_double_prime": None, "energy_ev": np.array([1.0, 2, 3])}, {}, "Chantler"),
        ({"monitor": np.ones(2)}, {}, "monitor must have one value per energy"),
    ],
)  # fmt: skip
def test_bad_arrays_are_refused(tmp_path, changes, given, match):
    refused(match, savez(tmp_path / "run.npz", **changes), **given)


def test_files_that_do_not_fit_together_are_refused(tmp_path, three_lists):
    names = ("intensity", "energy_ev", "f_prime", "f_double_prime")
    parts = [savez(tmp_path / f"{k}.npz", **{name: BASE[name][k] for name in names}) for k in range(3)]
    other = {name: BASE[name][2] for name in names}
    shape = savez(tmp_path / "shape.npz", **{**other, "intensity": COUNTS[2, :3], "qy": BASE["qy"][:3]})
    refused(r"same shape; it is \(4, 5\) in the first file and \(3, 5\) in file 3", *parts[:2], shape)
    axes = savez(tmp_path / "axes.npz", **other, qx=BASE["qx"] + 0.1)
    refused("qx must be the same", *parts[:2], axes)
    monitor = savez(tmp_path / "monitor.npz", **other, monitor=np.ones(1))
    refused("monitor is required in every file or in none; 1 of 3", *parts[:2], monitor)
    mask = savez(tmp_path / "mask.npz", **other, mask=np.zeros((5, 4)))
    refused("mask must have the shape", *parts[:2], mask)
    refused("Files of one kind", parts[0], three_lists[0])
    refused("One energy per file is required; 2 energies and 3 files", *parts, energies_ev=(8300.0, 8400.0))


def test_lists_that_do_not_fit_together_are_refused(tmp_path, three_lists):
    refused("has none; add energies_ev", *three_lists, element="Se")
    refused("2 energies and 3 lists", *three_lists, element="Se", energies_ev=(12600.0, 12700.0))
    row = [[1, 0, 3, 100, 1, 110, 2]]
    cell = scalepack(tmp_path / "cell.sca", row, "   101.000   100.000    50.000    90.000    90.000    90.000")
    refused("same crystal", *three_lists[:2], cell, **SELENIUM)
    twice = scalepack(tmp_path / "twice.sca", row * 2)
    refused("a reflection twice", *three_lists[:2], twice, **SELENIUM)
    other = scalepack(tmp_path / "other.sca", [[9, 0, 3, 100, 1, 110, 2]])
    refused("measured at three energies", *three_lists[:2], other, **SELENIUM)
    negative = scalepack(tmp_path / "negative.sca", [[1, 0, 3, -100, 1, -110, 2], [2, 2, 0, 5, 3]])
    refused("of positive mean", *three_lists[:2], negative, **SELENIUM)
    refused("at least 3 distinct", *three_lists[:2], element="Se", energies_ev=(12600.0, 12700.0))


def test_a_truncated_stack_of_ours_is_refused(tmp_path, rng):
    store.write(tmp_path / "stack.h5", simulate(SimulatedSample(dimensions=2, grid=32), rng))
    content = (tmp_path / "stack.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    refused("complete HDF5", tmp_path / "cut.h5")
    with h5py.File(tmp_path / "stack.h5", "a") as file:
        del file["entry_1/anomalous/f_prime"]
    refused("f_prime", tmp_path / "stack.h5")
