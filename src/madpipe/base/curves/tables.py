"""Tables of numbers in a text with any lines above, between and below them."""

import codecs
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.numerals import DIALECTS, Dialect
from madpipe.base.errors import InputError

_COMMENT = re.compile(r"\s*([#%!*;'\"]|//)")
_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)
_FEWEST = 3  # rows that make a table
_MOST_COLUMNS = 2000
_SCORED = 5000  # lines that tell the dialect


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers, and the lines that stand between them and the table before."""

    above: tuple[str, ...]
    values: Float[np.ndarray, "row column"]
    dialect: Dialect


def decoded(content: bytes) -> str:
    """Text of bytes: by its byte order mark, else UTF-8, else Latin 1, which all bytes are."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if content[1:2] == b"\0" and content[3:4] == b"\0":
        return content.decode("utf-16-le", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def tables_of(text: str) -> tuple[list[Table], tuple[str, ...]]:
    """Find the tables of a text, and the lines below the last.

    A table is a run of lines of equally many numbers; blank lines and comments may stand in it. Numbers are parted by
    blanks, tabs, commas, semicolons or bars; commas are decimal signs where another sign parts the numbers.

    Raises
    ------
    InputError
        No lines of numbers, or commas that both part the numbers and are their decimal signs.
    """
    lines = text.splitlines()
    best, most = DIALECTS[0], 0
    for dialect in DIALECTS:
        score = _score(lines[:_SCORED], dialect)
        if score > most:
            best, most = dialect, score
    if most < _FEWEST:
        raise InputError(
            f"needs lines of q and intensity; {len(lines)} lines came, none of them such a table; check the file."
        )
    tables, below = _cut(lines, best)
    _refuse_commas_for_both(lines, tables)
    return tables, below


def _score(lines: list[str], dialect: Dialect) -> int:
    """Rows of the longest run of equally many numbers."""
    longest = run = width = 0
    for line in lines:
        values = dialect.values(_bare(line))
        if values is None:
            run = run if not line.strip() or _COMMENT.match(line) else 0
            continue
        run = run + 1 if len(values) == width else 1
        width = len(values)
        longest = max(longest, run)
    return longest


def _bare(line: str) -> str:
    """A line without a comment behind its numbers."""
    return re.split(r"\s[#!%]|#", line, maxsplit=1)[0].strip() if not _COMMENT.match(line) else line.strip()


def _cut(lines: list[str], dialect: Dialect) -> tuple[list[Table], tuple[str, ...]]:
    """Cut the lines into tables; what stands below the last is given apart."""
    tables: list[Table] = []
    above: list[str] = []  # of the table that is being read, or comes next
    between: list[str] = []  # since the last row
    rows: list[list[float]] = []
    words: list[str] = []  # of the rows

    def close() -> None:
        nonlocal above, rows, words
        if len(rows) >= _FEWEST:
            tables.append(Table(tuple(above), np.array(rows), dialect))
            above = []
        else:
            above = above + words
        rows, words = [], []

    for line in lines:
        values = dialect.values(_bare(line))
        if values is None or len(values) > _MOST_COLUMNS:
            between += [line.strip()] if line.strip() else []
            continue
        if rows and (len(values) != len(rows[0]) or any(not _COMMENT.match(one) for one in between)):
            close()
        if not rows:
            above = above + between
        between = []
        rows.append(values)
        words = [*words[1 - _FEWEST :], line.strip()]
    close()
    return tables, tuple(between)


def _refuse_commas_for_both(lines: list[str], tables: list[Table]) -> None:
    """Refuse 0,01,0,5: a comma between numbers and in them."""
    longest = max(tables, key=lambda table: len(table.values))
    whole = (longest.values == np.round(longest.values)).all(axis=0)
    first = longest.values[:, 0]
    if not whole.all() or len(set(first)) > max(len(first) / 4, 1) or longest.values.shape[1] < 4:
        return
    row = next(line.strip() for line in lines if longest.dialect.values(_bare(line)) is not None)
    if "," in row:
        raise InputError(
            f"numbers need a sign between them that is not the decimal one; {row[:40]!r} has commas for both; write "
            "decimals with a point, or part the numbers by semicolons or tabs."
        )
