import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, to_rgb
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2gray, rgb2lab

from madpipe.base.errors import InputError
from madpipe.base.plotting import (
    HIDDEN,
    HIDDEN_PHASE,
    LOOKS,
    MAGNITUDE,
    PHASE,
    SHARE,
    SIGNED,
    colour_bar,
    edges_from_axis,
    name_panels,
    new_figure,
    phase_norm,
    phase_ticks,
    round_length,
    save,
    scale_bar,
    show_map,
    styled,
)

PROVENANCE = {"code": "0123abcd", "config": {"dpi": 80}}
UNIT = (0.0, 4.0, 0.0, 3.0)
# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), table 1, severity 1.0, linear RGB
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@styled
def draw(seed=0):
    figure = new_figure(3.4, 2.5)
    axes = figure.subplots()
    values = np.random.default_rng(seed).random((3, 4))
    colour_bar(show_map(axes, values, UNIT, Normalize(0, 1), MAGNITUDE), axes, r"$|\rho|$ (electron)")
    axes.set(xlabel="$q_x$ (nm$^{-1}$)", ylabel="$q_y$ (nm$^{-1}$)")
    return figure


def written(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_rerun_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        save(draw(), tmp_path / name / "x.pdf", PROVENANCE, caption="R is 0.013.", dpi=80)
    first, second = written(tmp_path / "first"), written(tmp_path / "second")
    assert set(first) == {"x.pdf", "x.png", "x.txt"}
    assert first == second
    save(draw(seed=1), tmp_path / "third" / "x.pdf", PROVENANCE, caption="R is 0.013.", dpi=80)
    assert written(tmp_path / "third")["x.pdf"] != first["x.pdf"]


def test_the_bytes_do_not_depend_on_the_process(tmp_path):
    program = (
        "import sys; from madpipe.base.plotting import new_figure, save, styled\n"
        "figure = styled(new_figure)(2.0, 2.0)\n"
        "styled(lambda: figure.subplots().set(xlabel='energy (eV)', ylabel=r'$\\Delta\\varphi$ (rad)'))()\n"
        "save(figure, sys.argv[1], {}, dpi=40)"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "HOME": str(tmp_path / f"home{seed}"), "PATH": ""}
        command = [sys.executable, "-c", program, str(tmp_path / seed / "x.pdf")]
        subprocess.run(command, check=True, env=environment, capture_output=True)
    assert written(tmp_path / "1") == written(tmp_path / "2")


def test_no_date_is_written_and_provenance_and_caption_are(tmp_path):
    save(draw(), tmp_path / "x.pdf", PROVENANCE, caption="R is 0.013.", dpi=80)
    portable = (tmp_path / "x.pdf").read_bytes()
    assert b"CreationDate" not in portable
    assert b"0123abcd" in portable
    assert b"R is 0.013." in portable
    with Image.open(tmp_path / "x.png") as bitmap:
        text = bitmap.text
    assert json.loads(text["Comment"]) == PROVENANCE
    assert text["Description"] == "R is 0.013."
    assert (tmp_path / "x.txt").read_text() == "R is 0.013.\n"


def test_text_is_embedded_as_truetype_not_as_drawings_of_letters(tmp_path):
    save(draw(), tmp_path / "x.pdf", {}, dpi=80)
    portable = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in portable
    assert b"/Type3" not in portable


def test_the_png_has_the_size_and_resolution_asked_for(tmp_path):
    save(draw(), tmp_path / "x.pdf", {}, dpi=80)
    with Image.open(tmp_path / "x.png") as bitmap:
        assert bitmap.size == (round(3.4 * 80), round(2.5 * 80))


def test_without_a_caption_there_is_no_text_file(tmp_path):
    save(draw(), tmp_path / "x.pdf", {}, dpi=80)
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("fails", ["png", "pdf"])
def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, fails):
    save(draw(), tmp_path / "x.pdf", PROVENANCE, dpi=80)
    before = written(tmp_path)
    figure = draw(seed=1)
    whole = figure.savefig

    def full(name, format, **keywords):
        whole(name, format=format, **keywords)
        if format == fails:
            name.write_bytes(name.read_bytes()[:100])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(InputError, match=r"writable disk.*No space left.*free some space"):
        save(figure, tmp_path / "x.pdf", PROVENANCE, dpi=80)
    after = written(tmp_path)
    assert set(after) == set(before)
    assert after["x.pdf"] == before["x.pdf"]
    assert (after["x.png"] == before["x.png"]) == (fails == "png")


def test_a_name_that_is_no_pdf_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.pdf; got '\.svg'"):
        save(draw(), tmp_path / "x.svg", {})


def test_the_users_settings_change_nothing_and_are_left_alone(tmp_path):
    save(draw(), tmp_path / "first" / "x.pdf", {}, dpi=80)
    with mpl.rc_context({"font.size": 30, "pdf.fonttype": 3, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        save(draw(), tmp_path / "second" / "x.pdf", {}, dpi=80)
        assert mpl.rcParams["font.size"] == 30
    assert written(tmp_path / "first") == written(tmp_path / "second")


def lightness(name):
    return rgb2lab(mpl.colormaps[name](np.linspace(0, 1, 64))[None, :, :3])[0, :, 0]


@pytest.mark.parametrize("name", [MAGNITUDE, SIGNED, SHARE])
def test_magnitudes_and_signs_read_in_grey(name):
    # a map that rises evenly over its range climbs (L_last - L_first) / 63 per step; half of that everywhere is even
    steps = np.diff(lightness(name))
    assert steps.min() > 0.5 * steps.mean() > 0


def test_zero_is_neutral_grey_between_two_hues():
    below, zero, above = rgb2lab(mpl.colormaps[SIGNED]([[0.1, 0.5, 0.9]])[..., :3])[0]
    assert np.hypot(*zero[1:]) < 5  # chroma
    assert below[2] < -15  # blue
    assert above[2] > 15  # yellow


def test_the_phase_map_closes():
    colours = rgb2lab(mpl.colormaps[PHASE](np.linspace(0, 1, 257))[None, :, :3])[0]
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert np.linalg.norm(colours[0] - colours[-1]) <= steps.max()


@pytest.mark.parametrize("matrix", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["all", "protanopia", "deuteranopia"])
def test_colours_of_lines_stay_apart(matrix):
    linear = np.array([to_rgb(look.color) for look in LOOKS])
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(matrix), 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    apart = [deltaE_ciede2000(a, b) for i, a in enumerate(lab) for b in lab[:i]]
    assert min(apart) > 10  # about ten just-noticeable differences


def test_lines_differ_without_colour():
    assert len({look.marker for look in LOOKS}) == len(LOOKS)
    assert len({look.linestyle for look in LOOKS}) == len(LOOKS)


@given(st.floats(1e-12, 1e12))
def test_a_round_length_is_one_two_or_five_and_the_largest_that_fits(length):
    found = round_length(length)
    # 1, 2, 5, 10 are at most a factor 2.5 apart
    assert length / 2.5 * (1 - 1e-9) <= found <= length * (1 + 1e-9)
    assert f"{found:.3e}"[:5] in ("1.000", "2.000", "5.000")


def test_the_scale_bar_is_as_long_as_it_says():
    figure = draw()
    axes = figure.axes[0]
    axes.set_xlim(-170, 130)
    length = scale_bar(axes, "nm")
    assert length == 100
    (bar,) = axes.get_lines()
    ends = axes.transData.inverted().transform(axes.transAxes.transform(bar.get_xydata()))
    assert_allclose(np.ptp(ends[:, 0]), length, rtol=1e-9)
    assert "100 nm" in [text.get_text() for text in axes.texts]


def test_edges_are_half_a_pixel_outside():
    assert_allclose(edges_from_axis(np.array([-2.0, -1.0, 0.0, 1.0])), (-2.5, 1.5), rtol=1e-15)


def pixels(values, norm, cmap):
    """Colours on the canvas at the centres of a map's pixels."""
    figure = styled(new_figure)(4.0, 3.0)
    axes = figure.add_axes((0, 0, 1, 1))
    figure.set_layout_engine("none")
    styled(show_map)(axes, values, UNIT, norm, cmap)
    axes.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[::-1, :, :3] / 255.0
    rows, columns = (np.array(picture.shape[:2]) / np.array(values.shape)).astype(int)
    return picture[rows // 2 :: rows, columns // 2 :: columns]


def test_a_map_shows_rows_upwards_and_each_value_in_its_colour():
    values = np.arange(12.0).reshape(3, 4)
    expected = mpl.colormaps[MAGNITUDE](values / 11)[..., :3]
    assert_allclose(pixels(values, Normalize(0, 11), MAGNITUDE), expected, atol=1.5 / 255)  # 8 bits


def test_a_hidden_point_is_grey_and_an_empty_one_is_dark():
    values = np.array([[0.0, np.nan, 1.0, 10.0]] * 3)
    shown = pixels(values, LogNorm(0.5, 10), MAGNITUDE)
    assert_allclose(shown[0, 1], to_rgb(HIDDEN), atol=1.5 / 255)
    assert_allclose(shown[0, 0], mpl.colormaps[MAGNITUDE](0.0)[:3], atol=1.5 / 255)


def test_a_hidden_phase_is_no_phase():
    hidden = pixels(np.full((3, 4), np.nan), phase_norm(), PHASE)[0, 0]
    assert_allclose(hidden, to_rgb(HIDDEN_PHASE), atol=1.5 / 255)
    cycle = rgb2lab(mpl.colormaps[PHASE](np.linspace(0, 1, 256))[None, :, :3])[0]
    assert np.linalg.norm(cycle - rgb2lab(hidden[None, None])[0, 0], axis=1).min() > 10


def test_panels_are_lettered_in_order():
    figure = styled(new_figure)(4.0, 3.0)
    panels = list(figure.subplots(1, 3))
    name_panels(panels, ["one", "two", "three"])
    assert [axes.get_title("left").split()[0] for axes in panels] == [rf"$\bf{{({letter})}}$" for letter in "abc"]


@pytest.mark.parametrize("below", [False, True])
def test_a_phase_bar_marks_minus_pi_zero_and_pi(below):
    figure = styled(new_figure)(4.0, 3.0)
    axes = figure.subplots()
    image = show_map(axes, np.zeros((3, 4)), UNIT, phase_norm(), PHASE)
    bar = colour_bar(image, axes, "phase (rad)", below=below)
    phase_ticks(bar)
    assert_array_equal(bar.get_ticks(), [-np.pi, 0, np.pi])
    assert bar.orientation == ("horizontal" if below else "vertical")


def test_grey_of_hidden_points_differs_from_paper():
    assert rgb2gray(np.array([[to_rgb(HIDDEN)]])).item() < 0.9
