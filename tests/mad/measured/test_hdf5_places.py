"""CXI, NeXus, detectors' files and bliss scans: each layout is written here and must come out as one stack."""

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch
from beamline_files import JOULE

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.cli import main
from madpipe.mad.config import FitConfig, MeasuredSample, NuisanceConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.fit.refine.dispersion import curve_of, dispersion_covariance
from madpipe.mad.measured.convert import convert
from madpipe.mad.measured.readers import read
from madpipe.mad.measured.readers.hdf5.units import factor_of
from madpipe.mad.records import Stack
from madpipe.physics.atoms import form_factor
from madpipe.physics.crystal import HC

ENERGY = np.array([7050.0, 7112.0, 7180.0])  # iron
FRAMES = np.random.default_rng(5).integers(0, 50, (3, 6, 8)).astype(np.uint32)
GAP = np.zeros((6, 8), dtype=np.uint32)
GAP[2] = 1
HOT = np.zeros((6, 8), dtype=np.uint32)
HOT[0, 0] = 8
Q = {"qy": np.arange(6.0) - 3, "qx": np.arange(8.0) - 4}
GIVEN = {"element": "Fe", "f_prime": (-3.0, -6.0, -4.0), "f_double_prime": (0.5, 2.0, 3.9)}


def write(path, items, attributes=None):
    with h5py.File(path, "w") as file:
        for name, value in items.items():
            if isinstance(value, h5py.SoftLink):
                file[name] = value
            else:
                file.create_dataset(name, data=value)
        for where, values in (attributes or {}).items():
            for name, value in values.items():
                file[where].attrs[name] = value
    return path


def nexus(path, extra=None, attributes=None, frames=FRAMES, energy=ENERGY):
    items = {
        "entry/data/data": frames,
        **({"entry/data/energy": energy} if energy is not None else {}),
        **(extra or {}),
    }
    plot = {"/": {"default": "entry"}, "entry": {"default": "data"}, "entry/data": {"signal": "data"}}
    return write(path, items, {**plot, **(attributes or {})})


def one(path, *where):
    (found,) = read(path, *where)
    return found


def refused(match, *arguments):
    with pytest.raises(InputError, match=match) as info:
        read(*arguments)
    assert "\n" not in str(info.value)


def sample(*paths, **given):
    return MeasuredSample(path=tuple(map(str, paths)), **{**GIVEN, **given})


# --- masks


@pytest.mark.parametrize(
    "place",
    [
        "entry/instrument/detector/detectorSpecific/pixel_mask",
        "entry/instrument/detector/pixel_mask",
        "entry/instrument/eiger/pixel_mask",
        "entry/instrument/eiger4M/detectorSpecific/pixel_mask",
        "entry/instrument/detector_1/mask",
        "entry/instrument/lambda/collection/bad_pixels",
        "entry/data/data_mask",
        "entry/data/pixel_mask",
        "entry/data/mask",
        "entry/detector/dead_pixel_mask",
        "entry/data/badpixelmask",
    ],
)
@pytest.mark.parametrize("dtype", [np.uint32, np.int8, bool])
def test_a_mask_is_found_wherever_it_lies(tmp_path, place, dtype):
    found = one(nexus(tmp_path / "run.nxs", {place: GAP.astype(dtype)}))
    assert found["mask"].dtype == np.uint32
    np.testing.assert_array_equal(found["mask"] > 0, GAP > 0)


def test_masks_are_combined_and_keep_cxi_s_bits(tmp_path):
    extra = {"entry/instrument/detector/detectorSpecific/pixel_mask": GAP, "entry/data/mask": HOT}
    found = one(nexus(tmp_path / "run.nxs", extra))
    assert found["mask"][0, 0] == 8  # dead, as CXI has it
    assert found["mask"][2, 0] == 0x200  # a gap of NeXus is missing in CXI's words
    assert np.count_nonzero(found["mask"]) == 9


def test_bits_of_cxi_that_are_no_fault_do_not_mask(tmp_path):
    mask = np.full((6, 8), 0x4000 | 0x20, dtype=np.uint32)  # background corrected, in a peak
    mask[1, 1] |= 4
    assert np.count_nonzero(one(nexus(tmp_path / "run.nxs", {"entry/data/mask": mask}))["mask"]) == 1


def test_a_mask_of_another_detector_is_left_alone(tmp_path):
    extra = {"entry/instrument/other/data": FRAMES + 1, "entry/instrument/other/pixel_mask": GAP}
    assert "mask" not in one(nexus(tmp_path / "run.nxs", extra))


def test_a_mask_of_another_shape_is_told(tmp_path):
    path = nexus(tmp_path / "run.nxs", {"entry/instrument/detector/pixel_mask": np.zeros((60, 80), dtype=np.uint32)})
    with pytest.warns(DataWarning, match=r"pixel_mask \(60, 80\) does not have the shape of the data"):
        assert "mask" not in one(path)


def test_a_mask_of_a_frame_holds_for_each_frame_of_a_volume(tmp_path):
    paths = [
        nexus(
            tmp_path / f"{k}.nxs", {"entry/data/mask": GAP}, frames=np.ones((4, 6, 8)), energy=ENERGY[k]
        )
        for k in range(3)
    ]  # fmt: skip
    with pytest.warns(DataWarning, match="pixel numbers"):
        stack = convert(sample(*paths, f0=20.0))
    assert stack.good.shape == (3, 4, 6, 8)
    np.testing.assert_array_equal(stack.good, np.broadcast_to(GAP == 0, (3, 4, 6, 8)))


# --- signals


def test_old_nexus_signals_and_axes_are_attributes_of_data_sets(tmp_path):
    items = {
        "scan/data/counts": FRAMES,
        "scan/data/e": ENERGY,
        "scan/data/y": Q["qy"] / 10,
        "scan/data/x": Q["qx"] / 10,
    }
    units = {"scan/data/e": {"units": "eV"}, "scan/data/y": {"units": "nm-1"}, "scan/data/x": {"units": "Å⁻¹"}}
    path = write(tmp_path / "a.h5", items, {"scan/data/counts": {"signal": 1, "axes": "e:y:x"}, **units})
    found = one(path)
    np.testing.assert_array_equal(found["data"], FRAMES)
    np.testing.assert_array_equal(found["energy"], ENERGY)
    np.testing.assert_allclose(found["qy"], Q["qy"] / 100)
    np.testing.assert_array_equal(found["qx"], Q["qx"] / 10)


def test_axes_by_number_and_by_names_of_h_k_l(tmp_path):
    items = {"g/counts": FRAMES, "g/energy": ENERGY, "g/K": Q["qy"], "g/H": Q["qx"]}
    attributes = {"g/counts": {"signal": "1"}, "g/K": {"axis": 2, "units": "1/nm"}, "g/H": {"axis": 3, "units": "1/m"}}
    found = one(write(tmp_path / "a.h5", items, attributes))
    np.testing.assert_allclose(found["qy"], Q["qy"] / 10)
    np.testing.assert_allclose(found["qx"], Q["qx"] * 1e-10)


def test_axes_belong_to_the_data_by_their_place_not_their_name(tmp_path):
    volume, axes = np.ones((3, 2, 4, 5)), {"Qx": np.arange(2.0), "Qy": np.arange(4.0), "Qz": np.arange(5.0)}
    extra = {f"entry/data/{name}": axis for name, axis in axes.items()}
    attributes = {"entry/data": {"signal": "data", "axes": ["energy", "Qx", "Qy", "Qz"]}}
    found = one(nexus(tmp_path / "a.nxs", extra, attributes, frames=volume))
    assert [len(found[name]) for name in ("qz", "qy", "qx")] == [2, 4, 5]


def test_a_plot_without_default_and_a_detector_without_plot_are_found(tmp_path):
    plot = write(tmp_path / "a.h5", {"run/p/y": FRAMES, "run/p/energy": ENERGY}, {"run/p": {"signal": "y"}})
    np.testing.assert_array_equal(one(plot)["data"], FRAMES)
    detector = {"entry/instrument/merlin/data": FRAMES, "entry/instrument/beam/incident_energy": ENERGY}
    np.testing.assert_array_equal(one(write(tmp_path / "b.h5", detector))["energy"], ENERGY)
    np.testing.assert_array_equal(one(write(tmp_path / "c.h5", {"counts": FRAMES, "energy": ENERGY}))["data"], FRAMES)


def test_links_to_one_data_set_count_once_and_parts_are_joined(tmp_path):
    items = {
        "entry/instrument/detector/data": FRAMES,
        "entry/data/data": h5py.SoftLink("/entry/instrument/detector/data"),
    }
    np.testing.assert_array_equal(one(write(tmp_path / "a.h5", items))["data"], FRAMES)
    parts = {f"entry/data/data_{k + 1:06d}": FRAMES[k : k + 1] for k in range(3)}
    energy = {"entry/instrument/beam/incident_wavelength": HC / ENERGY}
    eiger = one(write(tmp_path / "b.h5", {**parts, **energy}))
    np.testing.assert_array_equal(eiger["data"], FRAMES)
    np.testing.assert_allclose(eiger["energy"], ENERGY, rtol=1e-15)


def test_several_candidates_are_listed_and_one_can_be_named(tmp_path):
    items = {"entry/instrument/eiger/data": FRAMES, "entry/instrument/maxipix/data": FRAMES[:, :2], "energy": ENERGY}
    path = write(tmp_path / "a.h5", items)
    refused(
        r"/entry/instrument/eiger/data \(3, 6, 8\) uint32, /entry/instrument/maxipix/data \(3, 2, 8\).*--dataset", path
    )
    for name in ("/entry/instrument/maxipix/data", "entry/instrument/maxipix", "*/maxipix/*"):
        np.testing.assert_array_equal(one(path, (name,), "energy")["data"], FRAMES[:, :2])
    refused(
        r"needs a data set of intensities at 'entry/nothing'; there are /entry/instrument/eiger",
        path,
        ("entry/nothing",),
    )
    refused("photon energy at 'nothing'", path, ("entry/instrument/eiger/data",), "nothing")


def test_a_broken_link_is_named(tmp_path):
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("run_data_000001.h5", "/entry/data/data")
    refused(
        r"links to what is not there: entry/data/data_000001; put the linked files beside it", tmp_path / "master.h5"
    )


def test_places_are_of_hdf5_only(tmp_path):
    np.savez(tmp_path / "a.npz", intensity=FRAMES)
    refused("needs to be HDF5 for --dataset", tmp_path / "a.npz", ("data",))


@pytest.mark.parametrize(
    "options", [{"compression": "gzip", "shuffle": True}, hdf5plugin.Bitshuffle(), hdf5plugin.LZ4()]
)
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32, np.float32])
def test_types_and_compressions_come_through(tmp_path, options, dtype):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("entry/data/data", data=FRAMES.astype(dtype), chunks=(1, 6, 8), **options)
        file["entry/data/energy"] = ENERGY
    found = one(tmp_path / "a.h5")["data"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, FRAMES)


# --- exposures


def test_a_monitor_gives_the_exposures(tmp_path):
    counts = np.array([1e9, 2e9, 3e9])
    monitor = {"entry/control": {"NX_class": "NXmonitor"}}
    whole = nexus(tmp_path / "a.nxs", {"entry/control/data": counts}, monitor)
    with pytest.warns(DataWarning, match="pixel numbers"):
        np.testing.assert_allclose(convert(sample(whole, f0=20.0)).monitor, [0.5, 1, 1.5])
    with pytest.warns(DataWarning, match="pixel numbers"):
        assert convert(sample(whole, f0=20.0, monitor=(1, 1, 1))).monitor.tolist() == [1, 1, 1]
    paths = [
        nexus(
            tmp_path / f"{k}.nxs", {"entry/control/data": np.full(4, counts[k])}, monitor,
            frames=FRAMES[k, None] + np.zeros((4, 1, 1), dtype=np.uint32), energy=ENERGY[k],
        )
        for k in range(3)
    ]  # fmt: skip
    with pytest.warns(DataWarning, match="pixel numbers"):
        np.testing.assert_allclose(convert(sample(*paths, f0=20.0)).monitor, [0.5, 1, 1.5])


def test_monitors_that_do_not_fit_are_told(tmp_path):
    extra = {"entry/a/data": np.ones(3), "entry/b/data": np.ones(3)}
    two = nexus(tmp_path / "a.nxs", extra, {f"entry/{name}": {"NX_class": "NXmonitor"} for name in "ab"})
    with pytest.warns(DataWarning, match=r"no monitor was used: a/data \(3,\), b/data \(3,\)"):
        assert "exposures" not in one(two)


# --- energies and units


@pytest.mark.parametrize(
    ("place", "value", "unit"),
    [
        ("entry_1/instrument_1/source_1/energy", 7112 * JOULE, None),
        ("entry_1/instrument_1/source_1/energy", 7112.0, None),  # joule by the standard, but it cannot be
        ("entry_1/instrument_1/beam_1/incident_energy", 7.112, "keV"),
        ("entry_1/instrument_1/beam_1/incident_energy", 7112 * JOULE, None),
        ("entry_1/instrument_1/beam_1/incident_wavelength", HC / 7112 * 1e-10, "m"),
        ("entry_1/instrument_1/beam_1/incident_wavelength", HC / 7112 * 1e-10, None),
        ("entry_1/instrument_1/beam_1/incident_wavelength", HC / 7112 / 10, "nm"),
        ("entry_1/instrument_1/monochromator/wavelength", HC / 7112, "Angstrom"),
        ("entry_1/instrument_1/monochromator/energy", 7112.0, "eV"),
        ("entry_1/sample_1/beam/incident_wavelength", HC / 7112, None),
        ("entry_1/instrument_1/eiger/detectorSpecific/photon_energy", 7112.0, "eV"),
        ("entry_1/data_1/photon_energy", 7112.0, None),
        ("entry_1/data_1/wavelength", np.full(3, HC / 7112), None),  # of each frame, all the same: one volume
    ],
)
def test_the_photon_energy_is_found_in_every_place_and_unit(tmp_path, place, value, unit):
    path = write(
        tmp_path / "a.cxi",
        {"entry_1/data_1/data": FRAMES, place: value, "entry_1/instrument_1/source/energy": 6.03},
        {place: {"units": unit} if unit else {}, "entry_1/instrument_1/source/energy": {"units": "GeV"}},
    )
    found = one(path)
    assert found["energy"] == pytest.approx([7112.0], rel=1e-12)
    assert found["data"].shape == (1, 3, 6, 8)


def test_an_energy_that_cannot_be_is_refused(tmp_path):
    refused("photon energies above zero", nexus(tmp_path / "a.nxs", energy=np.array([7050.0, 0, 7180])))
    refused(
        "needs a unit of energy.*'furlong'",
        nexus(tmp_path / "b.nxs", None, {"entry/data/energy": {"units": "furlong"}}),
    )


@pytest.mark.parametrize("angstrom", ["A", "Å", "\N{ANGSTROM SIGN}", "Angstrom", "angstroms", r"\AA", "Ang."])
@pytest.mark.parametrize(
    "form", ["1/{}", "{}-1", "{}^-1", "{}**-1", "{}^{{-1}}", "{}⁻¹", "1 / {}", "{}^(-1)", "1/({})"]
)
def test_inverse_angstrom_in_any_spelling(form, angstrom):
    assert factor_of(form.format(angstrom), "inverse length") == 1.0


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("inverse angstrom", 1.0), ("reciprocal Angstroms", 1.0), ("per nm", 0.1), ("nm-1", 0.1), ("1/nm", 0.1),
        ("nm⁻¹", 0.1), ("m-1", 1e-10), ("1/m", 1e-10), ("rad/Å", 1.0), ("1/um", 1e-4), ("invnm", 0.1),
        ("nm", None), ("", None), ("A", None), ("pixel", None), ("1/s", None), ("degree", None),
    ],
)  # fmt: skip
def test_other_inverse_lengths(unit, factor):
    found = factor_of(unit, "inverse length")
    assert found == (None if factor is None else pytest.approx(factor, rel=1e-12))


# --- CXI of phasing programs, and the detector's geometry


def phasing_cxi(path, energy, shape=(6, 8), pixel=None, distance=1.0):
    rng = np.random.default_rng(int(energy))
    items = {
        "entry_1/instrument_1/detector_1/data": rng.integers(1, 99, shape).astype(np.uint32),
        "entry_1/instrument_1/detector_1/mask": np.zeros(shape, dtype=np.int8),
        "entry_1/instrument_1/detector_1/distance": distance,
        "entry_1/instrument_1/source_1/energy": energy * JOULE,
        "entry_1/data_1/data": h5py.SoftLink("/entry_1/instrument_1/detector_1/data"),
    }
    if pixel is not None:
        items |= {f"entry_1/instrument_1/detector_1/{axis}_pixel_size": pixel for axis in "xy"}
    return write(path, items)


@pytest.mark.parametrize("given", [{"q_bragg": (2.0, 1.0, 2.0)}, {"q_bragg": (3.0,)}, {"f0": 17.5}])
def test_phasing_programs_cxi_needs_the_length_of_q_only(tmp_path, given):
    paths = [phasing_cxi(tmp_path / f"{k}.cxi", energy) for k, energy in enumerate(ENERGY)]
    with pytest.warns(DataWarning, match="pixel numbers"):
        stack = convert(sample(*paths, **given))
    expected = form_factor("Fe", torch.tensor(3.0, dtype=torch.float64)) if "f0" not in given else 17.5
    assert stack.f0 == pytest.approx(float(expected), rel=1e-12)
    assert stack.q_bragg is None  # no direction along the axes is known
    np.testing.assert_allclose(stack.energy, ENERGY, rtol=1e-12)
    np.testing.assert_array_equal(stack.qx, np.arange(8) - 4)


@pytest.mark.parametrize("pixel", [55e-6, 75e-6])
def test_q_of_a_detector_s_pixels_is_the_exact_one_to_first_order(tmp_path, pixel):
    paths = [phasing_cxi(tmp_path / f"{k}.cxi", energy, pixel=pixel, distance=0.8) for k, energy in enumerate(ENERGY)]
    stack = convert(sample(*paths, f0=20.0))
    k = 2 * np.pi * ENERGY.mean() / HC
    away = np.stack([pixel * (np.arange(8) - 4), np.zeros(8), np.full(8, 0.8)])
    exact = k * away / np.linalg.norm(away, axis=0)
    largest = (4 * pixel / 0.8) ** 2 / 2  # of q, what the docstring says
    np.testing.assert_allclose(stack.qx, exact[0], rtol=1.01 * largest, atol=0)
    assert "distance" in stack.title


def test_a_distance_in_mm_is_read_as_such(tmp_path):
    paths = [phasing_cxi(tmp_path / f"{k}.cxi", energy, pixel=55e-6) for k, energy in enumerate(ENERGY)]
    expected = convert(sample(*paths, f0=20.0)).qx
    for path in paths:
        with h5py.File(path, "a") as file:
            file["entry_1/instrument_1/detector_1/distance"][()] = 1000.0
            file["entry_1/instrument_1/detector_1/distance"].attrs["units"] = "mm"
    np.testing.assert_allclose(convert(sample(*paths, f0=20.0)).qx, expected, rtol=1e-12)


def test_f_prime_and_f0_need_no_element(tmp_path):
    paths = [phasing_cxi(tmp_path / f"{k}.cxi", energy, pixel=55e-6) for k, energy in enumerate(ENERGY)]
    stack = convert(sample(*paths, element=None, f0=20.0))
    assert (stack.element, stack.edge, stack.edge_ev, stack.resonant) == ("", "", None, "resonant")
    with pytest.raises(InputError, match=r"f0 .* is required where the resonant element is not known"):
        convert(sample(*paths, element=None, q_bragg=(3.0,)))
    with pytest.raises(InputError, match="resonant element is required"):
        convert(sample(*paths, element=None, f0=20.0, f_prime=None, f_double_prime=None))


def test_a_stack_without_element_is_fitted_but_its_dispersion_is_not_refined(tmp_path):
    paths = [phasing_cxi(tmp_path / f"{k}.cxi", energy, pixel=55e-6) for k, energy in enumerate(ENERGY)]
    stack, known = (convert(sample(*paths, element=element, f0=20.0)) for element in (None, "Fe"))
    np.testing.assert_array_equal(fit_stack(stack, FitConfig()).f_resonant, fit_stack(known, FitConfig()).f_resonant)
    for refuses in (lambda: curve_of(stack), lambda: dispersion_covariance(stack, NuisanceConfig())):
        with pytest.raises(InputError, match="needs the resonant element; the stack names none"):
            refuses()


# --- bliss


def bliss(path, energies, frames=5, motor="eta", detector="mpx1x4", unit="keV"):
    items, attributes = {}, {}
    for number, energy in enumerate(energies, 1):
        scan = f"{number}.1"
        data = np.random.default_rng(number).integers(0, 9, (frames, 6, 8)).astype(np.uint16)
        items |= {
            f"{scan}/instrument/{detector}/data": data,
            f"{scan}/measurement/{detector}": h5py.SoftLink(f"/{scan}/instrument/{detector}/data"),
            f"{scan}/measurement/{motor}": 15 + 0.02 * np.arange(frames),
            f"{scan}/measurement/{detector}_roi1": np.arange(float(frames)),
            f"{scan}/instrument/positioners/{motor}": 15 + 0.02 * np.arange(frames),
            f"{scan}/instrument/positioners/mononrj": energy / 1e3,
            f"{scan}/instrument/positioners/delta": 30.0,
            f"{scan}/instrument/positioners/nu": 10.0,
            f"{scan}/instrument/{detector}/distance": 0.8,
            f"{scan}/instrument/{detector}/x_pixel_size": 55e-6,
            f"{scan}/instrument/{detector}/y_pixel_size": 55e-6,
            f"{scan}/title": f"ascan {motor}",
        }
        if unit:
            attributes[f"{scan}/instrument/positioners/mononrj"] = {"units": unit}
    return write(path, items, attributes)


@pytest.mark.parametrize("unit", ["keV", None])
def test_bliss_scans_of_one_file_are_energies_when_they_are_named(tmp_path, unit):
    path = bliss(tmp_path / "sample.h5", ENERGY, unit=unit)
    refused(r"/1.1/measurement/mpx1x4 \(5, 6, 8\) uint16, /2.1/", path)
    with pytest.warns(DataWarning, match=r"not 90 degree apart"):
        stack = convert(sample(path, dataset=("*/measurement/mpx1x4",), f0=20.0))
    np.testing.assert_allclose(stack.energy, ENERGY, rtol=1e-12)
    assert stack.data.shape == (3, 5, 6, 8)
    k = 2 * np.pi * ENERGY.mean() / HC
    theta = np.arccos(np.cos(np.radians(30)) * np.cos(np.radians(10))) / 2
    np.testing.assert_allclose(np.diff(stack.qz), 2 * k * np.sin(theta) * np.radians(0.02), rtol=1e-9)
    np.testing.assert_allclose(np.diff(stack.qx), k * 55e-6 / 0.8, rtol=1e-9)


def test_bliss_one_file_per_energy_with_its_place_told(tmp_path):
    paths = [bliss(tmp_path / f"{k}.h5", [energy], detector="eiger2M") for k, energy in enumerate(ENERGY)]
    with pytest.warns(DataWarning, match=r"not 90 degree apart"):
        stack = convert(sample(*paths, f0=20.0))
    places = {"dataset": ("1.1/measurement/eiger2M",), "energy_path": "/1.1/instrument/positioners/mononrj"}
    with pytest.warns(DataWarning, match=r"not 90 degree apart"):
        told = convert(sample(*paths, f0=20.0, **places))
    np.testing.assert_array_equal(told.data, stack.data)
    np.testing.assert_allclose(told.energy, ENERGY, rtol=1e-12)


def test_an_energy_scan_has_an_energy_per_frame(tmp_path):
    items = {"1.1/measurement/eiger": FRAMES, "1.1/instrument/positioners/mononrj": ENERGY / 1e3}
    found = one(write(tmp_path / "a.h5", items))
    np.testing.assert_allclose(found["energy"], ENERGY, rtol=1e-12)
    assert found["data"].shape == (3, 6, 8)


def test_falling_rocking_angles_are_turned_round_with_their_frames(tmp_path):
    paths = [bliss(tmp_path / f"{k}.h5", [energy]) for k, energy in enumerate(ENERGY)]
    with pytest.warns(DataWarning, match="not 90 degree apart"):
        rising = convert(sample(*paths, f0=20.0))
    for path in paths:
        with h5py.File(path, "a") as file:
            for name in ("instrument/positioners/eta", "measurement/eta"):
                file[f"1.1/{name}"][...] = file[f"1.1/{name}"][()][::-1]
    with pytest.warns(DataWarning, match="not 90 degree apart"):
        falling = convert(sample(*paths, f0=20.0))
    np.testing.assert_array_equal(falling.data, rising.data[:, ::-1])
    assert (np.diff(falling.qz) > 0).all()


def test_the_command_takes_places_and_the_length_of_q(tmp_path):
    path = bliss(tmp_path / "sample.h5", ENERGY)
    places = [
        "--dataset",
        "*/measurement/mpx1x4",
        "--energy-path",
        "instrument/positioners/mononrj",
        "--q-bragg",
        "3.0",
    ]
    given = ["--element", "Fe", "--f-prime=-3,-6,-4", "--f-double-prime", "0.5,2,3.9"]
    with pytest.warns(DataWarning, match="not 90 degree apart"):
        assert main(["convert", str(path), *places, *given, "-o", str(tmp_path / "stack.h5")]) == 0
    stack = store.read(tmp_path / "stack.h5", Stack)
    assert stack.data.shape == (3, 5, 6, 8)
    assert "not 90 degree apart" in stack.warnings
    assert sample(path, dataset="a/b", q_bragg=3.0) == sample(path, dataset=("a/b",), q_bragg=(3.0,))  # as YAML has one
