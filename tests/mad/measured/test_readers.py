"""Every reader against a small file written here, and against files cut short."""

import h5py
import numpy as np
import pytest
from beamline_files import COUNTS, JOULE, write_cxi, write_mtz

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers import READERS, read
from madpipe.physics.crystal import HC

SCALEPACK = """    1
 -987
   113.949   113.949    32.474    90.000    90.000    90.000 i4
   0   0   4 80331.8  8648.0104526.7 11623.3
   1   0   3  -817.5   248.0    16.7   890.1
   2  -1   5  1234.5    12.3     0.0    -1.0
   4   2   0 12075.7  1816.5
"""


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, match):
    with pytest.raises(InputError, match=match) as info:
        read(path)
    assert "\n" not in str(info.value)
    assert str(path) in str(info.value)


# --- what is common


def test_an_unknown_extension_is_refused_and_the_known_ones_are_named(file):
    refused(file("run.txt", "1 2 3"), r"\.npz, \.h5, \.hdf5, \.cxi, \.nxs, \.sca, \.mtz")


@pytest.mark.parametrize("extension", READERS)
def test_an_absent_file_is_refused(tmp_path, extension):
    refused(tmp_path / f"nothing{extension}", "there is none")


@pytest.mark.parametrize("extension", READERS)
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n\x00\x00", b"PK\x03\x04 cut", b"MTZ \x15\x00", b"text"])
def test_rubbish_is_refused_in_one_line(file, extension, content):
    refused(file(f"rubbish{extension}", content), "needs")


# --- SCALEPACK


def test_scalepack_is_read_by_columns_since_its_numbers_touch(file):
    (found,) = read(file("w.sca", SCALEPACK))
    assert found.energy is None
    np.testing.assert_array_equal(found.unit_cell, [113.949, 113.949, 32.474, 90, 90, 90])
    entries = list(zip(map(tuple, found.miller_indices), found.friedel_sign, found.intensity, found.sigma, strict=True))
    assert entries == [
        ((0, 0, 4), 1, 80331.8, 8648.0),
        ((0, 0, 4), -1, 104526.7, 11623.3),
        ((1, 0, 3), 1, -817.5, 248.0),
        ((1, 0, 3), -1, 16.7, 890.1),
        ((2, -1, 5), 1, 1234.5, 12.3),  # its mate has sigma -1: not measured
        ((4, 2, 0), 1, 12075.7, 1816.5),  # centric
    ]


@pytest.mark.parametrize("cut", [3, 9, 17, 33])
def test_scalepack_cut_short_names_the_line(file, cut):
    refused(file("w.sca", SCALEPACK[: -1 - cut]), "line 6" if cut > 28 else "line 7")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("\n".join(SCALEPACK.splitlines()[3:]), "header"),
        (SCALEPACK.replace("    1\n", "    8 i4\n", 1), "header"),
        (SCALEPACK.replace("90.000 i4", ""), "the cell"),
        (SCALEPACK.replace("12075.7", "1207x.7"), "line 7"),
        (SCALEPACK.replace("12075.7", "********"[1:]), "line 7"),
        ("\n".join(SCALEPACK.splitlines()[:3]), r"no I\(-\)"),
        ("\n".join([*SCALEPACK.splitlines()[:3], SCALEPACK.splitlines()[-1]]), r"no I\(-\)"),
    ],
)
def test_odd_scalepack_is_refused(file, content, match):
    refused(file("w.sca", content), match)


# --- MTZ


def test_mtz_gives_one_list_per_dataset_with_its_energy(tmp_path):
    path = write_mtz(tmp_path / "all.mtz", (("peak", 0.979), ("remote", 0.95), ("unknown", 0.0)))
    peak, remote, unknown = read(path)
    assert peak.energy == pytest.approx(12664.37, abs=0.01)  # 12398.42 / 0.979
    assert remote.energy == pytest.approx(HC / 0.95, rel=1e-6)  # MTZ keeps wavelengths in text of 5 decimals
    assert unknown.energy is None
    np.testing.assert_allclose(remote.unit_cell, [113.9, 113.9, 32.5, 90, 90, 90], rtol=1e-5)


def test_mtz_leaves_out_what_was_not_measured_and_the_copy_of_a_centric(tmp_path):
    (found,) = read(write_mtz(tmp_path / "peak.mtz"))
    entries = list(zip(map(tuple, found.miller_indices), found.friedel_sign, found.intensity, found.sigma, strict=True))
    assert entries == [((1, 0, 3), 1, 10, 1), ((1, 1, 0), 1, 5, 1), ((2, 1, 1), 1, 7, 1), ((1, 0, 3), -1, 11, 2)]


def test_mtz_keeps_equal_mates_that_are_not_centric(tmp_path):
    (found,) = read(write_mtz(tmp_path / "peak.mtz", rows=[[1, 0, 3, 10, 1, 10, 1]]))
    assert found.friedel_sign.tolist() == [1, -1]


def test_mtz_keeps_centric_mates_measured_apart(tmp_path):
    (found,) = read(write_mtz(tmp_path / "peak.mtz", rows=[[1, 1, 0, 5, 1, 6, 1]]))
    assert found.intensity.tolist() == [5, 6]


def test_mtz_without_mates_is_refused(tmp_path):
    path = write_mtz(tmp_path / "mean.mtz", labels=("IMEAN", "SIGIMEAN"), rows=[[1, 0, 3, 10, 1]])
    refused(path, r"I\(\+\), SIGI\(\+\).*IMEAN:K")


def test_mtz_cut_short_is_refused(tmp_path):
    content = write_mtz(tmp_path / "peak.mtz").read_bytes()
    path = tmp_path / "cut.mtz"
    for size in (4, 90, 130, len(content) // 2, len(content) - 80):
        path.write_bytes(content[:size])
        refused(path, "complete MTZ")


# --- numpy


ENERGY = np.array([8300.0, 8350.0, 8400.0])


def test_npz_keeps_type_and_values(tmp_path):
    path = tmp_path / "run.npz"
    mask = np.zeros((2, 4), dtype=bool)
    mask[0, 1] = True
    np.savez(path, intensity=COUNTS, energy_ev=ENERGY, f0=20.5, mask=mask, element="Ni", qx=np.arange(4.0))
    (found,) = read(path)
    assert found["data"].dtype == np.uint16
    np.testing.assert_array_equal(found["data"], COUNTS)
    np.testing.assert_array_equal(found["energy"], ENERGY)
    assert found["mask"].dtype == np.uint32
    assert found["mask"].sum() == 1
    assert (found["f0"], found["element"]) == (20.5, "Ni")


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"intensity": COUNTS, "bakground": COUNTS}, "'bakground' is not known.*'background'"),
        ({"energy_ev": ENERGY}, "needs the array 'intensity'"),
        ({"intensity": COUNTS.astype(complex)}, "intensity needs real numbers"),
        ({"intensity": COUNTS, "energy_ev": ENERGY[:2]}, r"data \(3, 2, 4\) and energies \(2,\)"),
        ({"intensity": np.array([None, 1])}, "plain arrays"),
    ],
)
def test_odd_npz_is_refused(tmp_path, arrays, match):
    path = tmp_path / "run.npz"
    np.savez(path, **arrays)
    refused(path, match)


def test_npz_cut_short_is_refused(tmp_path, file):
    np.savez(tmp_path / "run.npz", intensity=COUNTS)
    content = (tmp_path / "run.npz").read_bytes()
    for size in (10, len(content) // 2, len(content) - 10):
        refused(file("cut.npz", content[:size]), "complete numpy archive")


# --- HDF5 of others


def test_cxi_energy_is_in_joule_unless_it_says_otherwise(tmp_path):
    (found,) = read(write_cxi(tmp_path / "si.cxi"))
    assert found["energy"] == pytest.approx([8333.0], rel=1e-12)
    assert found["data"].shape == (1, 3, 2, 4)  # one energy: the three frames are a volume
    (found,) = read(write_cxi(tmp_path / "kev.cxi", 8.333, "keV"))
    assert found["energy"] == pytest.approx([8333.0], rel=1e-12)


def test_cxi_with_several_energies_mask_and_axes(tmp_path):
    extra = {
        "entry_1/instrument_1/detector_1/mask": np.eye(2, 4, dtype=np.uint32),
        "entry_1/data_1/qx": np.arange(4.0) / 10,
        "entry_1/data_1/errors": np.sqrt(COUNTS),
    }
    (found,) = read(write_cxi(tmp_path / "all.cxi", ENERGY * JOULE, extra=extra))
    np.testing.assert_array_equal(found["data"], COUNTS)
    np.testing.assert_allclose(found["energy"], ENERGY, rtol=1e-12)
    np.testing.assert_array_equal(found["mask"], np.eye(2, 4))
    np.testing.assert_array_equal(found["data_errors"], np.sqrt(COUNTS))
    np.testing.assert_array_equal(found["qx"], np.arange(4.0) / 10)


def test_axes_in_another_unit_are_converted(tmp_path):
    path = write_cxi(tmp_path / "nm.cxi", extra={"entry_1/data_1/qx": np.arange(4.0)})
    with h5py.File(path, "a") as handle:
        handle["entry_1/data_1/qx"].attrs["units"] = "1/nm"
    np.testing.assert_allclose(read(path)[0]["qx"], np.arange(4) / 10, rtol=1e-15)


def test_nexus_signal_is_found_by_its_default_attributes(tmp_path):
    path = tmp_path / "run.nxs"
    with h5py.File(path, "w") as handle:
        handle.attrs["default"] = "scan"
        handle.create_group("scan").attrs["default"] = "peak"
        handle["scan/peak/counts"] = COUNTS
        handle["scan/peak"].attrs["signal"] = "counts"
        handle["scan/peak/energy"] = ENERGY
    (found,) = read(path)
    np.testing.assert_array_equal(found["data"], COUNTS)
    np.testing.assert_array_equal(found["energy"], ENERGY)


def test_odd_hdf5_is_refused(tmp_path):
    refused(write_cxi(tmp_path / "unit.cxi", 8333.0, "kcal"), "'kcal'")
    refused(write_cxi(tmp_path / "many.cxi", np.ones(4) * JOULE), r"data \(3, 2, 4\) and energies \(4,\)")
    with h5py.File(tmp_path / "empty.h5", "w") as handle:
        handle.attrs["default"] = "entry"
    refused(tmp_path / "empty.h5", "needs a data set entry_1/data_1/data")


def test_hdf5_cut_short_is_refused(tmp_path, file):
    content = write_cxi(tmp_path / "whole.cxi").read_bytes()
    for size in (100, len(content) // 2, len(content) - 1):
        refused(file("cut.cxi", content[:size]), "complete HDF5")
