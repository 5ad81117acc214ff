"""Read NanoMAD's text, each line checked."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.arrays import Fields
from madpipe.mad.measured.readers.join import NOT_MEASURED
from madpipe.mad.measured.readers.nanomad.layout import (
    EXPOSURE,
    FREE_TEXTS,
    INDICES,
    KEYWORDS,
    PER_ENERGY,
    PER_POINT,
    TEXTS,
)
from madpipe.physics.crystal import is_cell

_Line = tuple[int, str]


def read_nanomad(path: Path) -> list[Fields]:
    """Read a list of reflections, or of Q points of a nano-object, at several photon energies.

    The layout stands in :mod:`madpipe.mad.measured.readers.nanomad`.

    Raises
    ------
    InputError
        A line that is none of these, with its number; a keyword missing or twice; a table cut short.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_text(path).splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    first = next((place for place, (_, line) in enumerate(lines) if line.split()[0] == "data"), len(lines))
    header = _keywords(path, lines[: first + 1])
    values: Fields = {name: header[name][0][1] for name in TEXTS if name in header}
    values |= _energies(path, header)
    (number, line), count = header["cell"][0], len(values["energy"])
    values["unit_cell"] = _numbers(path, number, line, 6, "a b c alpha beta gamma")
    if not is_cell(values["unit_cell"]):
        _refuse(path, number, "lengths > 0 and three angles that a cell can have", line, "correct the line")
    for name in EXPOSURE:
        if name in header:
            values[name] = _numbers(path, *header[name][0], count, "a value per energy")
    return [values | _table(path, header, lines[first + 1 :], count)]


def _text(path: Path) -> str:
    """Whole file as text."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: needs text in UTF-8, keywords and a table of reflections; byte {error.start} is not; "
            "check that it is the right file, or save it as text."
        ) from error


def _refuse(path: Path, number: int, needs: str, came: str, remedy: str) -> NoReturn:
    """Say what a line needs."""
    raise InputError(f"{path}: line {number} needs {needs}; got {came[:60]!r}; {remedy}.")


def _keywords(path: Path, lines: Sequence[_Line]) -> dict[str, list[_Line]]:
    """Text after each keyword, with its line's number; only ``energy`` may stand in several lines."""
    found: dict[str, list[_Line]] = {}
    for number, line in lines:
        keyword, rest = (*line.split(maxsplit=1), "")[:2]
        if keyword not in KEYWORDS:
            near = difflib.get_close_matches(keyword, KEYWORDS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "the table starts after a line 'data'"
            _refuse(path, number, f"one of the keywords {', '.join(KEYWORDS)}", keyword, advice)
        if keyword in found and keyword != "energy":
            _refuse(path, number, f"{keyword!r} only once", line, f"it stands in line {found[keyword][0][0]} too")
        text = rest.strip() if keyword in FREE_TEXTS else rest.split("#")[0].strip()
        if not text and keyword != "data":
            _refuse(path, number, f"something after {keyword!r}", line, "add it, or leave the line out")
        found.setdefault(keyword, []).append((number, text))
    missing = [keyword for keyword in ("cell", "energies", "energy", "data") if keyword not in found]
    if missing:
        raise InputError(f"{path}: needs a line {missing[0]!r}; it has none; add it (docs/format.md).")
    return found


def _floats(words: Iterable[str]) -> list[float] | None:
    """Numbers of words, None where one is none."""
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _numbers(path: Path, number: int, line: str, count: int, meaning: str) -> Float[np.ndarray, "_"]:
    """Finite numbers of one line, so many."""
    values = _floats(line.split())
    if values is None or len(values) != count or not np.isfinite(values).all():
        _refuse(path, number, f"{count} finite numbers, {meaning}", line, "correct the line")
    return np.array(values)


def _whole(path: Path, number: int, text: str) -> int:
    """A number of lines."""
    if not text.isdecimal():
        _refuse(path, number, "a whole number", text, "correct it")
    return int(text)


def _energies(path: Path, header: dict[str, list[_Line]]) -> Fields:
    """Photon energies, with f' and f'' where the file gives them."""
    stated = _whole(path, *header["energies"][0])
    lines = header["energy"]
    if stated != len(lines):
        number = header["energies"][0][0]
        _refuse(path, number, f"the number of lines 'energy', {len(lines)}", str(stated), "correct it or add lines")
    width = 1 if len(lines[0][1].split()) == 1 else 3
    meaning = "a photon energy [eV], as in the first" if width == 1 else "a photon energy [eV], f' and f''"
    table = np.array([_numbers(path, *line, width, meaning) for line in lines])
    if not (table[:, 0] > 0).all():
        number, line = lines[int(np.argmax(~(table[:, 0] > 0)))]
        _refuse(path, number, "a photon energy > 0 [eV]", line, "correct it")
    if width == 1:
        return {"energy": table[:, 0]}
    return {"energy": table[:, 0], "f_prime": table[:, 1], "f_double_prime": table[:, 2]}


def _columns(path: Path, header: dict[str, list[_Line]], rows: Sequence[_Line], count: int) -> list[str]:
    """Names of the columns after h k l: once per point, then those that repeat."""
    if "columns" in header:
        number, line = header["columns"][0]
        names = line.split()
        known = [*INDICES, *PER_POINT, *PER_ENERGY]
        required = {*INDICES, "intensity"}
        if not required <= set(names) or names != [name for name in known if name in names]:
            _refuse(
                path, number, f"some of {' '.join(known)} in this order, h k l and intensity among them", line, "mend"
            )
        return names[3:]
    number, line = rows[0]
    width = len(line.split())
    for names in (["intensity"], ["intensity", "sigma"]):
        if width == 3 + count * len(names):
            return names
    needs = f"h k l and, for {count} energies, {count} intensities or {2 * count} with standard errors"
    _refuse(path, number, needs, line, "correct it, or name the columns (docs/format.md)")


def _table(path: Path, header: dict[str, list[_Line]], lines: Sequence[_Line], count: int) -> Fields:
    """Indices and intensities, with what else the lines hold."""
    number, stated = header["data"][0]
    rows = [(number, line.split("#")[0]) for number, line in lines]
    if not rows:
        _refuse(path, number, "reflections after it", "nothing", "the file may be cut short: copy it again")
    if stated and _whole(path, number, stated) != len(rows):
        _refuse(path, number, f"the number of lines that follow, {len(rows)}", stated, "is the file cut short?")
    names = _columns(path, header, rows, count)
    per_point = [name for name in names if name in PER_POINT]
    per_energy = names[len(per_point) :]
    width = 3 + len(per_point) + count * len(per_energy)
    values = []
    for number, line in rows:
        row = _floats(line.split())
        if row is None or len(row) != width or not np.isfinite(row[: 3 + len(per_point)]).all():
            _refuse(path, number, f"{width} numbers, h k l finite", line, "correct it; what was not measured is nan")
        values.append(row)
    table = np.array(values)
    repeated = table[:, 3 + len(per_point) :].reshape(len(rows), count, len(per_energy))
    given = {name: repeated[..., place] for place, name in enumerate(per_energy)}
    found = _measured(path, [number for number, _ in rows], given)
    indices = table[:, :3]
    found["miller_indices"] = indices.astype(np.int64) if (indices == np.round(indices)).all() else indices
    for name, column in zip(per_point, table.T[3:], strict=False):
        found["friedel_sign" if name == "friedel" else name] = column
    _check_mates(path, rows, found)
    return found


def _measured(path: Path, numbers: Sequence[int], given: dict[str, np.ndarray]) -> Fields:
    """Intensities, their errors and background, (energy, reflection), with a mask where any is missing."""
    intensity = given["intensity"]
    missing = np.isnan(intensity)
    if "sigma" in given:
        missing |= ~(given["sigma"] > 0)
    else:
        missing |= intensity == -1
    for name, values in given.items():
        odd = ~missing & ~np.isfinite(values)
        if odd.any():
            row = int(np.argmax(odd.any(1)))
            _refuse(path, numbers[row], f"a finite {name}", str(values[row].tolist()), "what was not measured is nan")
    names = {"intensity": "data", "sigma": "data_errors", "background": "background"}
    found: Fields = {names[name]: np.where(missing, np.nan, values).T.copy() for name, values in given.items()}
    if missing.any():
        found["mask"] = np.where(missing.T, NOT_MEASURED, np.uint32(0))
    if "background" in found:
        found["background"] = np.nan_to_num(found["background"])
    return found


def _check_mates(path: Path, rows: Sequence[_Line], found: Fields) -> None:
    """Friedel signs are +1 or -1, and a reflection has each of them once; f0 is positive."""
    if "f0" in found and not (found["f0"] > 0).all():
        row = int(np.argmax(~(found["f0"] > 0)))
        _refuse(path, rows[row][0], "f0 > 0", str(found["f0"][row]), "correct it")
    if "friedel_sign" not in found:
        return
    sign = found["friedel_sign"]
    if not np.isin(sign, (1, -1)).all():
        row = int(np.argmax(~np.isin(sign, (1, -1))))
        _refuse(path, rows[row][0], "friedel +1 or -1", f"{sign[row]:g}", "correct it")
    found["friedel_sign"] = sign.astype(np.int64)
    keys = np.column_stack([found["miller_indices"], sign])
    first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:]
    again = np.flatnonzero(first[place.ravel()] != np.arange(len(keys)))
    if len(again):
        row = int(again[0])
        partner = rows[int(first[place.ravel()[row]])][0]
        _refuse(path, rows[row][0], "a reflection of its own", rows[row][1], f"line {partner} has it; merge them")
