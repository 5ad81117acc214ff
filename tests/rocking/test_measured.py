"""Curves from the files that people have: formats, numerals, angles, counts; what is refused and what is said."""

import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe import cli
from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.rocking.config import MeasuredCurve, RockingFitConfig
from madpipe.rocking.fit import fit
from madpipe.rocking.fit.search import Solution
from madpipe.rocking.fit.told import warn_of
from madpipe.rocking.measured.curve import read_curve
from madpipe.rocking.measured.photons import noise_over_counting
from madpipe.rocking.measured.scan import axis_named, unit_named
from madpipe.rocking.model import model_of, peak_two_theta, reflection_of
from madpipe.rocking.profiles import Spline
from madpipe.rocking.records import curve_of
from madpipe.rocking.substrate import centred

GAAS = {"crystal": "GaAs", "indices": (0, 0, 4), "half_width": 0.006}
POINTS = 301


def peak_of(**changes):
    sample = MeasuredCurve(path="", **{**GAAS, **changes})
    blank = curve_of(sample, changes.get("wavelength") or 1.5406, "x", np.linspace(60, 70, 31), np.zeros(31))
    return peak_two_theta(reflection_of(blank))


@pytest.fixture(scope="module")
def scan():
    """2 theta about the peak of GaAs (004), and counts of a substrate, a layer and a background of 4."""
    angle = np.round(peak_of() + np.linspace(-0.6, 0.2, POINTS), 4)
    x = angle - peak_of()
    expected = 4 + 8e4 * np.exp(-((x / 0.012) ** 2)) + 1500 * np.exp(-(((x + 0.25) / 0.05) ** 2))
    return angle, np.random.default_rng(1).poisson(expected)


def text_of(angle, counts, line="{:.4f} {}"):
    return "\n".join(line.format(x, y) for x, y in zip(angle, counts, strict=True)) + "\n"


def comma(text):
    return text.replace(".", ",")


def grouped(counts, sign):
    return [f"{count:,}".replace(",", sign) for count in counts]


def read(tmp_path, text, name="curve.txt", encoding="utf-8", **told):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_curve(path, MeasuredCurve(path=str(path), **{**GAAS, **told}))


def written(scan):
    """The same scan as people and programs write it."""
    angle, counts = scan
    ones = np.ones(POINTS)
    columns = zip(angle, counts, strict=True)
    csv = "K-Alpha1 wavelength,1.5406\n[Scan points]\nAngle,TimePerStep,Intensity,ESD\n"
    return {
        "blanks": text_of(angle, counts),
        "byte order mark": "\ufeff" + text_of(angle, counts),
        "semicolons": "2theta;counts\n" + text_of(angle, counts, "{:.4f};{}"),
        "decimal commas, semicolons": "Winkel;Zählrate\n" + comma(text_of(angle, counts, "{:.4f};{}")),
        "decimal commas, tabs": comma(text_of(angle, counts, "{:.4f}\t{}")),
        "decimal commas, blanks": comma(text_of(angle, counts)),
        "thousands by commas": text_of(angle, grouped(counts, ",")),
        "thousands by points": comma(text_of(angle, ones, "{:.4f}")).split()[0]
        and "".join(f"{comma(f'{x:.4f}')};{y}\n" for x, y in zip(angle, grouped(counts, "."), strict=True)),
        "thousands by apostrophes": text_of(angle, grouped(counts, "'"), "{:.4f}\t{}"),
        "thousands by narrow blanks": comma(text_of(angle, grouped(counts, "\u202f"), "{:.4f}\t{}")),
        "quoted": text_of(angle, grouped(counts, ","), '"{:.4f}","{}"'),
        "falling": text_of(angle[::-1], counts[::-1]),
        "columns by name": csv + "".join(f"{x:.4f},0.5,{y},{max(y, 1) ** 0.5:.2f}\n" for x, y in columns),
        "SPEC": "#S 1\n#L Two Theta  Seconds  Monitor  Detector\n" + text_of(angle, counts, "{:.4f} 1 99999 {}"),
        "FORTRAN": text_of(angle, counts, "{:.6E} {}").replace("E+", "D+"),
    }


@pytest.mark.parametrize("number", range(15))
def test_a_scan_is_read_however_it_is_written(number, scan, tmp_path):
    name, text = list(written(scan).items())[number]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = read(tmp_path, text)
    assert curve.two_theta == pytest.approx(scan[0], abs=2e-4), name
    assert np.array_equal(curve.data, scan[1]), name
    assert curve.warnings is None
    assert curve.point_systematic is None


def test_other_encodings_are_read(scan, tmp_path):
    for encoding in ("utf-16", "latin-1"):
        curve = read(tmp_path, "# 2Theta (°)\tZählrate\n" + text_of(*scan, "{:.4f}\t{}"), encoding=encoding)
        assert np.array_equal(curve.data, scan[1])


def xrdml(scan, tag="counts", more="", axis="Omega-2Theta", tilt=0.0, copies=1, version="2.1"):
    """The layout of PANalytical's schema."""
    angle, counts = scan
    ends = "".join(
        f'<positions axis="{name}" unit="deg"><startPosition>{values[0]}</startPosition>'
        f"<endPosition>{values[-1]}</endPosition></positions>"
        for name, values in (("2Theta", angle), ("Omega", angle / 2 + tilt))
    )
    numbers = " ".join(str(count) for count in counts)
    points = (
        f"<dataPoints>{ends}<commonCountingTime>0.5</commonCountingTime>{more}<{tag}>{numbers}</{tag}></dataPoints>"
    )
    one = f'<scan scanAxis="{axis}">{points}</scan>'
    wavelength = "<usedWavelength><kAlpha1>1.540598</kAlpha1></usedWavelength>"
    return (
        f'<?xml version="1.0"?><xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/{version}">'
        f"<xrdMeasurement>{wavelength}{one * copies}</xrdMeasurement></xrdMeasurements>"
    )


@pytest.fixture(scope="module")
def absorbed(scan):
    """Absorber's factor and counts behind it; multiplied, what they stand for."""
    factor = np.where(scan[1] > 2000, 10.0, 1.0)
    recorded = np.round(scan[1] / factor)
    return factor, recorded, factor * recorded


def test_absorbers_of_xrdml_are_in_intensities_but_not_in_counts(scan, absorbed, tmp_path):
    factor, recorded, full = absorbed
    more = f"<beamAttenuationFactors>{' '.join(map(str, factor))}</beamAttenuationFactors>"
    raw = read(tmp_path, xrdml((scan[0], recorded), more=more))
    corrected = read(tmp_path, xrdml((scan[0], full), "intensities", more, version="1.3"))
    for curve in (raw, corrected):
        assert curve.data == pytest.approx(full)
        assert curve.two_theta == pytest.approx(scan[0], abs=2e-3)
        assert curve.wavelength == 1.540598
        # n counts behind a factor 10 stand for 10 n, known to 1 / sqrt(n)
        place = np.argmax(full)
        n = recorded[place]
        assert np.hypot(curve.point_systematic[place], 1 / np.sqrt(10 * n)) == pytest.approx(1 / np.sqrt(n))
        assert not curve.point_systematic[factor == 1].any()


def test_one_of_several_scans_is_named(scan, tmp_path):
    with pytest.raises(InputError, match=r"needs one scan; it holds 3; say which with --scan 1 to 3"):
        read(tmp_path, xrdml(scan, copies=3))
    assert np.array_equal(read(tmp_path, xrdml(scan, copies=3), scan=2).data, scan[1])
    with pytest.raises(InputError, match="a scan from 1 to 3"):
        read(tmp_path, xrdml(scan, copies=3), scan=4)


def test_an_asymmetric_reflection_is_refused_with_the_reason(scan, tmp_path):
    with pytest.raises(InputError, match=r"symmetric reflection.*\+15\.80 degrees.*tilted"):
        read(tmp_path, xrdml(scan, tilt=15.8))


def test_a_scan_of_omega_in_xrdml_is_one(scan, tmp_path):
    curve = read(tmp_path, xrdml(scan, axis="Omega", tilt=0.3))
    assert curve.two_theta[np.argmax(curve.data)] == pytest.approx(peak_of(wavelength=1.540598), abs=1e-6)


def ras(scan, absorbed, unit="counts", seconds=1.0):
    factor, recorded, _ = absorbed
    head = {
        "HW_XG_WAVE_LENGTH_ALPHA1": "1.540593",
        "MEAS_SCAN_AXIS_X": "TwoThetaOmega",
        "MEAS_SCAN_SPEED": "0.3",
        "MEAS_SCAN_SPEED_UNIT": "deg/min",
        "MEAS_SCAN_STEP": "0.0025",
        "MEAS_SCAN_UNIT_Y": unit,
    }
    rows = zip(scan[0], recorded / seconds, factor, strict=True)
    return (
        "*RAS_DATA_START\n*RAS_HEADER_START\n"
        + "".join(f'*{key} "{value}"\n' for key, value in head.items())
        + "*RAS_HEADER_END\n*RAS_INT_START\n"
        + "".join(f"{x:.4f} {y:.4f} {a:.4f}\n" for x, y, a in rows)
        + "*RAS_INT_END\n*RAS_DATA_END\n"
    )


@pytest.mark.parametrize(("unit", "seconds"), [("counts", 1.0), ("cps", 0.5)])
def test_ras_has_the_absorber_in_its_third_column_and_may_have_rates(unit, seconds, scan, absorbed, tmp_path):
    curve = read(tmp_path, ras(scan, absorbed, unit, seconds), "curve.ras")
    assert curve.data == pytest.approx(absorbed[2])
    assert curve.wavelength == 1.540593


@pytest.mark.parametrize("pairs", [True, False])
def test_uxd_has_pairs_or_counts_alone(pairs, scan, tmp_path):
    angle = scan[0][0] + 0.0025 * np.arange(POINTS)
    head = f"; C:\\A.RAW\n_FILEVERSION=2\n_WL1=1.540600\n_DRIVE='COUPLED'\n_STEPSIZE=0.0025\n_START={angle[0]}\n"
    rows = "_2THETACOUNTS\n" + text_of(angle, scan[1]) if pairs else "_COUNTS\n" + " ".join(map(str, scan[1])) + "\n"
    curve = read(tmp_path, head + rows)
    assert curve.two_theta == pytest.approx(angle, abs=1e-4)
    assert np.array_equal(curve.data, scan[1])


def test_brml_has_time_absorber_axes_and_counts(scan, tmp_path):
    axes = "".join(f'<ScanAxisInfo AxisName="{name}"/>' for name in ("TwoTheta", "Theta"))
    for factor, refused in ((1, False), (2, True)):
        rows = "".join(
            f"<Datum>1,{factor if y > 999 else 1},{x},{x / 2},{y}</Datum>" for x, y in zip(*scan, strict=True)
        )
        with zipfile.ZipFile(tmp_path / "a.brml", "w") as archive:
            text = f"<RawData><DataRoute>{axes}{rows}</DataRoute></RawData>"
            archive.writestr("Experiment0/RawData0.xml", text)
        sample = MeasuredCurve(path="", **GAAS)
        if refused:
            with pytest.raises(InputError, match="absorbers"):
                read_curve(tmp_path / "a.brml", sample)
        else:
            assert np.array_equal(read_curve(tmp_path / "a.brml", sample).data, scan[1])


def test_counting_times_are_put_on_one_scale(scan, tmp_path):
    """Half of the time, half of the counts: the curve is that of the longer time, its error that of the counts."""
    angle, counts = scan
    seconds = np.where(counts > 1000, 1.0, 2.0)
    recorded = counts // (2 / seconds).astype(int)
    rows = "".join(f"{x:.4f},{s},{y}\n" for x, s, y in zip(angle, seconds, recorded, strict=True))
    curve = read(tmp_path, "Angle,TimePerStep,Intensity\n" + rows)
    assert curve.data == pytest.approx(recorded * 2 / seconds)
    place = np.argmax(recorded)
    assert curve.point_systematic[place] == pytest.approx(np.sqrt(0.5 / recorded[place]))


# -- refused in one line --------------------------------------------------------------------------------------


def refused(scan):
    angle, counts = scan
    both = np.concatenate([angle, angle]), np.concatenate([counts, counts])
    return {
        "commas for both": comma(text_of(angle, np.ones(POINTS), "{:.4f}"))
        and "".join(f"{comma(f'{x:.4f}')},{y}\n" for x, y in zip(angle, counts, strict=True)),
        "signs that part thousands": text_of(angle, grouped(counts, ",")).replace(" ", ","),
        "without signs that part thousands": text_of(angle, grouped(counts, ".")),
        "--columns 1,3": text_of(angle, counts, "{:.4f} 0.5 {}"),
        "one column of intensities": "2theta,A,B\n" + text_of(angle, counts, "{:.4f},{}").replace("\n", ",7\n"),
        "several scans need a file each": text_of(*both),
        "no number came": "these are words\n",
        "well-formed XML": xrdml(scan)[:900],
        "other XML": "<?xml version='1.0'?><html/>",
        "counts cannot be negative; ": text_of(angle, counts - 50),
        "without entities": xrdml(scan).replace("<xrdM", "<!DOCTYPE a [<!ENTITY b 'c'>]><xrdM", 1),
        "as many as points; 2 came": xrdml(scan, more="<beamAttenuationFactors>1 2</beamAttenuationFactors>"),
    }


@pytest.mark.parametrize("number", range(12))
def test_what_cannot_be_read_is_refused_in_one_line(number, scan, tmp_path):
    words, text = list(refused(scan).items())[number]
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(b"RAW1.01\0", "Bruker"), (b"\x89HDF\0", "HDF5"), (b"ab\0", "binary")])
def test_binary_formats_are_named(content, words, tmp_path):
    (tmp_path / "a.raw").write_bytes(content + bytes(99))
    with pytest.raises(InputError, match=f"{words}.*export it as text"):
        read_curve(tmp_path / "a.raw", MeasuredCurve(path="", **GAAS))


def test_a_resolution_of_no_width_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        MeasuredCurve(path="", **{**GAAS, "half_width": 0.0})


# -- said -----------------------------------------------------------------------------------------------------


def said(make):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        curve = make()
    lines = [str(one.message) for one in heard if issubclass(one.category, DataWarning)]
    assert (curve.warnings or "").splitlines() == lines
    return curve, lines


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda x, n: (x, n + 200), "have a constant added"),
        (lambda x, n: (x, 0.013 * n + 7.1), "have a constant added"),
        (lambda x, n: (x, np.round(np.convolve(n, np.ones(9) / 9, "same") * 9)), "seem smoothed"),
        (lambda x, n: (x, np.minimum(n, 9000)), "saturates"),
        (lambda x, n: (x, np.where(np.arange(POINTS) == 9, np.nan, n)), "1 of 301 points have no number"),
        (lambda x, n: (np.where(np.arange(POINTS) == 9, x[8], x), n), "1 points have the angle of another"),
        (lambda x, n: (x[[1, 0, *range(2, POINTS)]], n), "not in order; points are sorted"),
    ],
)
def test_what_is_odd_about_counts_and_angles_is_said(changed, words, scan, tmp_path):
    _, lines = said(lambda: read(tmp_path, text_of(*changed(*scan), "{:.4f} {:.6g}")))
    assert len(lines) == 1
    assert words in lines[0]


def test_intensities_that_are_no_counts_are_scaled_by_their_noise(scan, tmp_path):
    """Mean and variance of windows of 30 points know the scale to a fifth."""
    x, n = scan
    wobble = np.random.default_rng(3).uniform(0.96, 1.04, POINTS)  # no multiples any more
    curve, lines = said(lambda: read(tmp_path, text_of(x, 1e-4 * n * wobble, "{:.4f} {:.9f}")))
    assert "by their noise one unit is taken for" in lines[0]
    assert curve.data.max() == pytest.approx(n.max(), rel=0.6)
    assert read(tmp_path, text_of(x, 0.37 * n, "{:.4f} {:.4f}")).data == pytest.approx(n, abs=0.02)


def test_the_noise_of_counts_is_theirs():
    counts = np.random.default_rng(1).poisson(7.0, 3000).astype(float)
    assert noise_over_counting(counts) == pytest.approx(1.0, abs=4 * 0.2)
    assert noise_over_counting(10 * counts) == pytest.approx(10 * noise_over_counting(counts))
    assert noise_over_counting(counts[:80]) is None


def test_the_wavelength_is_the_file_s_or_that_told(scan, tmp_path):
    text = "Wavelength: 1.5411\n2theta counts\n" + text_of(*scan)
    assert read(tmp_path, text).wavelength == 1.5411
    assert read(tmp_path, text_of(*scan)).wavelength == 1.5406
    curve, lines = said(lambda: read(tmp_path, text, wavelength=1.543))
    assert curve.wavelength == 1.543
    assert "states a wavelength of 1.5411" in lines[0]
    assert said(lambda: read(tmp_path, text, wavelength=1.5412))[1] == []


@pytest.mark.parametrize(
    ("turned", "told"),
    [
        (lambda x: x / 2 + 0.1, {"axis": "omega"}),
        (lambda x: (x - x[200]) * 1800, {"axis": "omega", "unit": "arcsec"}),
        (lambda x: x - x[200], {}),
        (np.radians, {"unit": "radian"}),
    ],
)
def test_axes_and_units_come_out_as_two_theta(turned, told, scan, tmp_path):
    x, n = scan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        curve = read(tmp_path, text_of(turned(x), n, "{:.8f} {}"), **told)
        right = centred(curve, reflection_of(curve))
    assert right.two_theta == pytest.approx(x, abs=3e-3)
    heading = "omega (arcsec)\tI\n"
    assert unit_named(heading) == "arcsec"
    assert axis_named(heading) == "omega"


@pytest.mark.parametrize("name", ["Omega-2Theta", "2Theta/Theta", "TwoThetaOmega", "Gonio", "COUPLED", "2θ", "tth"])
def test_coupled_axes_are_those_of_two_theta(name):
    assert axis_named(name) == "two_theta"


# -- the substrate's peak -------------------------------------------------------------------------------------


def curve_from(scan, **told):
    sample = MeasuredCurve(path="", **{**GAAS, **told})
    return curve_of(sample, told.get("wavelength", 1.5406), "one", scan[0], scan[1].astype(float))


@pytest.mark.parametrize(
    ("changed", "told", "words"),
    [
        (lambda x, n: (x[:200], n[:200]), {}, "outside the scan of .* over the substrate's peak"),
        (lambda x, n: (x / 2, n), {}, "look like omega: --axis omega"),
        (lambda x, n: (np.radians(x), n), {}, "look like radian: --unit radian"),
        (lambda x, n: (x, n), {"crystal": "Si"}, "highest peak lies at .* that of Si .* at 69"),
        (lambda x, n: (x, n), {"wavelength": 1.789}, "check unit, wavelength, indices"),
        (lambda x, n: (x, n), {"half_width": 1.3}, "at least as wide as the resolution"),
        (lambda x, n: (x, n), {"half_width": 1e-6}, "check its unit"),
    ],
)
def test_a_peak_or_a_resolution_that_cannot_be_is_refused(changed, told, words, scan):
    curve = curve_from(changed(*scan), **told)
    with pytest.raises(InputError, match=words):
        centred(curve, reflection_of(curve))


def test_a_shift_is_taken_out_and_said_where_it_is_large(scan):
    for shift, count in ((0.1, 0), (0.3, 1)):
        curve = curve_from((scan[0] + shift, scan[1]))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            right = centred(curve, reflection_of(curve))
        assert right.two_theta == pytest.approx(scan[0], abs=2e-3)
        assert len(heard) == count


def test_the_layer_s_peak_is_not_taken_for_the_substrate_s(scan):
    """A layer that reflects more than its substrate: theory says which peak is which, or the person."""
    x, n = scan
    bright = n + np.round(3e5 * np.exp(-(((x - peak_of() + 0.25) / 0.05) ** 2)))
    curve = curve_from((x, bright))
    with pytest.warns(DataWarning, match="where theory has the substrate's, is taken for it"):
        assert centred(curve, reflection_of(curve)).two_theta == pytest.approx(x, abs=2e-3)


def test_the_person_may_say_where_the_substrate_s_peak_is(scan, tmp_path):
    x, n = scan
    bright = n + np.round(3e5 * np.exp(-(((x - peak_of() + 0.25) / 0.05) ** 2))).astype(int)
    curve = read(tmp_path, text_of(x + 0.4, bright), peak=peak_of() + 0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert centred(curve, reflection_of(curve)).two_theta == pytest.approx(x, abs=2e-3)


# -- what is said of an answer --------------------------------------------------------------------------------


def answer_of(scan, chi2, deviance=1.0):
    curve = curve_from(scan)
    model = model_of(curve, reflection_of(curve), Spline(500.0, 6, 6, 25.0), True)
    numbers = np.zeros(17)
    return curve, Solution(model, numbers, scan[1] * 1.0, np.zeros((POINTS, 17)), scan[1] * 1.0, chi2, 1, deviance)


@pytest.mark.parametrize(
    ("chi2", "deviance", "words"),
    [
        (15.7, 1.0, ["does not explain the curve: chi-square per point is 15.7"]),
        (0.1, 1.0, ["far below 1"]),
        (0.8, 1.0, []),
        (1.9, 1.0, ["does not explain the curve"]),
        (1.3, 1.0, []),
        (15.7, np.nan, []),
    ],
)
def test_chi_square_far_from_one_is_said(chi2, deviance, words, scan):
    curve, answer = answer_of(scan, chi2, deviance)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn_of(curve, answer, np.linspace(0.003, 0.002, 200), 0.1)
    assert len(heard) == len(words)
    for one, word in zip(heard, words, strict=True):
        assert word in str(one.message)
    if chi2 > 2 and words:
        assert "root, 3.96," in str(heard[0].message)
        assert "--depth, to which the layer is strained (500 angstrom)" in str(heard[0].message)


def test_strain_beyond_the_scan_is_said(scan):
    """The scan begins 0.6 degrees below the peak: a strain of 0.6 / (2 tan theta) in radian, 0.8 %."""
    curve, answer = answer_of(scan, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of(curve, answer, np.linspace(0.0075, 0.0, 200), 0.1)
    with pytest.warns(DataWarning, match=r"strain up to 0\.85 % was found.* below 0\.8"):
        warn_of(curve, answer, np.linspace(0.0085, 0.0, 200), 0.1)


def test_errors_widen_by_the_root_of_chi_square(monkeypatch):
    """A posterior that is drawn takes variances larger by chi-square where that is above the limit of a good fit."""
    curve, good = answer_of((np.linspace(65, 66.2, POINTS), np.full(POINTS, 9)), 1.2)
    seen = []
    monkeypatch.setattr(fit, "posterior", lambda curve, answer, count, generator: seen.append(answer.variance))
    for chi2 in (1.2, 15.7):
        fit.drawn(curve, replace(good, chi2=chi2), RockingFitConfig(samples=5), torch.Generator())
    assert seen[0] == pytest.approx(good.variance)
    assert seen[1] == pytest.approx(15.7 * good.variance)


def test_a_depth_in_the_wrong_unit_is_refused(scan):
    curve = curve_from(scan)
    with pytest.raises(InputError, match=r"angles times sublayers; .* of --depth 2e.08 angstrom"):
        fit.fit_curve(curve, RockingFitConfig(), 2e8, torch.Generator())


def test_options_that_a_curve_h5_answers_itself_are_said_to_be_unused(scan, tmp_path):
    store.write(tmp_path / "curve.h5", curve_from(scan))
    files = [str(tmp_path / "curve.h5"), "-o", str(tmp_path / "p.h5")]
    words = ["rocking", "fit", *files, "--crystal", "Si", "--depth", "2e9"]
    with pytest.warns(DataWarning, match=r"a curve\.h5 says crystal itself"):
        assert cli.main([*words, "--threads", "1"]) == 1  # of such a depth
