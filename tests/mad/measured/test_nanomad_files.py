"""NanoMAD's text: every number through to its last digit, and each malformed line refused by its number."""

import math
import re
import string
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.mad.config import MeasuredSample, SimulatedSample
from madpipe.mad.fit.nanomad import solve
from madpipe.mad.measured.convert import convert
from madpipe.mad.measured.readers import read
from madpipe.mad.measured.readers.nanomad import read_nanomad, write_nanomad
from madpipe.mad.measurement import measurement_from_stack
from madpipe.mad.noise_law import POISSON
from madpipe.mad.records import Stack
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.atoms import form_factor
from madpipe.physics.crystal import momentum_transfer

EXAMPLE = """# a comment
title  Ni3Fe core, run #12
element Ni  # the resonant one
edge   K
cell   3.524 3.524 3.524 90 90 90

energies 3
energy 8300 -5.794 0.514
energy 8320 -9.047 2.086   # f', f''
energy 8360 -6.042 3.848
data 3
1    1 1   1043 32.3   987 31.4  1101 33.2

1.02 1 1   -1   -1      12  3.5   nan  nan   # a Q point off the Bragg peak
0    0 2.5 -1   0.5     11  0      90  9.5
"""
CELL = np.array([5.0, 6.0, 7.0, 80.0, 95.0, 110.0])
ENERGY = np.array([8300.0, 8350.0, 8400.0])


def written(tmp_path, text, name="run.mad"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def converted(path, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return convert(MeasuredSample(path=(str(path),), **given))


def listed(indices, data, **more):
    """A stack of reflections as convert makes it."""
    count = len(indices)
    q = torch.as_tensor(momentum_transfer(CELL, np.asarray(indices, dtype=float))).norm(dim=-1)

    given = {
        "data": data,
        "energy": ENERGY,
        "f_prime": np.array([-4.0, -5.1, -1 / 3]),
        "f_double_prime": np.array([0.5, 3.9, 3.8]),
        "f0": form_factor("Ni", q).numpy(),
        "element": "Ni",
        "edge": "K",
        "table": "made up",
        "title": "a list",
        "name": "list",
        "reflection": np.arange(count),
        "miller_indices": indices,
        "unit_cell": CELL,
    }
    return Stack(**{**given, **more})


def same(stack, other, names):
    for name in names:
        one, two = getattr(stack, name), getattr(other, name)
        assert (one is None) == (two is None), name
        if one is not None and not isinstance(one, str):
            np.testing.assert_array_equal(one, two, err_msg=name)
        else:
            assert one == two, name


# --- reading


def test_the_example_of_the_documentation_is_read(tmp_path):
    (found,) = read(written(tmp_path, EXAMPLE))
    assert (found["title"], found["element"], found["edge"]) == ("Ni3Fe core, run #12", "Ni", "K")
    np.testing.assert_array_equal(found["energy"], [8300, 8320, 8360])
    np.testing.assert_array_equal(found["f_prime"], [-5.794, -9.047, -6.042])
    np.testing.assert_array_equal(found["f_double_prime"], [0.514, 2.086, 3.848])
    np.testing.assert_array_equal(found["unit_cell"], [3.524] * 3 + [90] * 3)
    np.testing.assert_array_equal(found["miller_indices"], [[1, 1, 1], [1.02, 1, 1], [0, 0, 2.5]])
    # (energy, reflection): -1 with a sigma is an observation, 11 with sigma 0 is none
    np.testing.assert_array_equal(found["data"], [[1043, np.nan, -1], [987, 12, np.nan], [1101, np.nan, 90]])
    np.testing.assert_array_equal(found["data_errors"], [[32.3, np.nan, 0.5], [31.4, 3.5, np.nan], [33.2, np.nan, 9.5]])
    np.testing.assert_array_equal(found["mask"] != 0, np.isnan(found["data"]))


def test_without_standard_errors_intensities_are_counts(tmp_path):
    text = EXAMPLE.split("data 3")[0] + "data\n1 1 1 10 20 30\n2 0 0 -1 5 nan\n-1 0 2 0 0 1\n"
    stack = converted(written(tmp_path, text))
    assert stack.data_errors is None
    np.testing.assert_array_equal(stack.good, [[True, False, True], [True, True, True], [True, False, True]])
    assert stack.miller_indices.dtype == np.int64
    assert measurement_from_stack(stack).noise == POISSON


def test_f0_is_that_of_the_true_momentum_transfer(tmp_path):

    stack = converted(written(tmp_path, EXAMPLE))
    # cubic: |Q| = 2 pi |h| / a; at (1 1 1) 3.09 1/angstrom, where docs/conventions.md has 20.52
    q = 2 * math.pi / 3.524 * np.array([3**0.5, (1.02**2 + 2) ** 0.5, 2.5])
    np.testing.assert_allclose(stack.f0, form_factor("Ni", torch.as_tensor(q)).numpy(), rtol=1e-12)
    assert stack.f0[0] == pytest.approx(20.52, abs=0.01)


def test_f_prime_left_out_come_from_the_table(tmp_path):
    stack = converted(written(tmp_path, re.sub(r"(?m)^energy (\S+) .*$", r"energy \1", EXAMPLE)))
    assert stack.table.startswith("Chantler")
    np.testing.assert_array_equal(stack.energy, [8300, 8320, 8360])


@pytest.mark.parametrize("name", ["run.txt", "run.dat", "run.nanomad", "run"])
def test_the_content_tells_where_the_extension_does_not(tmp_path, name):
    assert read(written(tmp_path, EXAMPLE, name))[0]["element"] == "Ni"


# --- round trip


def floats(low, high):
    """Numbers of a range; torch flushes subnormal ones to 0 in these tests."""
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def lists(draw):
    """What :func:`listed` takes, of any shape and with any of the options."""
    count = draw(st.integers(1, 6))
    whole = draw(st.booleans())
    numbers = st.integers(-40, 40) if whole else floats(-40, 40)
    indices = draw(arrays(np.int64 if whole else np.float64, (count, 3), elements=numbers, unique=True))
    with_errors = draw(st.booleans())
    data = draw(arrays(np.float64, (3, count), elements=floats(-1e18, 1e18) if with_errors else floats(0, 1e18)))
    data[0, 0] = 1.0
    mask = draw(arrays(np.uint32, (3, count), elements=st.sampled_from([0, 0, 0x200])))
    mask[0, 0] = 0
    more = {"mask": mask, "title": draw(st.text(string.printable, min_size=1)).strip() or "x"}
    if with_errors:
        more["data_errors"] = draw(arrays(np.float64, (3, count), elements=floats(1e-30, 1e18)))
    if draw(st.booleans()):
        more["background"] = draw(arrays(np.float64, (3, count), elements=floats(0, 1e9)))
    if draw(st.booleans()):
        more["monitor"] = draw(arrays(np.float64, 3, elements=floats(0.1, 10)))
    if draw(st.booleans()):
        more["f0"] = draw(arrays(np.float64, count, elements=floats(1, 28)))
    if draw(st.booleans()):
        more["friedel_sign"] = draw(arrays(np.int64, count, elements=st.sampled_from([1, -1])))
    return {"indices": indices, "data": data, **more}


@given(lists())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_list_comes_back_to_the_last_digit(tmp_path_factory, values):
    stack = listed(**values)
    path = tmp_path_factory.mktemp("lists") / "list.mad"
    write_nanomad(path, stack)
    again = converted(path)
    same(again, stack, ["energy", "f_prime", "f_double_prime", "f0", "miller_indices", "unit_cell", "monitor", "good"])
    same(again, stack, ["element", "edge", "table", "name", "friedel_sign"])
    assert again.title == " ".join(stack.title.split())
    for name in ("data", "data_errors", "background"):
        one, two = getattr(again, name), getattr(stack, name)
        assert (one is None) == (two is None)
        if one is not None:
            np.testing.assert_array_equal(one[stack.good], two[stack.good])
    text = path.read_text()
    write_nanomad(path, again)
    assert path.read_text() == text


def test_counts_keep_no_point_and_single_precision_its_value(tmp_path):
    indices = np.array([[1, 0, 0], [0, 2, 0]])
    write_nanomad(tmp_path / "a.mad", listed(indices, np.array([[1, 2], [3, 4], [5, 60000]], dtype=np.uint16)))
    assert (tmp_path / "a.mad").read_text().endswith("data 2\n1 0 0 1 3 5\n0 2 0 2 4 60000\n")
    single = np.array([[0.1, 2], [3, 4], [5, 6]], dtype=np.float32)
    write_nanomad(tmp_path / "b.mad", listed(indices, single))
    np.testing.assert_array_equal(converted(tmp_path / "b.mad").data, single)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_axes_of_an_array_are_those_of_the_cells_frame(tmp_path, dimensions):
    axes = {"qz": np.array([-0.1, 0.2]), "qy": np.array([0.0, 0.01, 0.03]), "qx": np.array([-0.5, 0.5])}
    axes = dict(list(axes.items())[-dimensions:])
    data = np.ones((3, *(len(axis) for axis in axes.values())))
    bragg = np.array([3.0, 0.2, 0.1])[-dimensions:]
    line = listed(np.array([[1, 0, 0]]), np.ones((3, 1)))
    stack = replace(line, data=data, f0=20.0, reflection=None, miller_indices=None, q_bragg=bragg, **axes)
    write_nanomad(tmp_path / "points.mad", stack)
    q = momentum_transfer(CELL, converted(tmp_path / "points.mad").miller_indices)
    mesh = np.meshgrid(*(axis + shift for axis, shift in zip(axes.values(), bragg, strict=True)), indexing="ij")
    for column, values in zip((0, 1, 2), [*mesh[::-1], np.zeros(data[0].shape)], strict=False):
        np.testing.assert_allclose(q[:, column], values.ravel(), atol=1e-14)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_frame_or_volume_becomes_a_list_of_points(tmp_path, dimensions, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = simulate(SimulatedSample(dimensions=dimensions, grid=16), rng)
    cell = np.array([3.524, 3.524, 3.524, 90, 90, 90])
    write_nanomad(tmp_path / "points.mad", replace(stack, unit_cell=cell))
    again = converted(tmp_path / "points.mad")
    np.testing.assert_array_equal(again.data, np.reshape(stack.data, (len(stack.data), -1)))
    # |Q| goes through h k l and back: some ten roundings
    np.testing.assert_allclose(again.f0, np.broadcast_to(stack.f0, stack.shape).ravel(), rtol=1e-12)
    a, b = (solve(measurement_from_stack(each)).parameters for each in (stack, again))
    scale = a.norm(dim=0)
    close = (a - b).norm(dim=0) < 1e-4 * scale + 1e-4
    assert close.double().mean() > 0.99  # a rounding of f0 may tip a weak point to another start


def test_convert_end_to_end_recovers_what_was_put_in(tmp_path):
    """Text without noise -> convert -> stack.h5 -> the peer's fit -> |F_T|, |F_A|, Delta_phi."""
    draw = np.random.default_rng(5)
    indices = draw.uniform(0.5, 2, (20, 3))
    truth = draw.uniform(80, 120, 20), draw.uniform(40, 100, 20), draw.uniform(-3, 3, 20)
    bare = listed(indices, np.ones((3, 20)))
    energies = np.linspace(8300, 8360, 6)
    f_prime, f_second = np.array([-4, -6, -9, -7, -5, -4.5]), np.array([0.5, 0.6, 2, 4, 3.9, 3.8])
    ratio = (f_prime + 1j * f_second)[:, None] / bare.f0
    intensity = np.abs(truth[0] * np.exp(1j * truth[2]) + ratio * truth[1]) ** 2
    stack = replace(bare, data=intensity, energy=energies, f_prime=f_prime, f_double_prime=f_second)
    write_nanomad(tmp_path / "run.mad", stack)
    store.write(tmp_path / "stack.h5", converted(tmp_path / "run.mad"))
    x, a, b = solve(measurement_from_stack(store.read(tmp_path / "stack.h5", Stack))).parameters.numpy()
    # noise-free: 1e-6 standard errors, some 10 sqrt(photon) at most
    np.testing.assert_allclose(x, truth[0], atol=1e-4)
    np.testing.assert_allclose(np.hypot(a, b), truth[1], atol=1e-4)
    np.testing.assert_allclose(np.arctan2(b, a), truth[2], atol=1e-5)


# --- what is refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("edge   K", "egde K", "line 4 needs one of the keywords .*did you mean 'edge'"),
        ("edge   K", "edge K\nedge L3", "line 5 needs 'edge' only once.*line 4"),
        ("edge   K", "edge", "line 4 needs something after 'edge'"),
        ("cell ", "# ", "needs a line 'cell'"),
        ("3.524 3.524 3.524", "3.524 3.524", "line 5 needs 6 finite numbers"),
        ("3.524 90 90 90", "3.524 90 90 inf", "line 5 needs 6 finite numbers"),
        ("3.524 90 90 90", "-3.524 90 90 90", "line 5 needs lengths > 0"),
        ("3.524 90 90 90", "3.524 60 60 150", "line 5 needs lengths > 0 and three angles"),
        ("energies 3", "energies 4", "line 7 needs the number of lines 'energy', 3; got '4'"),
        ("energies 3", "energies three", "line 7 needs a whole number"),
        ("8320 -9.047 2.086", "8320 -9.047", "line 9 needs 3 finite numbers, a photon energy"),
        ("8320 -9.047", "0 -9.047", "line 9 needs a photon energy > 0"),
        ("8320 -9.047", "8320 x", "line 9 needs 3 finite"),
        ("data 3", "# table", "line 12 needs one of the keywords"),
        ("data 3", "data 4", "line 11 needs the number of lines that follow, 3; got '4'"),
        ("1043 32.3   987", "1043 32.3", "line 12 needs h k l and, for 3 energies"),
        ("0    0 2.5 -1", "0 0 2.5", "line 15 needs 9 numbers"),
        ("0    0 2.5", "nan 0 2.5", "line 15 needs 9 numbers, h k l finite"),
        ("1101", "11O1", "line 12 needs 9 numbers"),
        ("1101 33.2", "inf 33.2", "line 12 needs a finite intensity"),
        ("1101 33.2", "1101 inf", "line 12 needs a finite sigma"),
        ("edge   K", "monitor 1 1", "line 4 needs 3 finite numbers"),
        ("edge   K", "columns h k l sigma", "line 4 needs some of h k l friedel f0 intensity"),
        ("edge   K", "columns h k l sigma intensity", "line 4 needs some of .* in this order"),
        ("edge   K", "columns h k l f0 intensity sigma", "line 12 needs 10 numbers"),
    ],
)
def test_a_malformed_line_is_refused_by_its_number(tmp_path, old, new, message):
    path = written(tmp_path, EXAMPLE.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as info:
        read_nanomad(path)
    assert str(info.value).startswith(str(path))
    assert "\n" not in str(info.value)


HEAD = EXAMPLE.split("data 3")[0].replace("energies 3", "columns h k l friedel f0 intensity\nenergies 3")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "line 12 needs reflections after it"),
        ("1 1 1 2 20 1 2 3\n", "line 13 needs friedel"),
        ("1 1 1 1 20 1 2 3\n2 0 0 1 -3 1 2 3\n", "line 14 needs f0 > 0"),
        ("1 1 1 1 20 1 2 3\n1 1 1 -1 20 1 2 3\n1 1 1 1 20 4 5 6\n", "line 15 needs a reflection of its own.*line 13"),
    ],
)
def test_mates_and_f0_are_checked(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_nanomad(written(tmp_path, HEAD + "data\n" + rows))


def test_a_negative_count_is_no_missing_one(tmp_path):
    text = EXAMPLE.split("data 3")[0] + "data\n1 1 1 10 20 30\n2 0 0 -3 5 6\n"
    with pytest.raises(InputError, match="counts must be finite and >= 0"):
        converted(written(tmp_path, text))


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "run.mad").write_bytes(EXAMPLE.replace("core", "Körner").encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_nanomad(tmp_path / "run.mad")


def test_a_stack_without_what_the_text_needs_is_refused(tmp_path, rng):
    path = tmp_path / "out.mad"
    bare = listed(np.array([[1, 0, 0]]), np.ones((3, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = simulate(SimulatedSample(dimensions=2, grid=16), rng)
    for stack, match in (
        (replace(bare, unit_cell=None), "give unit_cell"),
        (replace(bare, miller_indices=None), "give miller_indices"),
        (frame, "give unit_cell"),
        (replace(frame, unit_cell=CELL, q_bragg=None), "give q_bragg along qy, qx"),
        (replace(bare, data_errors=np.array([[0.0], [1.0], [1.0]])), "1 are not; mask"),
        (replace(bare, element="Xx"), "symbol of an element"),
    ):
        with pytest.raises(InputError, match=match) as info:
            write_nanomad(path, stack)
        assert "\n" not in str(info.value)
    assert list(tmp_path.iterdir()) == []
