"""Text tables with named columns: XDI, or plain columns under comment lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError

_FIELD = re.compile(r"([A-Za-z][\w]*\.[\w]+)\s*:\s*(.*)")


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
    """Read a table of numbers; lines that start with # or % are its header.

    Parameters
    ----------
    path:
        XDI, or columns parted by blanks, tabs or commas.
    unnamed:
        Names of the first columns in a file that does not give them; the others are column_3, column_4 and so
        on. A file gives them in XDI's ``# Column.1: energy eV``, or in its last comment if that has one word per
        column and the first of these names among them.

    Raises
    ------
    InputError
        No such file; no numbers in it; a line of anything else, or of more or fewer; two columns of one name.

    References
    ----------
    XDI/1.0: Ravel and Newville, J. Phys. Conf. Ser. 712, 012148 (2016).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: needs an existing text file; there is none; check the path.")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = [line.strip()[1:].strip() for line in lines if line.lstrip()[:1] in ("#", "%")]
    values = _numbers(path, lines)
    header = {match[1]: match[2] for match in map(_FIELD.fullmatch, comments) if match}
    names, units = _names(comments, header, values.shape[1], unnamed)
    if len(set(names)) < len(names):
        raise InputError(f"{path}: needs a name of its own for each column; got {', '.join(names)}; rename.")
    return Columns(names, units, values, header)


def _numbers(path: Path, lines: list[str]) -> Float[np.ndarray, "row column"]:
    """All lines but comments and blank ones as numbers."""
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#%":
            continue
        try:
            row = [float(word) for word in (text.split(",") if "," in text else text.split())]
        except ValueError:
            row = []
        if not row or not np.isfinite(row).all() or (rows and len(row) != len(rows[0])):
            width = f"{len(rows[0])} finite numbers" if rows else "finite numbers"
            raise InputError(
                f"{path}: line {number} needs {width} with a decimal point, parted by blanks or commas; "
                f"got {text[:60]!r}; correct the line, or put # before it if it is a heading."
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: needs a table of numbers; got none in {len(lines)} lines; check the file.")
    return np.array(rows)


def _names(
    comments: list[str], header: dict[str, str], width: int, unnamed: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units from XDI's Column fields, else from a heading, else from the caller."""
    fields = [header.get(f"Column.{index}", "").split() for index in range(1, width + 1)]
    if all(fields):
        return tuple(words[0] for words in fields), tuple((words[1:2] or [""])[0] for words in fields)
    heading = comments[-1].replace(",", " ").split() if comments else []
    if len(heading) != width or not {word.lower() for word in heading} & set(unnamed[:1]):
        heading = [*unnamed, *(f"column_{index}" for index in range(len(unnamed) + 1, width + 1))][:width]
    return tuple(heading), ("",) * width
