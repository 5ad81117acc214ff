"""Tables: pandas DataFrames with a declared schema, written as CSV and read back equal.

The schema says of each column what it holds, in which unit, and whether it may be missing. Numbers are written with
as many digits as tell them apart from all others, so that they come back as they were; a missing one is an empty cell.
Text is never missing, at most empty: "nan", "NA" and "1e5" stay the text that they are.

Only jobs that need tables import this: pandas takes a while to load.
"""

import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file, require_memory
from madpipe.base.plain import keys_of, kinds_of, to_plain
from madpipe.base.store import whole_file

ColumnKind = Literal["text", "whole", "real", "flag"]
Cell = str | int | float | bool | None
_DTYPES = {"text": "str", "whole": "int64", "real": "float64", "flag": "bool"}
_WITH_MISSING = {"whole": "Int64", "real": "float64", "flag": "boolean"}
_WORDS = {"text": "text", "whole": "a whole number", "real": "a number", "flag": "True or False"}
_TYPES: dict[str, type[str | int | float | bool]] = {"text": str, "whole": int, "real": float, "flag": bool}
_PARSERS: dict[str, Callable[[str], Cell]] = {
    "text": str,
    "whole": int,
    "real": float,
    "flag": {"True": True, "False": False}.__getitem__,
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: ColumnKind
    unit: str = ""  # empty: 1, or none
    meaning: str = ""
    optional: bool = False  # may be missing, which text may not

    @property
    def dtype(self) -> str:
        """Name of the pandas type."""
        return (_WITH_MISSING if self.optional else _DTYPES)[self.kind]


@dataclass(frozen=True)
class Schema:
    """What a table holds."""

    name: str  # of the table, in words
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns in their order."""
        return [column.name for column in self.columns]


def columns_of(record: type) -> tuple[Column, ...]:
    """Give the columns of a table whose rows are records of this kind, with the units and meanings told there.

    The entries of an inline mapping are not known beforehand: whoever makes the schema adds their columns.
    """
    kinds = kinds_of(record)
    return tuple(
        _column(key, kinds[field.name], field.metadata.get("unit", ""), field.metadata.get("meaning", ""))
        for key, field in keys_of(record).items()
        if not field.metadata.get("inline")
    )


def _column(name: str, annotation: Any, unit: str, meaning: str) -> Column:
    """One column from a field's type."""
    optional = isinstance(annotation, types.UnionType)
    inner = next(one for one in typing.get_args(annotation) if one is not type(None)) if optional else annotation
    kinds: dict[Any, ColumnKind] = {str: "text", int: "whole", float: "real", bool: "flag"}
    kind = "text" if typing.get_origin(inner) is Literal else kinds.get(inner)
    if kind is None or (kind == "text" and optional):
        raise TypeError(f"column {name}: needs text, int, float or bool, and | None for numbers; got {annotation}")
    return Column(name, kind, unit, meaning, optional)


def frame(schema: Schema, rows: Iterable[Any]) -> pd.DataFrame:
    """Make a table from rows: records, or mappings by the columns' names; None and NaN are missing.

    Raises
    ------
    InputError
        A row has other columns, or a value that its column cannot hold.
    """
    plain = [to_plain(row) for row in rows]
    for number, row in enumerate(plain):
        if set(row) != set(schema.names):
            raise InputError(
                f"row {number} of the table {schema.name}: needs the columns {', '.join(schema.names)}; "
                f"got {', '.join(row)}; make the row with these."
            )
    values = {
        column.name: [
            _checked(row[column.name], column, f"row {number} of the table {schema.name}")
            for number, row in enumerate(plain)
        ]
        for column in schema.columns
    }
    return _framed(schema, values)


def _framed(schema: Schema, values: Mapping[str, list[Cell]]) -> pd.DataFrame:
    """A table from checked columns."""
    series = {column.name: pd.Series(values[column.name], dtype=column.dtype) for column in schema.columns}
    return pd.DataFrame(series, columns=schema.names)


def _checked(value: Any, column: Column, where: str) -> Cell:
    """A value that a column can hold, as Python's own type; None where it is missing."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        if column.optional:
            return None
    elif isinstance(value, bool) == (column.kind == "flag"):
        if column.kind == "real" and isinstance(value, int):
            return float(value)
        if isinstance(value, _TYPES[column.kind]) and _fits(value):
            return value
    return _refuse(value, column, where)


def _fits(value: str | int | float) -> bool:
    """Say whether a file or pandas can hold a value: text without NUL, whole numbers of 64 bits."""
    if isinstance(value, str):
        return "\0" not in value
    return isinstance(value, float) or -(2**63) <= value < 2**63


def _refuse(value: Any, column: Column, where: str) -> Cell:
    """Say what a column needs and what came."""
    raise InputError(
        f"{where}, column {column.name}: needs {_WORDS[column.kind]}{' or nothing' * column.optional}; "
        f"got {value!r}; correct it."
    )


def records(table: pd.DataFrame) -> list[dict[str, Cell]]:
    """Give a table's rows as mappings of Python's own values; None where one is missing."""
    columns = {
        str(name): [None if pd.isna(value) else value for value in table[name].tolist()] for name in table.columns
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_csv(path: str | Path, table: pd.DataFrame, schema: Schema) -> None:
    """Write a table of this schema as CSV, whole or not at all; the columns' names come first, also without rows.

    Raises
    ------
    InputError
        The table is not of this schema, the disk is full or the folder cannot be written.
    """
    came = {str(name): str(dtype) for name, dtype in table.dtypes.items()}
    wanted = {column.name: column.dtype for column in schema.columns}
    if list(came.items()) != list(wanted.items()):
        raise InputError(
            f"{path}: a table of {schema.name} needs the columns {wanted}; got {came}; "
            "make it with madpipe.base.tables.frame."
        )
    for column in schema.columns:
        if not column.optional and table[column.name].isna().any():
            raise InputError(f"{path}: column {column.name} needs a value in every row; some are missing; fill them.")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False, lineterminator="\r\n")


def read_csv(path: str | Path, schema: Schema, separator: str = ",") -> pd.DataFrame:
    """Read a table of this schema: equal to the one that was written.

    Raises
    ------
    InputError
        No such file, no table, other columns, or a cell that its column cannot hold.
    """
    cells = read_cells(path, schema.name, separator)
    if list(cells.columns) != schema.names:
        raise InputError(
            f"{path}: a table of {schema.name} needs the columns {', '.join(schema.names)}; "
            f"got {', '.join(map(str, cells.columns))}; make it again."
        )
    values = {
        column.name: [_parsed(text, column, f"{path}: row {number}") for number, text in enumerate(cells[column.name])]
        for column in schema.columns
    }
    return _framed(schema, values)


def read_cells(path: str | Path, name: str, separator: str = ",") -> pd.DataFrame:
    """Read any table with a line of names, every cell as the text that it is.

    Raises
    ------
    InputError
        No such file, or no table.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: a table of {name} is required; there is no such file; run what makes it.")
    require_file(path)
    require_memory(str(path), path.stat().st_size)
    try:
        # without a header of pandas' own: names stay as they are, and a line with more cells than names is an error
        lines = pd.read_csv(path, sep=separator, header=None, dtype=str, na_filter=False, skip_blank_lines=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: a table of {name} is required; got: {one_line(error)}; make it again.") from error
    return lines[1:].set_axis(list(lines.loc[0]), axis="columns").reset_index(drop=True)


def _parsed(text: str, column: Column, where: str) -> Cell:
    """The value of a cell."""
    if text == "" and column.optional:
        return None
    try:
        value = _PARSERS[column.kind](text)
    except (ValueError, KeyError):
        return _refuse(text, column, where)
    return _checked(value, column, where)
