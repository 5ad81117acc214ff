"""Tables of text: columns by their names where the file gives them, whatever parts them."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madpipe.base.errors import InputError
from madpipe.rocking.measured.numerals import decimal_sign, is_number, numbers
from madpipe.rocking.measured.scan import Axis, RawScan, axis_named, over_longest, unit_named

_COMMENT = re.compile(r"\s*[#%!;'*/]+")
_ANGLE = re.compile(
    r"2\s*-?_?\s*(th|θ|ϑ)|two\W?th|tth|"
    r"\bangle|winkel|angolo|[aá]ngulo|kąt|угол|角|position|^pos\b|omega|ω|^om$|theta|^th$|°"
)
_TWO_THETA = re.compile(r"2\s*-?_?\s*(th|θ|ϑ)|two\W?th|tth")
_INTENSITY = re.compile(
    r"int|count|cts|cps|z(ä|ae)hl|impuls|coups|conteggi|cuentas|detector|\bdet|signal|y_?obs|强度|強度|интенс|^i$|^y$"
)
_BESIDE = re.compile(r"esd|err|sigma|std|fehler|calc|\bfit|bkg|backg|untergr|residu|diff")  # of the intensity
_TIME = re.compile(r"time|zeit|seconds|temps|tiempo|tempo|dwell")
_RATE = re.compile(r"cps|counts?\s*(/|per)\s*s|/\s*s\b|rate(?!.*z(ä|ae)hl)")
_WAVELENGTH = re.compile(
    r"(k\W?-?(alpha|α)\W?1|wave\W?length|wellenl(ä|ae)nge|lambda|longueur d'onde)\D*?([0-9]+[.,][0-9]+)"
)
_NM = 10.0  # angstrom
_HEADINGS = 3  # lines above the numbers that may name the columns
_FEWEST = 2  # columns


@dataclass(frozen=True)
class Table:
    """Columns of words, with what stands above them."""

    head: tuple[str, ...]  # lines
    names: tuple[str, ...] | None  # of the columns
    columns: tuple[tuple[str, ...], ...]

    def place(self, told: str) -> int:
        """Find a column by its name, or its number from 1.

        Raises
        ------
        InputError
            No such column.
        """
        if told.isdigit() and 1 <= int(told) <= len(self.columns):
            return int(told) - 1
        known = [name.lower() for name in self.names or ()]
        if told.lower() in known:
            return known.index(told.lower())
        said = ", ".join(self.names) if self.names else "without names"
        raise InputError(f"columns need names or numbers from 1 to {len(self.columns)}; {told!r} came; it has {said}.")


def read_text(text: str, told: Sequence[str] = ()) -> RawScan:
    """Read a scan from a table of text.

    Parameters
    ----------
    text:
        Numbers parted by blanks, tabs, commas or semicolons; decimal commas where another sign parts the numbers. What
        stands above them may name columns, axis, wavelength and time per step.
    told:
        Names or numbers of the columns of angle and intensity; without them by their names, else the first two.

    Raises
    ------
    InputError
        No table of numbers, lines of several lengths, columns that are unclear.
    """
    table = table_of(text)
    angle, intensity = _places(table, told)
    decimal = decimal_sign(table.columns[angle])
    name = table.names[intensity] if table.names else f"column {intensity + 1}"
    angles = numbers(table.columns[angle], decimal, "the angles' column")
    values = numbers(table.columns[intensity], decimal, f"the intensities' column ({name})")
    seconds = _seconds(table, decimal)
    enlarged = over_longest(seconds, None)
    rate = bool(_RATE.search(name.lower()))
    if enlarged is not None and not rate:
        values = values * enlarged
    heading = table.names[angle] if table.names else ""
    photons = None if not rate or seconds is None else float(seconds.max())
    axis = axis_named(heading) or _scan_axis(table.head)
    return RawScan(angles, values, enlarged, axis, unit_named(heading), _wavelength(table.head), photons)


def table_of(text: str) -> Table:
    """Find the table in a text.

    Raises
    ------
    InputError
        No line of two numbers, a line of words or of another number of columns within the table.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    separator = _separator(lines)
    rows: list[list[str]] = []
    head: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#")[0].strip()
        if not bare or (_COMMENT.match(line) and not rows):
            head += [line.strip()] if line.strip() else []
            continue
        if _COMMENT.match(line):
            continue
        words = _split(bare, separator)
        if not rows and not (len(words) >= _FEWEST and all(map(is_number, words[:_FEWEST]))):
            head.append(line.strip())
            continue
        _check_row(words, rows, number, bare)
        rows.append(words)
    if not rows:
        raise InputError("needs lines of 2 theta and intensity; no number came; check the file.")
    columns = tuple(tuple(row[place] for row in rows) for place in range(len(rows[0])))
    return Table(tuple(head), _names(head, separator, len(columns)), columns)


def _check_row(words: list[str], rows: list[list[str]], number: int, line: str) -> None:
    """Refuse a line that is no row of the table."""
    if rows and len(words) != len(rows[0]):
        raise InputError(
            f"line {number} needs {len(rows[0])} numbers like those before; it has {len(words)}: {line[:60]!r}; remove "
            "signs that part thousands, or what does not belong to the table."
        )
    if not all(map(is_number, words[:_FEWEST])):
        raise InputError(f"line {number} needs two numbers; it is {line[:60]!r}; mend it.")


def _separator(lines: Sequence[str]) -> str:
    """What parts the numbers: a semicolon, a tab, a comma, or blanks, written as one blank.

    Raises
    ------
    InputError
        Commas that both part the numbers and stand within them.
    """
    rows = [line.strip() for line in lines if re.match(r"\s*[\"+-]?[.,]?[0-9]", line)]
    if not rows:
        return " "

    def most(pattern: str) -> bool:
        return sum(bool(re.search(pattern, row)) for row in rows) > len(rows) / 2

    if most(r"[^;]+;"):
        return ";"
    if most(r"[^\t]+\t"):
        return "\t"
    if not most(","):
        return " "
    if most(r",\s") or most(r"\s,"):
        return ","
    if most(r"[0-9][ \u00a0]+[+-]?[0-9]"):
        return " "
    words = [row.split(",") for row in rows]
    if most(r"\"") or any("." in row for row in rows) or Counter(map(len, words)).most_common(1)[0][0] == _FEWEST:
        return ","
    if len({row[0] for row in words}) < len(words) / 4:  # 72,788,3: degrees that hardly change, and their decimals
        raise InputError(
            f"numbers need a sign between them that is not the decimal one; {rows[0][:40]!r} has commas for both; "
            "write decimals with a point, or part the numbers by semicolons or tabs."
        )
    return ","


def _split(line: str, separator: str) -> list[str]:
    """Words of a line."""
    if separator == " ":
        return line.replace("\u00a0", " ").split()
    words = [word.strip() for word in next(csv.reader([line], delimiter=separator))]
    while words and not words[-1]:
        words.pop()
    if separator == "\t" and not all(map(is_number, words)) and all(map(is_number, line.split())):
        return line.split()  # some of the numbers are parted by blanks
    return words


def _names(head: Sequence[str], separator: str, width: int) -> tuple[str, ...] | None:
    """Names of the columns, from one of the last lines above them."""
    for line in reversed(head[-_HEADINGS:]):
        bare = re.sub(r"^[#%!;'*\s]*(L\s+)?", "", line)
        tries = [_split(bare, separator), re.split(r"\t|\s{2,}|;|,", bare), bare.split()]
        for words in ([word.strip().strip('"') for word in one if word.strip()] for one in tries):
            known = sum(bool(_ANGLE.search(word.lower()) or _INTENSITY.search(word.lower())) for word in words)
            if len(words) == width and known and not all(map(is_number, words)):
                return tuple(words)
    return None


def _places(table: Table, told: Sequence[str]) -> tuple[int, int]:
    """Columns of angle and intensity.

    Raises
    ------
    InputError
        They are unclear.
    """
    if told:
        first, second = (table.place(one) for one in told)
        return first, second
    if table.names is None:
        return 0, _second(table)
    names = [name.lower() for name in table.names]
    angles = [place for place, name in enumerate(names) if _TWO_THETA.search(name)]
    angles = angles or [place for place, name in enumerate(names) if _ANGLE.search(name)] or [0]
    left = [place for place, name in enumerate(names) if place != angles[0] and not _BESIDE.search(name)]
    left = [place for place in left if _INTENSITY.search(names[place])] or [
        place for place in left if not _TIME.search(names[place]) and place not in angles
    ]
    if len(left) != 1 and len(names) > _FEWEST:
        left = [place for place in left if re.search(r"^int|^counts?$|^i$", names[place])] or left
    if not left or (len(left) > 1 and not _INTENSITY.search(names[left[0]])):
        raise InputError(
            f"a table needs one column of intensities; it has {', '.join(table.names)}; say which two with --columns "
            "ANGLE,INTENSITY (or the key columns)."
        )
    return angles[0], left[0]


def _second(table: Table) -> int:
    """The second column, unless it is the same in all lines and others follow."""
    if len(table.columns) > _FEWEST and len(set(table.columns[1])) == 1:
        raise InputError(
            f"intensities change from point to point; the second of {len(table.columns)} columns without names is "
            f"{table.columns[1][0]} throughout; say which two to read with --columns 1,3 (or the key columns)."
        )
    return 1


def _seconds(table: Table, decimal: str) -> np.ndarray | None:
    """Counting time of each point [s], from a column, or from a line above, if there is one."""
    for place, name in enumerate(table.names or ()):
        if _TIME.search(name.lower()):
            found = numbers(table.columns[place], decimal, f"the column {name}")
            return found if np.isfinite(found).all() and found.min() > 0 else None
    for line in table.head:
        said = re.search(r"time\W?per\W?step\D*?([0-9]+([.,][0-9]+)?)", line.lower())
        if said and float(said[1].replace(",", ".")) > 0:
            return np.full(len(table.columns[0]), float(said[1].replace(",", ".")))
    return None


def _scan_axis(head: Sequence[str]) -> Axis | None:
    """Axis that a line above the table names."""
    for line in head:
        said = re.search(r"scan\s*_?-?(axis|type)\W*(.*)", line, re.IGNORECASE)
        if said:
            return axis_named(said[2])
    return None


def _wavelength(head: Sequence[str]) -> float | None:
    """Wavelength that a line above the table states [angstrom]."""
    for line in head:
        said = _WAVELENGTH.search(line.lower())
        if said:
            value = float(said[4].replace(",", "."))
            value *= _NM if re.search(r"\bnm\b", line.lower()) else 1.0
            if 0.1 < value < 10.0:
                return value
    return None
