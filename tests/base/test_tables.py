"""Tables: what is written comes back equal, whatever it is; what a schema does not allow is refused with a line."""

import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from madpipe.base.errors import InputError
from madpipe.base.plain import told
from madpipe.base.tables import Column, Schema, columns_of, frame, read_cells, read_csv, records, write_csv

NUMBERS = st.floats(allow_nan=False, allow_subnormal=False).map(lambda x: 1.0 * x)  # jobs flush subnormals to zero
KINDS = {
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.sampled_from(["nan", "NA", "1e5", "None", "True", " a ", "", '"', "a,b", "\r\n", "\r", "\n", "#", "007"]),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "real": NUMBERS,
    "flag": st.booleans(),
}
ALL = Schema(
    "everything",
    tuple(
        Column(f"{kind}, {'some' if optional else 'all'}", kind, optional=optional)
        for optional in (False, True)
        for kind in KINDS
        if not (optional and kind == "text")
    ),
)


def cells(column):
    return st.none() | KINDS[column.kind] if column.optional else KINDS[column.kind]


@st.composite
def tables(draw):
    """Some columns and rows that they allow."""
    columns = draw(st.lists(st.sampled_from(ALL.columns), min_size=1, unique=True))
    row = st.fixed_dictionaries({column.name: cells(column) for column in columns})
    return tuple(columns), draw(st.lists(row, max_size=5))


@settings(max_examples=200, deadline=None)
@given(tables())
def test_a_table_comes_back_equal(drawn):
    columns, rows = drawn
    schema = Schema("some", columns)
    table = frame(schema, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_csv(path, table, schema)
        again = read_csv(path, schema)
        text = path.read_bytes()
        write_csv(path, again, schema)
        assert path.read_bytes() == text
    assert_frame_equal(again, table, check_exact=True)
    assert records(again) == rows == records(table)


@given(NUMBERS.filter(math.isfinite))
@settings(deadline=None)
def test_a_number_is_written_as_python_writes_it(number):
    schema = Schema("numbers", (Column("a", "real"),))
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "x.csv", frame(schema, [{"a": number}]), schema)
        assert (Path(folder) / "x.csv").read_bytes() == f"a\r\n{number!r}\r\n".encode()


def test_pandas_alone_reads_numbers_text_and_what_is_missing(tmp_path):
    schema = Schema(
        "some", (Column("a", "whole"), Column("b", "real", optional=True), Column("c", "text"), Column("d", "flag"))
    )
    table = frame(schema, [{"a": 1, "b": 0.1, "c": "x, y", "d": True}, {"a": 2, "b": None, "c": "z", "d": False}])
    write_csv(tmp_path / "x.csv", table, schema)
    assert_frame_equal(pd.read_csv(tmp_path / "x.csv"), table)


@dataclass(frozen=True)
class Row:
    """A row."""

    name: Literal["a", "b"]
    count: int
    share: float | None = told("what of it", "photon", key="share of all")
    is_one: bool = told()


def test_a_record_s_fields_are_a_table_s_columns():
    assert columns_of(Row) == (
        Column("name", "text"),
        Column("count", "whole"),
        Column("share of all", "real", "photon", "what of it", optional=True),
        Column("is_one", "flag"),
    )
    table = frame(Schema("rows", columns_of(Row)), [Row("a", 1, None, True)])
    assert records(table) == [{"name": "a", "count": 1, "share of all": None, "is_one": True}]


@pytest.mark.parametrize("kind", [str | None, list[int], dict])
def test_a_field_that_no_column_holds_is_refused(kind):
    record = dataclass(type("Odd", (), {"__annotations__": {"x": kind}}))
    with pytest.raises(TypeError, match="column x: needs text"):
        columns_of(record)


WHOLE = Schema("counts", (Column("n", "whole"), Column("x", "real", optional=True)))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"n": 1}, "needs the columns n, x; got n;"),
        ({"n": 1, "x": 1.0, "y": 1.0}, "needs the columns n, x; got n, x, y;"),
        ({"n": None, "x": 1.0}, "row 0 of the table counts, column n: needs a whole number; got None; correct it"),
        ({"n": 1.0, "x": 1.0}, "column n: needs a whole number; got 1.0"),
        ({"n": True, "x": 1.0}, "column n: needs a whole number; got True"),
        ({"n": 1, "x": "1"}, "column x: needs a number or nothing; got '1'"),
    ],
)
def test_a_row_of_anything_else_is_refused(row, words):
    with pytest.raises(InputError, match=words):
        frame(WHOLE, [row])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a table of counts is required; got: No columns to parse from file; make it again"),
        ("n\n1\n", "needs the columns n, x; got n; make it again"),
        ("n,x\n1,2,3,4\n", r"x\.csv"),
        ("n,x\n1.5,2\n", r"x\.csv: row 0, column n: needs a whole number; got '1.5'; correct it"),
        ("n,x\n1,2\n,2\n", r"x\.csv: row 1, column n: needs a whole number; got ''"),
        ("n,x\n1,two\n", "column x: needs a number or nothing; got 'two'"),
        ("n,x\n99999999999999999999,1\n", "column n: needs a whole number; got"),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_csv(tmp_path / "x.csv", WHOLE)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: a table of counts is required; there is no such file"):
        read_csv(tmp_path / "absent.csv", WHOLE)


def test_a_table_of_another_schema_is_not_written_and_what_was_there_stays(tmp_path):
    table = frame(WHOLE, [{"n": 1, "x": math.nan}])
    write_csv(tmp_path / "x.csv", table, WHOLE)
    before = (tmp_path / "x.csv").read_bytes()
    assert before == b"n,x\r\n1,\r\n"
    for other in (table.astype({"n": "float64"}), table[["x", "n"]], table.assign(y=1)):
        with pytest.raises(InputError, match="needs the columns"):
            write_csv(tmp_path / "x.csv", other, WHOLE)
    strict = Schema("strict", (Column("n", "whole"), Column("x", "real")))
    with pytest.raises(InputError, match="column x needs a value in every row"):
        write_csv(tmp_path / "x.csv", table, strict)
    assert (tmp_path / "x.csv").read_bytes() == before


def test_csv_has_the_names_then_the_rows(tmp_path):
    schema = Schema("some", (Column("a", "whole"), Column("b", "text")))
    write_csv(tmp_path / "scores.csv", frame(schema, [{"a": 1, "b": "x, y"}, {"a": 2, "b": ""}]), schema)
    assert (tmp_path / "scores.csv").read_bytes() == b'a,b\r\n1,"x, y"\r\n2,\r\n'


def test_cells_of_any_table_are_text(tmp_path):
    (tmp_path / "x.tsv").write_text("s\tload\n1.50\tNA\n")
    assert records(read_cells(tmp_path / "x.tsv", "jobs", "\t")) == [{"s": "1.50", "load": "NA"}]


JOBS = """
madpipe.cli madpipe.mad.fit.slabs madpipe.mad.network.infer madpipe.mad.simulate.sample madpipe.mad.measured.convert
madpipe.mad.scores.validate madpipe.mad.figures madpipe.rocking.fit.fit madpipe.rocking.network.infer
madpipe.rocking.scores.validate madpipe.rocking.simulate.sample
"""


def test_jobs_without_tables_do_not_load_pandas():
    code = "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]]"
    code += "; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, *JOBS.split()], check=False).returncode == 0
