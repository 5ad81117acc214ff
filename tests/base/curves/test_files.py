"""HDF5 and .npz as programs lay them out, what is written for others, and files of the shared data."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import h5py
import numpy as np
import pytest
from dialects import D, I, N, Q, S

from madpipe.base import store
from madpipe.base.curves.reading import read_curves
from madpipe.base.curves.records import Curves
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.curves.writing import write_columns, write_nxcansas
from madpipe.base.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
FRAMES = np.stack([I, 1.1 * I, 1.3 * I])
ERRORS = np.stack([S, S, 2 * S])
EXACT = {"rtol": 1e-12}


def made(folder, datasets, name="a.h5", attributes=None):
    """An HDF5 file of datasets, (values, attributes) by path, and attributes of groups by path."""
    path = folder / name
    with h5py.File(path, "w") as file:
        for key, (values, its) in datasets.items():
            file.create_dataset(key, data=values).attrs.update(its)
        for key, its in (attributes or {}).items():
            file.require_group(key).attrs.update(its)
    return path


def nxcansas(folder, name="a.h5", uncertainty="uncertainties", has_sigma=True, entries=1):
    datasets, groups = {}, {}
    for k in range(1, entries + 1):
        at = f"sasentry{k}/sasdata"
        datasets |= {
            f"{at}/Q": (Q, {"units": "1/angstrom", "resolutions": "Qdev"}),
            f"{at}/I": (k * I, {"units": "1/cm", uncertainty: "Ierr"}),
            f"{at}/Qdev": (D, {"units": "1/angstrom"}),
            f"sasentry{k}/title": ("silica", {}),
        }
        datasets |= {f"{at}/Ierr": (S, {"units": "1/cm"})} if has_sigma else {}
        groups |= {
            f"sasentry{k}": {"canSAS_class": "SASentry"},
            at: {"canSAS_class": "SASdata", "signal": "I", "I_axes": "Q", "Q_indices": 0},
        }
    return made(folder, datasets, name, groups)


@pytest.mark.parametrize("name", ["a.h5", "a.nxs", "a.dat", "a"])
@pytest.mark.parametrize("uncertainty", ["uncertainties", "uncertainty"])
def test_nxcansas_of_any_ending(tmp_path, name, uncertainty):
    curves = read_curves([nxcansas(tmp_path, name, uncertainty)])
    for found, expected in ((curves.q, Q), (curves.intensity[0], I), (curves.sigma[0], S), (curves.dq, D)):
        np.testing.assert_allclose(found, expected, **EXACT)
    assert curves.absolute == 1
    assert curves.title == "silica"


def test_nxcansas_without_sigma_and_with_several_entries(tmp_path):
    assert "no errors" in read_curves([nxcansas(tmp_path, has_sigma=False)]).warnings
    path = nxcansas(tmp_path, entries=2)
    with pytest.raises(InputError, match=r"2 entries.*1: sasentry1/sasdata"):
        read_curves([path])
    chosen = read_curves([path], CurvesSettings(entry="sasentry2/sasdata"))
    np.testing.assert_allclose(chosen.intensity[0], 2 * I, **EXACT)
    chosen = read_curves([path], CurvesSettings(path="/sasentry2"))
    np.testing.assert_allclose(chosen.intensity[0], 2 * I, **EXACT)


def layouts():
    plain = {"units": "1/angstrom"}
    raw = {f"profiles/{k:06d}": (np.stack([FRAMES[k], ERRORS[k]], axis=1), {}) for k in range(3)}
    old = {f"profiles/{k:06d}": (np.stack([Q, FRAMES[k], ERRORS[k]], axis=1), {}) for k in range(3)}
    q_name, times = ("profiles/q", (Q, {})), {"times": (np.arange(3.0), {"unit": "s"})}
    return {
        "plain": (
            {"q": (Q, plain), "intensity": (FRAMES, {}), "sigma": (ERRORS, {}), "time": (np.arange(3), {"units": "s"})},
            {},
        ),
        "in ms": (
            {
                "q": (Q, plain),
                "intensity": (FRAMES, {}),
                "sigma": (ERRORS, {}),
                "time": (1000 * np.arange(3), {"units": "ms"}),
            },
            {},
        ),
        "q in the first axis": (
            {"q": (Q, plain), "I": (FRAMES.T, {}), "err": (ERRORS.T, {}), "time": (np.arange(3), {})},
            {},
        ),
        "regals": (
            {"q": (Q[None], {}), "I": (FRAMES, {}), "sigma": (ERRORS, {}), "ms": (1000.0 * np.arange(3)[:, None], {})},
            {},
        ),
        "raw": ({**raw, **dict([q_name]), **times}, {"/": {"file_type": "RAW_Series"}}),
        "raw with q in each": ({**old, **times}, {"/": {"file_type": "RAW_Series"}}),
        "pyfai": (
            {
                "e/r/q": (10 * Q, {"units": "nm^-1"}),
                "e/r/I": (FRAMES, {}),
                "e/r/errors": (ERRORS, {}),
                "e/r/t": (np.arange(3), {"units": "s"}),
            },
            {"e/r": {"NX_class": "NXdata", "signal": "I", "axes": [".", "q"]}},
        ),
        "dawn": (
            {
                "p/result/q": (Q, {"units": "1/Angstrom"}),
                "p/result/data": (FRAMES[:, None], {}),
                "p/result/data_errors": (ERRORS[:, None], {}),
                "p/result/time": (np.arange(3), {"units": "s"}),
            },
            {"p/result": {"NX_class": "NXdata", "signal": "data", "axes": [".", ".", "q"]}},
        ),
        "nxcansas of a series": (
            {
                "e/d/Q": (Q, {"units": "1/A"}),
                "e/d/I": (FRAMES, {"uncertainties": "Idev"}),
                "e/d/Idev": (ERRORS, {}),
                "e/d/Time": (np.arange(3), {"units": "s"}),
            },
            {"e/d": {"canSAS_class": "SASdata", "signal": "I", "I_axes": "Time,Q", "Q_indices": [1]}},
        ),
    }


@pytest.mark.parametrize("name", layouts())
def test_series_of_any_layout(tmp_path, name):
    datasets, groups = layouts()[name]
    curves = read_curves([made(tmp_path, datasets, attributes=groups)])
    np.testing.assert_allclose(curves.q, Q, **EXACT)
    np.testing.assert_allclose(curves.intensity, FRAMES, **EXACT)
    np.testing.assert_allclose(curves.sigma, ERRORS, **EXACT)
    np.testing.assert_allclose(curves.time, np.arange(3))


def test_datasets_that_are_named(tmp_path):
    path = made(tmp_path, {"a/abscissa": (Q, {"units": "1/angstrom"}), "b/ordinate": (I, {}), "b/spread": (S, {})})
    with pytest.raises(InputError, match="--path"):
        read_curves([path])
    told = CurvesSettings(path="q=/a/abscissa,intensity=/b/ordinate,sigma=/b/spread")
    np.testing.assert_allclose(read_curves([path], told).sigma[0], S)
    for bad, said in (
        ("q=/a/abscissa", "needs q="),
        ("q=/a,intensity=/b/ordinate", "dataset at"),
        ("/nowhere", "group at"),
        ("p=/a,q=/b,intensity=/c", "needs q="),
    ):
        with pytest.raises(InputError, match=said):
            read_curves([path], CurvesSettings(path=bad))


BAD = {
    "images": (
        {"q": (np.ones((5, 5)), {}), "intensity": (np.ones((5, 5)), {})},
        "one axis of q|distinct|differ|q above",
    ),
    "other lengths": ({"e/Q": (Q, {}), "e/I": (I[:-1], {})}, "as many as q"),
    "words": ({"q": (Q, {}), "intensity": (["a"] * N, {})}, "q and intensity"),
    "sigma of another shape": (
        {"q": (Q, {}), "intensity": (FRAMES, {}), "sigma": (S[:3], {})},
        "values of sigma|sigma for each",
    ),
    "complex": ({"q": (Q, {}), "intensity": (I + 1j, {})}, "q and intensity|real numbers"),
    "unit of time": (
        {"q": (Q, {}), "intensity": (FRAMES, {}), "time": (np.arange(3), {"units": "furlong"})},
        "unit of time",
    ),
    "nothing": ({"x1": (Q, {})}, "none are so named"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_hdf5_gets_one_line(tmp_path, name):
    datasets, said = BAD[name]
    groups = {"e": {"canSAS_class": "SASdata"}} if "e/Q" in datasets else {}
    with pytest.raises(InputError, match=said) as caught:
        read_curves([made(tmp_path, datasets, attributes=groups)])
    assert "\n" not in str(caught.value)


def test_links_out_of_the_folder_are_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    made(tmp_path, {"q": (Q, {})}, "other.h5")
    path = made(inside, {"intensity": (I, {})})
    with h5py.File(path, "a") as file:
        file["q"] = h5py.ExternalLink("../other.h5", "/q")
    with pytest.raises(InputError, match="own folder"):
        read_curves([path])


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path,
        q=Q,
        intensity=FRAMES,
        sigma=ERRORS,
        energy_ev=[7000.0, 7100, 7110],
        dq=D,
        slit=0.1,
        element="Fe",
        edge="K",
    )
    curves = read_curves([path])
    np.testing.assert_allclose(curves.intensity, FRAMES, **EXACT)
    np.testing.assert_allclose(curves.energy, [7000, 7100, 7110])
    np.testing.assert_allclose(curves.slit_length, np.full(N, 0.1))
    assert curves.sample == "Fe K"
    np.savez(path, q=Q, intensity=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="plain arrays"):
        read_curves([path])
    np.savez(path, q=Q)
    with pytest.raises(InputError, match="arrays q and intensity"):
        read_curves([path])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="plain arrays"):
        read_curves([path])


def curves_of(**changed):
    names = "\n".join(f"frame {k}" for k in range(3))
    base = {
        "q": Q,
        "intensity": FRAMES,
        "sigma": ERRORS,
        "absolute": 1,
        "names": names,
        "title": "silica",
        "dq": D,
        "sample": "s",
    }
    return Curves(**(base | changed))


RULES = {  # (attribute of a group, its value) that NXcanSAS asks for
    "SASentry": {"NX_class": "NXentry", "version": "1.1", "canSAS_class": "SASentry"},
    "SASdata": {"NX_class": "NXdata", "signal": "I", "canSAS_class": "SASdata"},
}
UNITS = {"Q": {"1/m", "1/nm", "1/angstrom"}, "I": {"1/m", "1/cm", "m2/g", "cm2/g", "arbitrary"}}
UNITS |= {"Idev": UNITS["I"], "Qdev": UNITS["Q"], "dQl": UNITS["Q"], "dQw": UNITS["Q"]}


def require_nxcansas(path):
    """What NXcanSAS' definition asks of a file of reduced curves."""
    with h5py.File(path) as file:
        entries = [item for item in file.values() if item.attrs.get("canSAS_class") == "SASentry"]
        assert entries
        for entry in entries:
            assert RULES["SASentry"].items() <= dict(entry.attrs).items()
            assert entry["definition"][()] == b"NXcanSAS"
            assert entry["title"].shape == entry["run"].shape == ()
            data = [item for item in entry.values() if item.attrs.get("canSAS_class") == "SASdata"]
            assert len(data) == 1
            assert RULES["SASdata"].items() <= dict(data[0].attrs).items()
            axes = np.ravel(data[0].attrs["I_axes"]).tolist()
            indices = np.ravel(data[0].attrs["Q_indices"])
            assert indices.dtype.kind == "i"
            assert axes[int(indices[0])] == "Q"
            assert len(axes) == data[0]["I"].ndim
            assert data[0][data[0]["I"].attrs["uncertainties"]].shape == data[0]["I"].shape
            assert data[0]["Q"].shape == data[0]["I"].shape[int(indices[0]) :]
            for name, item in data[0].items():
                assert name not in UNITS or item.attrs["units"] in UNITS[name]
            for name in str(data[0]["Q"].attrs.get("resolutions", "")).split(","):
                assert not name or data[0][name].shape == data[0]["Q"].shape


def test_units_of_the_rules_are_those_of_the_definition():
    spec = importlib.util.find_spec("nexusformat")
    found = spec and Path(spec.submodule_search_locations[0]) / "definitions" / "applications" / "NXcanSAS.nxdl.xml"
    if not found or not found.is_file():
        pytest.skip("the definition of NXcanSAS is not at hand: pip install nexusformat")
    space = "{http://definition.nexusformat.org/nxdl/3.1}"
    fields = {one.get("name"): one for one in ElementTree.parse(found).iter(f"{space}field")}
    for name, units in UNITS.items():
        attribute = next(one for one in fields[name].iter(f"{space}attribute") if one.get("name") == "units")
        assert {one.get("value") for one in attribute.iter(f"{space}item")} >= units - {"1/angstrom"} - {"1/cm"}, name


@pytest.mark.parametrize("slit", [None, np.full(N, 0.1)])
def test_records_and_exports_are_nxcansas(tmp_path, slit):
    curves = curves_of(slit_length=slit, slit_width=slit, time=np.arange(3.0))
    store.write(tmp_path / "own.h5", curves)
    write_nxcansas(tmp_path / "out.h5", curves, process={"program": "madpipe", "date": "", "note_1": "{}"})
    for name in ("own.h5", "out.h5"):
        require_nxcansas(tmp_path / name)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["canSAS_class"] == "SASroot"
        assert len(file) == 3
    second = read_curves([tmp_path / "out.h5"], CurvesSettings(entry="2"))
    np.testing.assert_array_equal(second.intensity[0], FRAMES[1])
    np.testing.assert_array_equal(second.dq, D)
    whole = read_curves([tmp_path / "out.h5"], CurvesSettings(entry="all"))
    np.testing.assert_array_equal(whole.sigma, ERRORS)
    np.testing.assert_array_equal(whole.time, np.arange(3))
    own = store.read(tmp_path / "own.h5", Curves)
    np.testing.assert_array_equal(own.intensity, FRAMES)
    assert own.definition == "NXcanSAS"


def test_points_that_were_not_measured_are_not_written(tmp_path):
    sigma = ERRORS.copy()
    sigma[0, :3] = np.inf
    curves = curves_of(sigma=sigma, absolute=0)
    write_nxcansas(tmp_path / "a.h5", curves)
    write_columns(tmp_path / "a.txt", curves)
    for found in (read_curves([tmp_path / "a.h5"], CurvesSettings(entry="1")), read_curves([tmp_path / "a.txt"])):
        np.testing.assert_array_equal(found.q, Q[3:])
        np.testing.assert_array_equal(found.intensity[0], I[3:])
        np.testing.assert_array_equal(found.sigma[0], S[3:])
        np.testing.assert_array_equal(found.dq, D[3:])
        assert found.absolute == 0


def test_one_reduction_in_two_formats(shared):
    folder = shared / "saxs"
    text = read_curves([folder / "33837rear_1D_1.75_16.5_CanSAS1D.xml"])
    hdf5 = read_curves([folder / "33837rear_1D_1.75_16.5_NXcanSAS_v3.h5"])
    for name in ("q", "intensity", "sigma"):
        np.testing.assert_allclose(getattr(text, name), getattr(hdf5, name), rtol=5e-6)
    assert text.absolute == 1
    assert hdf5.absolute == 0  # its unit is "Counts"
    assert text.dq is hdf5.dq is None  # widths of 0


def test_shared_files(shared):
    folder = shared / "saxs"
    with pytest.raises(InputError, match="1/nm"):
        read_curves([folder / "cansas1d_badunits.xml"])
    with pytest.raises(InputError, match=r"1: latex_sans \(1 x 301 points\); 2: latex_usans \(1 x 82"):
        read_curves([folder / "latex_smeared.xml"])
    usans = read_curves([folder / "latex_smeared.xml"], CurvesSettings(entry="latex_usans"))
    np.testing.assert_allclose(usans.slit_length, 0.117)
    apoferritin = read_curves([folder / "apoferritin.txt"], CurvesSettings(unit_intensity="1/cm"))
    assert apoferritin.intensity.shape == (1, 395)
    np.testing.assert_allclose(
        [apoferritin.q[0], apoferritin.sigma[0, 0], apoferritin.dq[0]], [0.0055, 0.1143732, 8.935321e-4]
    )
    lysozyme = read_curves([folder / "lys_saxs.dat"])
    assert lysozyme.intensity.shape == (1, 474)
    assert "Rg = 13.9128" in lysozyme.warnings
    assert len(read_curves([folder / "alumina_usaxs.csv"]).q) == 112


def test_shared_series(shared):
    folder = shared / "kinetics"
    msba = read_curves([folder / "msba.h5"])
    np.testing.assert_allclose([msba.time[0], msba.time[-1]], [0.02, 120])
    assert "too large" in msba.warnings  # by about two: 0.231 ** -0.5
    jump = read_curves([folder / "cypa_tjump.h5"])
    np.testing.assert_allclose(jump.time[:2], [-1.01e-5, 5.62e-7])
    bsa = read_curves([folder / "bsa_sec.h5"])
    assert bsa.names.splitlines()[20] == "frame 20"
    assert "errors" not in (bsa.warnings or "")  # they are right: chi-square .9994
