"""Every dialect gives the numbers that were written, or one line that says what is missing."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from dialects import DIALECTS, Q3, D, I, N, Q, S, comma, table, xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madpipe.base import store
from madpipe.base.curves.reading import read_curves
from madpipe.base.curves.records import Curves
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning

pytestmark = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
DIGITS = {"rtol": 1e-6}  # the texts have seven digits
AS_CM = CurvesSettings(unit_intensity="1/cm")


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder, content, name="a.dat", **said):
    return read_curves([write(folder, name, content)], CurvesSettings(**said))


def refusal(folder, content, name="a.dat", **said):
    with pytest.raises(InputError) as caught:
        read(folder, content, name, **said)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(folder)) or "need" in text
    return text


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect(tmp_path, name):
    ending, text, has_sigma, has_dq, _, absolute = DIALECTS[name]
    path = tmp_path / f"curve{ending}"
    path.write_bytes(text.encode("utf-8"))
    curves = read_curves([path])
    np.testing.assert_allclose(curves.q, Q, **DIGITS)
    np.testing.assert_allclose(curves.intensity, I[None], **DIGITS)
    assert curves.absolute == absolute
    if has_sigma:
        np.testing.assert_allclose(curves.sigma, S[None], **DIGITS)
        assert "estimated" not in (curves.warnings or "")
    else:
        assert "estimated" in curves.warnings
        assert np.isfinite(curves.sigma).all()
    if has_dq:
        np.testing.assert_allclose(curves.dq, D, **DIGITS)
    else:
        assert curves.dq is None


@pytest.mark.parametrize(
    "name", [name for name, one in DIALECTS.items() if one[4] == "" and not one[1].startswith("<?")]
)
def test_a_unit_that_is_not_in_the_file_is_said(tmp_path, name):
    ending, text, *_ = DIALECTS[name]
    assert "states no unit of q" in read(tmp_path, text, f"a{ending}").warnings
    told = read(tmp_path, text, f"a{ending}", unit_q="1/nm")
    np.testing.assert_allclose(told.q, Q / 10, **DIGITS)
    assert "states no unit of q" not in told.warnings


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "utf-8-sig"])
def test_encodings(tmp_path, encoding):
    text = "Zählrohr\nq I sigma\n" + table(Q3)
    curves = read(tmp_path, text.encode(encoding))
    np.testing.assert_allclose(curves.sigma, S[None], **DIGITS)
    assert "rohr" in curves.title


def test_missing_cells_are_not_measured(tmp_path):
    text = "q,I,sigma\n" + "".join(
        f"{q},{i},{s if k % 5 else ''}\n" if k != 7 else f"{q},NaN,{s}\n"
        for k, (q, i, s) in enumerate(zip(Q, I, S, strict=True))
    )
    curves = read(tmp_path, text)
    assert len(curves.q) == N - 1
    assert np.isinf(curves.sigma).sum() == 5
    assert "not measured" in curves.warnings


BAD = {
    "empty": (b"", {}, "empty"),
    "blank": (b"  \n\n", {}, "empty"),
    "words": ("nothing to see\nat all\n", {}, "none of them such a table"),
    "one column": ("\n".join(map(str, Q)), {}, "none of them such a table"),
    "unit asked": (table((10 * Q, I, S)), {}, "may be 1/nm or"),
    "commas for both": (table(Q3, ",", comma), {}, "commas for both"),
    "nine points": (table([one[:9] for one in Q3]), {}, "needs 10 points"),
    "angles": ("2theta (deg),I,err\n" + table(Q3, ","), {}, "give the wavelength"),
    "q in degrees": ("q (deg)\tI\terr\n" + table(Q3, "\t"), {}, "give the wavelength"),
    "fit2d's angles": ("a.edf\n 2-Theta Angle (Degrees)\n Intensity\n 25\n" + table((Q, I)), {}, "give the wavelength"),
    "crysol's int": ("crysol\n" + table((Q, I, 3 * I, I, I)), {}, "--columns"),
    "curves one below another": (table(Q3) + "\n\n" + table((Q, 2 * I, S)), {}, "2 entries"),
    "q beyond all": (table((1000 * Q, I, S)), {"unit_q": "1/angstrom"}, "check its unit"),
    "unknown unit of q": ("q (furlong),I,err\n" + table(Q3, ","), {}, "furlong"),
    "unknown unit of I": ("q (1/nm),I (furlong),err\n" + table(Q3, ","), {}, "furlong"),
    "I in 1/nm": ("q (1/nm),I (1/nm),err\n" + table(Q3, ","), {}, "'1/nm' came"),
    "q all 0": (table((0 * Q, I, S)), {}, "q above 0"),
    "dq above q": (table((Q, I, S, 1.5 * Q)), {}, "dq, one standard deviation"),
    "negative slit": ("q I sigma dql\n" + table((Q, I, S, -Q)), {}, "at least 0"),
    "seven columns": (table((Q, I, S, D, Q, S, D)), {}, "--columns"),
    "no such column": (table(Q3), {"columns": ("1", "9")}, "columns need"),
    "path in text": (table(Q3), {"path": "q=/a"}, "HDF5"),
    "entry": (table(Q3), {"entry": "7"}, "--entry"),
    "energies": (table(Q3), {"energies": (1.0, 2.0)}, "as many energies"),
    "pdf": (b"%PDF-1.5 whatever", {}, "a PDF"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), {}, "gunzip"),
    "binary": (bytes(range(256)) * 40, {}, "binary"),
    "old matlab": (b"MATLAB 5.0 MAT-file, Platform" + bytes(200), {}, "-v7.3"),
    "zip": (b"PK\x03\x04" + bytes(60), {}, ".npz"),
    "broken hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(60), {}, "HDF5"),
    "entities": (
        xml(head='<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>\n'),
        {},
        "entities",
    ),
    "laughs": ('<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><SASroot>&c;</SASroot>', {}, "entities"),
    "cut xml": (xml()[:-50], {}, "whole XML"),
    "other xml": ('<?xml version="1.0"?><svg/>', {}, "SASroot"),
    "no entry": ('<?xml version="1.0"?><SASroot/>', {}, "SASentry"),
    "words in xml": (xml().replace('<Q unit="1/A">', '<Q unit="1/A">x', 1), {}, "needs numbers"),
    "two units in xml": (xml().replace('<Q unit="1/A">', '<Q unit="1/nm">', 1), {}, "one unit"),
    "widths in another unit": (xml().replace('<Qdev unit="1/A">', '<Qdev unit="1/nm">'), {}, "unit of Q"),
    "two entries": (xml(entries=2), {}, "1: e1 (1 x 25 points); 2: e2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line(tmp_path, name):
    content, said, expected = BAD[name]
    assert expected in refusal(tmp_path, content, **said)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="existing file"):
        read_curves([tmp_path / "none.dat"])
    with pytest.raises(InputError, match="between 1"):
        read_curves([tmp_path])


SAID = {
    "unsorted": ((Q[::-1], I[::-1], S[::-1]), "sorted"),
    "doubled": ((np.repeat(Q, 2), np.repeat(I, 2), np.repeat(S, 2)), "stand twice"),
    "q of 0": ((np.append(0.0, Q), np.append(9.0, I), np.append(1.0, S)), "no q above 0"),
    "sigma 0": ((Q, I, S * (np.arange(N) > 2)), "not measured"),
    "sigma negative": ((Q, I, np.where(np.arange(N) < 2, -1, S)), "not measured"),
    "no sigma at all": ((Q, I, 0 * S), "has no errors"),
    "sigma is I": ((Q, I, I), "the intensity itself"),
    "sigma a fixed share": ((Q, I, 0.03 * I), "a convention"),
    "negative I": ((Q, I - 0.1, S), "negative"),
    "some dq above q": ((Q, I, S, np.where(np.arange(N) < 3, 2 * Q, D)), "dq exceeds q"),
    "a slit as NIST marks it": ((Q, I, S, -0.117 * np.ones(N)), "half height of a slit"),
    "arbitrary": ((Q, I, S), "taken as arbitrary"),
}


@pytest.mark.parametrize("name", SAID)
def test_odd_input_is_read_and_told(tmp_path, name):
    columns, expected = SAID[name]
    curves = read(tmp_path, table(columns, number="{:.9g}".format))
    assert expected in curves.warnings
    assert (np.diff(curves.q) >= 0).all()
    assert (curves.sigma > 0).all()
    assert np.isfinite(curves.intensity).all()


def test_sorting_keeps_rows_together(tmp_path):
    order = np.random.default_rng(2).permutation(N)
    curves = read(tmp_path, table([one[order] for one in (Q, I, S, D)]))
    np.testing.assert_allclose(curves.intensity[0], I, **DIGITS)
    np.testing.assert_allclose(curves.dq, D, **DIGITS)


def test_a_full_slit_is_halved(tmp_path):
    text = "q I sigma dQl dQw\n" + table((Q, I, S, 0.2 * np.ones(N), 0.02 * np.ones(N)))
    np.testing.assert_allclose(read(tmp_path, text).slit_length, 0.2)
    told = read(tmp_path, text, full_slit=True)
    np.testing.assert_allclose(told.slit_length, 0.1)
    np.testing.assert_allclose(told.slit_width, 0.01)
    assert read(tmp_path, text, ignore_resolution=True).slit_length is None


def test_angles_with_a_wavelength(tmp_path):
    angle = np.rad2deg(2 * np.arcsin(Q * 1.54 / 4 / np.pi))
    text = "2theta (deg),I,err\n" + table((angle, I, S), ",", "{:.12g}".format)
    np.testing.assert_allclose(read(tmp_path, text, wavelength=1.54).q, Q, rtol=1e-9)


def test_columns_that_are_told(tmp_path):
    text = table((S, Q, D, I, I, I, I))
    curves = read(tmp_path, text, columns=("2", "4", "1", "3"))
    for found, expected in ((curves.q, Q), (curves.intensity[0], I), (curves.sigma[0], S), (curves.dq, D)):
        np.testing.assert_allclose(found, expected, **DIGITS)


def test_counts_have_the_error_of_counting(tmp_path):
    counts = np.round(1000 * I)
    curves = read(tmp_path, "q (1/A),I (counts)\n" + table((Q, counts), ","))
    np.testing.assert_allclose(curves.sigma[0], np.sqrt(np.maximum(counts, 1)))
    assert "root of the counts" in curves.warnings


def test_whole_numbers_that_scatter_as_their_root_are_counts(tmp_path):
    q = np.geomspace(0.005, 0.4, 150)
    mean = 200 * np.exp(-((60 * q) ** 2) / 3) + 0.3  # mostly 0 beyond q of .07: neighbours differ by nothing
    counts = np.random.default_rng(3).poisson(mean).astype(float)
    curves = read(tmp_path, table((q, counts)), unit_q="1/angstrom")
    np.testing.assert_allclose(curves.sigma[0], np.sqrt(np.maximum(counts, 1)))
    assert "root of the counts" in curves.warnings
    scaled = read(tmp_path, table((q, 1000 * counts)), unit_q="1/angstrom")  # whole too, and no counts
    assert "scatter of neighbouring points" in scaled.warnings


def test_curves_without_intensities_are_left_out_of_a_series_and_refused_alone(tmp_path):
    intensity = I[None] * np.arange(1, 5)[:, None]
    intensity[2] = np.nan
    path = tmp_path / "a.npz"
    np.savez(path, q=Q, intensity=intensity, sigma=0.01 * intensity, time_s=np.arange(4.0))
    curves = read_curves([path], CurvesSettings(unit_q="1/angstrom"))
    np.testing.assert_array_equal(curves.time, [0.0, 1.0, 3.0])
    np.testing.assert_allclose(curves.intensity, intensity[[0, 1, 3]])
    assert "1 of 4 curves have no intensity" in curves.warnings
    assert "other than 0" in refusal(tmp_path, table((Q, 0 * I, S)))


def test_a_time_without_a_unit_is_said(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {"q": Q, "intensity": I[None] * np.arange(1, 4)[:, None]}
    for name, is_said in (("time", True), ("time_s", False), ("time_ms", False)):
        np.savez(path, **arrays, **{name: np.arange(3.0)})
        curves = read_curves([path], CurvesSettings(unit_q="1/angstrom"))
        assert ("taken in seconds" in curves.warnings) is is_said


def test_intensities_per_metre(tmp_path):
    curves = read(tmp_path, table((Q, 100 * I, 100 * S)), unit_intensity="1/m")
    np.testing.assert_allclose(curves.intensity[0], I, **DIGITS)
    assert curves.absolute == 1


def test_several_intensities_are_entries_or_an_energy_series(tmp_path):
    text = "q,I_a,err_a,I_b,err_b\n" + table((Q, I, S, 2 * I, 3 * S), ",")
    assert "2 entries" in refusal(tmp_path, text)
    second = read(tmp_path, text, entry="I_b")
    np.testing.assert_allclose(second.intensity[0], 2 * I, **DIGITS)
    np.testing.assert_allclose(second.sigma[0], 3 * S, **DIGITS)
    text = text.replace("I_a", "I_8000eV").replace("I_b", "I_7.112keV")
    series = read(tmp_path, text)
    np.testing.assert_allclose(series.energy, [7112, 8000])
    np.testing.assert_allclose(series.intensity, np.stack([2 * I, I]), **DIGITS)


def test_several_tables_are_entries(tmp_path):
    text = "first\n" + table(Q3) + "second\n" + table((Q, 2 * I, S))
    assert "2 entries" in refusal(tmp_path, text)
    np.testing.assert_allclose(read(tmp_path, text, entry="2").intensity[0], 2 * I, **DIGITS)
    both = read(tmp_path, text, entry="all", times=(1.0, 2.0))
    assert both.intensity.shape == (2, N)


def series(folder, names, **said):
    paths = [write(folder, name, table((Q, I * (1 + 0.01 * k), S))) for k, name in enumerate(names)]
    return read_curves(paths, CurvesSettings(**said))


def test_energies_and_times_from_names(tmp_path):
    found = series(tmp_path, ["Ni_8333.5eV.dat", "Ni_8.300keV.dat", "Ni_E8320.dat"])
    np.testing.assert_allclose(found.energy, [8300, 8320, 8333.5])
    np.testing.assert_allclose(found.intensity[:, 0] / I[0], [1.01, 1.02, 1.0], rtol=1e-5)
    assert "files' names" in found.warnings
    found = series(tmp_path, ["mix_20ms.dat", "mix_1.5s.dat", "mix_2min.dat"])
    np.testing.assert_allclose(found.time, [0.02, 1.5, 120])
    found = series(tmp_path, ["a.dat", "b.dat"], times=(5.0, 1.0))
    np.testing.assert_allclose(found.time, [1, 5])
    assert found.names.splitlines() == ["b", "a"]
    assert "neither energies nor times" in series(tmp_path, ["a.dat", "b.dat"]).warnings


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    for k in (10, 2, 1):
        write(tmp_path, f"frame{k}.dat", table((Q, k * I, S)))
    found = read_curves([tmp_path])
    assert found.names.splitlines() == ["frame1", "frame2", "frame10"]


def test_series_that_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"as many times.*2 were|2 curves need as many times"):
        series(tmp_path, ["a.dat", "b.dat"], times=(1.0,))
    with pytest.raises(InputError, match="times that differ"):
        series(tmp_path, ["a.dat", "b.dat"], times=(1.0, 1.0))
    with pytest.raises(InputError, match="energies that differ"):
        series(tmp_path, ["a.dat", "b.dat", "c.dat"], energies=(1e4, 2e4, 1e4))
    with pytest.raises(InputError, match="above 0"):
        series(tmp_path, ["a.dat", "b.dat"], energies=(-1.0, 2e4))
    same = [write(tmp_path, name, table(Q3)) for name in ("c.dat", "d.dat")]
    with pytest.raises(InputError, match="the same numbers"):
        read_curves(same)
    other = write(tmp_path, "e.dat", table((Q * 1.01, I, S)))
    with pytest.raises(InputError, match="rebin"):
        read_curves([same[0], other])
    with_unit = write(tmp_path, "f.dat", "q (1/A),I (1/cm),s\n" + table((Q, 2 * I, S), ","))
    with pytest.raises(InputError, match="one scale"):
        read_curves([same[0], with_unit])


def test_a_curve_that_lacks_points_joins_a_series(tmp_path):
    paths = [
        write(tmp_path, "a.dat", table(Q3)),
        write(tmp_path, "b.dat", table([2 * one[3:] if k else one[3:] for k, one in enumerate(Q3)])),
    ]
    found = read_curves(paths)
    assert found.intensity.shape == (2, N)
    assert np.isinf(found.sigma[1, :3]).all()
    np.testing.assert_allclose(found.intensity[1, 3:], 2 * I[3:], **DIGITS)


def test_what_was_written_is_read_again(tmp_path):
    curves = read(tmp_path, table((Q, I, S, D)), unit_intensity="1/cm")
    store.write(tmp_path / "own.h5", curves)
    again = read_curves([tmp_path / "own.h5"])
    assert isinstance(again, Curves)
    assert again.warnings == curves.warnings
    np.testing.assert_array_equal(again.dq, curves.dq)


TEXTS = [text for _, text, *_ in DIALECTS.values()]


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    number=st.integers(0, len(TEXTS) - 1),
    cut=st.integers(0, 2000),
    size=st.integers(0, 40),
    junk=st.one_of(
        st.binary(max_size=12),
        st.sampled_from([b",", b"\n", b"e", b"-", b"1e999", b"nan ", b"#", b"\0", b"<", b"9" * 400]),
    ),
)
def test_damaged_files_give_one_line_or_numbers(tmp_path_factory, number, cut, size, junk):
    content = TEXTS[number].encode()
    place = cut % (len(content) + 1)
    path = tmp_path_factory.getbasetemp() / "fuzz.dat"
    Path(path).write_bytes(content[:place] + junk + content[place + size :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            curves = read_curves([path])
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
    assert np.isfinite(curves.q).all()
    assert (curves.q > 0).all()
    assert np.isfinite(curves.intensity).all()
    assert (curves.sigma > 0).all()
