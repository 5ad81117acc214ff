import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from madpipe.base.columns import read_columns
from madpipe.base.errors import InputError

XDI = """# XDI/1.0 GSE/1.0
# Column.1: energy eV
# Column.2: i0
# Column.3: itrans
# Element.symbol: Ni
# Mono.notes: detuned: 50%
# ///
# measured at night
#-------------
#   energy   i0   itrans
  8333.0  1.5e5  4.9E5
  8333.5  1.6e5  4.8E5
"""


def write(folder, text):
    path = folder / "table.dat"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_xdi_gives_names_units_and_header(tmp_path):
    table = read_columns(write(tmp_path, XDI))
    assert table.names == ("energy", "i0", "itrans")
    assert table.units == ("eV", "", "")
    assert table.header["Element.symbol"] == "Ni"
    assert table.header["Mono.notes"] == "detuned: 50%"
    np.testing.assert_array_equal(table.by_name["itrans"], [4.9e5, 4.8e5])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("8333 1\n8334 2\n", ("energy", "mu")),
        ("% Ni foil\n8333\t1\t3\n\n8334\t2\t4\n", ("energy", "mu", "column_3")),
        ("# Energy i0 itrans\n8333, 1, 3\n8334,2,4\n", ("Energy", "i0", "itrans")),
        ("# energy_eV f1 f2 ; made by hand\n8333 1 3\n8334 2 4\n", ("energy", "mu", "column_3")),
        ("8333\n8334\n", ("energy",)),
        ("energy,mu\n8333,1\n8334,2\n", ("energy", "mu")),
        ("Ni foil\nEnergy (eV)\tI0\tIt\n8333\t1\t3\n8334\t2\t4\n", ("Energy", "I0", "It")),
        ('"E [eV]";"mu t"\n8333,0;1,0\n8334,0;2,0\n', ("E", "mu t")),
        ("! foil\n// energy  mu\n8333 1\n8334 2\n", ("energy", "mu")),
        ("# energy mu\n#------\n8333 1\n8334 2\n", ("energy", "mu")),
    ],
)
def test_plain_columns_take_their_names_from_a_heading_or_the_caller(tmp_path, text, names):
    table = read_columns(write(tmp_path, text))
    assert table.names == names
    assert table.units == tuple("eV" if name in ("Energy", "E") and "eV" in text else "" for name in names)
    np.testing.assert_array_equal(table.values[:, 0], [8333, 8334])
    np.testing.assert_array_equal(table.values[0], [8333, 1, 3][: len(names)])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [XDI, "energy\tmu\n8333,5\t0,25\n8334,5\t0,5\n"])
def test_marks_of_the_byte_order_are_no_part_of_the_text(tmp_path, encoding, text):
    plain = read_columns(write(tmp_path, text))
    marked = read_columns(write(tmp_path, text.replace("\n", "\r\n").encode(encoding)))
    assert (marked.names, marked.units, marked.header) == (plain.names, plain.units, plain.header)
    np.testing.assert_array_equal(marked.values, plain.values)
    assert plain.values[0, 1] == (0.25 if "mu" in plain.names else 1.5e5)


def test_the_caller_names_the_columns(tmp_path):
    assert read_columns(write(tmp_path, "1 2 3\n"), unnamed=("angle",)).names == ("angle", "column_2", "column_3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "got none in 0 lines"),
        ("# only a comment\n", "got none in 1 lines"),
        ("8333 1\nenergy mu\n8334 1\n", r"line 2 needs 2 finite numbers.*'energy mu'"),
        ("8.333,5;0,43\n", r"line 1 needs finite numbers"),
        ("8,333.5;0.43\n", r"line 1 needs finite numbers"),
        ("8333 1\n8334\n", r"line 2 needs 2 finite numbers.*'8334'"),
        ("8333 1\n8334 nan\n", r"line 2 needs 2 finite numbers"),
        ("8333,5 0,43\n", r"line 1 needs finite numbers with a decimal point"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "line 1 needs finite numbers"),
        ("# energy energy\n8333 1\n", "a name of its own for each column"),
    ],
)
def test_what_is_not_a_table_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read_columns(write(tmp_path, text))


def test_the_last_comment_is_the_heading(tmp_path):
    assert read_columns(write(tmp_path, "# energy one\n# energy two\n1 2")).names == ("energy", "two")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is none"):
        read_columns(tmp_path / "absent.xdi")


SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(values=arrays(float, SHAPES, elements=NUMBERS))
def test_numbers_come_back_as_they_were_written(tmp_path, values):
    text = "\n".join(" ".join(repr(float(value)) for value in row) for row in values)
    np.testing.assert_array_equal(read_columns(write(tmp_path, text)).values, values)


def test_the_nickel_foil(shared):
    table = read_columns(shared / "xanes" / "Ni_metal_rt_01.xdi")
    assert table.names == ("energy", "i0", "itrans")
    assert table.units[0] == "eV"
    assert table.header["Mono.d_spacing"] == "3.13550"
    assert table.values.shape == (418, 3)
    np.testing.assert_array_equal(table.values[0], [8133.0, 151941.7, 498119.094810])
