"""Text tables with named columns: XDI, or plain columns under comment lines or a heading."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.files import require_file, require_memory

_FIELD = re.compile(r"([A-Za-z][\w]*\.[\w]+)\s*:\s*(.*)")
_COMMENT = ("#", "%", "!", ";", "*", "//")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UNIT = re.compile(r"\s*[\[(]\s*([^\])]*?)\s*[\])]\s*$")  # Energy (eV), mu [1/cm]
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eEdD][+-]?\d+)?")


@dataclass(frozen=True)
class Columns:
    """A table: a name and a unit ("" where the file gives none) per column, and the header's fields.

    ``header`` holds XDI's ``Family.key: value`` lines as they stand, such as ``{"Element.symbol": "Ni"}``.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Float[np.ndarray, "row column"]
    header: dict[str, str]

    @property
    def by_name(self) -> dict[str, Float[np.ndarray, "row"]]:
        """Each column under its name."""
        return {name: self.values[:, index] for index, name in enumerate(self.names)}


def read_columns(path: str | Path, unnamed: Sequence[str] = ("energy", "mu")) -> Columns:
    """Read a table of numbers; lines that start with # % ! ; * or // are its header, and so are words before it.

    Parameters
    ----------
    path:
        XDI, or columns parted by blanks, tabs, commas or semicolons. Between tabs or semicolons a comma is a decimal
        sign; elsewhere numbers need a decimal point. Marks of the byte order are left out.
    unnamed:
        Names of the first columns in a file that does not give them; the others are column_3, column_4 and so
        on. A file gives them in XDI's ``# Column.1: energy eV``, in the last line of words before the numbers, or in
        its last comment of words if that has one word per column and the first of these names, or its initial, in
        them. A unit may stand behind a name in brackets.

    Raises
    ------
    InputError
        No such file; no numbers in it; a line of anything else, or of more or fewer; two columns of one name.

    References
    ----------
    XDI/1.0: Ravel and Newville, J. Phys. Conf. Ser. 712, 012148 (2016).
    """
    path = require_file(path, "text file")
    require_memory(str(path), path.stat().st_size)
    lines = _text(path.read_bytes()).splitlines()
    comments = [_uncommented(line) for line in lines if line.lstrip().startswith(_COMMENT)]
    values, heading = _numbers(path, lines)
    header = {match[1]: match[2] for match in map(_FIELD.fullmatch, comments) if match}
    names, units = _names(comments, header, heading, values.shape[1], unnamed)
    if len(set(names)) < len(names):
        raise InputError(f"{path}: needs a name of its own for each column; got {', '.join(names)}; rename.")
    return Columns(names, units, values, header)


def _text(content: bytes) -> str:
    """A file's text, without marks of the byte order."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding, errors="replace")


def _uncommented(line: str) -> str:
    """A comment without its mark."""
    text = line.strip()
    return text.removeprefix(next(mark for mark in _COMMENT if text.startswith(mark))).strip()


def _numbers(path: Path, lines: list[str]) -> tuple[Float[np.ndarray, "row column"], str]:
    """All lines but comments and blank ones as numbers, and the last line of words before them."""
    rows: list[list[float]] = []
    words: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith(_COMMENT):
            continue
        row = _row(line)
        if not row and not rows and re.match(r"[\"']?[^\W\d]", text):
            words.append((number, text))
            continue
        if not row or not np.isfinite(row).all() or (rows and len(row) != len(rows[0])):
            _refuse(path, number, text, len(rows[0]) if rows else 0)
        rows.append(row)
    if not rows and words:
        _refuse(path, *words[0], 0)
    if not rows:
        raise InputError(f"{path}: needs a table of numbers; got none in {len(lines)} lines; check the file.")
    return np.array(rows), words[-1][1] if words else ""


def _refuse(path: Path, number: int, text: str, width: int) -> None:
    """Say which line is no row of the table."""
    wanted = f"{width} finite numbers" if width else "finite numbers"
    raise InputError(
        f"{path}: line {number} needs {wanted} with a decimal point, parted by blanks or commas (decimal commas: by "
        f"semicolons or tabs); got {text[:60]!r}; correct the line, or put # before it if it is a heading."
    )


def _row(line: str) -> list[float]:
    """Numbers of a line; none where it holds anything else."""
    if ";" in line or "\t" in line.strip():
        words = [word.strip() for word in re.split("[;\t]", line.strip().rstrip(";"))]
        words = [word.replace(",", ".") if _DECIMAL_COMMA.fullmatch(word) else word.rstrip(",") for word in words]
    else:
        words = line.strip().rstrip(",").split(",") if "," in line else line.split()
    try:
        return [float(re.sub("[dD]", "e", word)) for word in words if word]
    except ValueError:
        return []


def _names(
    comments: list[str], header: dict[str, str], heading: str, width: int, unnamed: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units from XDI's Column fields, else from a heading, else from the caller."""
    fields = [header.get(f"Column.{index}", "").split() for index in range(1, width + 1)]
    if all(fields):
        return tuple(words[0] for words in fields), tuple((words[1:2] or [""])[0] for words in fields)
    spoken = [comment for comment in comments if re.search(r"[^\W\d_]", comment)]
    named = _headings(heading) if heading else _headings(spoken[-1]) if spoken else []
    names, units = [name for name, _ in named], [unit for _, unit in named]
    is_heading = heading or any(
        first in name.lower() or name.lower() == first[0] for first in unnamed[:1] for name in names
    )
    if len(names) != width or not is_heading:
        names = [*unnamed, *(f"column_{index}" for index in range(len(unnamed) + 1, width + 1))][:width]
        units = [""] * width
    return tuple(names), tuple(units)


def _headings(text: str) -> list[tuple[str, str]]:
    """Names and units of a heading, whose words may hold blanks where tabs, commas or semicolons part them."""
    text = text.strip().rstrip(",;")
    parted = re.search("[\t;,]", text)
    words = re.split("[\t;,]", text) if parted else re.sub(r"\s+(?=[\[(])", "", text).split()
    found = []
    for word in words:
        plain = word.strip().strip("\"'")
        match = _UNIT.search(plain)
        is_unit = match is not None and bool(plain[: match.start()].strip())
        found.append((plain[: match.start()], match[1]) if match and is_unit else (plain, ""))
    return found
