"""Lists of merged reflections, Friedel mates apart, and their SCALEPACK text."""

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError

_INDEX = 4  # characters of an index in SCALEPACK
_NUMBER = 8  # characters of an intensity or a standard deviation
_HEADER = 3  # lines before the reflections
_PAIR = 3 * _INDEX + 2 * _NUMBER  # length of a line with I(+), sigma
_TWO_PAIRS = _PAIR + 2 * _NUMBER  # length of a line with I(-), sigma as well


@dataclass(frozen=True)
class ReflectionList:
    """Merged intensities of one crystal at one photon energy; a Friedel mate is an entry of its own.

    A mate has the indices of its partner and ``friedel_sign`` -1. What was not measured has no entry.
    """

    source: str
    miller_indices: Int[np.ndarray, "entry 3"]
    friedel_sign: Int[np.ndarray, "entry"]
    intensity: Float[np.ndarray, "entry"]
    sigma: Float[np.ndarray, "entry"]
    unit_cell: Float[np.ndarray, "6"]  # angstrom x3, degree x3
    energy: float | None  # eV
    space_group: str | None = None  # Hermann-Mauguin symbol


def read_scalepack(path: Path) -> list[ReflectionList]:
    """Read merged intensities, I(+), sigma, I(-), sigma in columns of 8 after three indices in columns of 4.

    The file names no photon energy. A sigma that is not positive says that the mate was not measured. Intensities
    run into each other when they are large: the columns count, not the blanks.

    Raises
    ------
    InputError
        Not SCALEPACK's merged output, a short or unreadable line, or no I(-) anywhere.

    References
    ----------
    The HKL manual, Scalepack, output formats ("anomalous").
    """
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    unit_cell = _scalepack_cell(path, lines)
    rows = [
        _scalepack_row(path, number, line)
        for number, line in enumerate(lines[_HEADER:], start=_HEADER + 1)
        if line.strip()
    ]
    if not any(len(values) == 4 for _, values in rows):
        raise InputError(
            f"{path}: needs I(+) and I(-) of the reflections; it has no I(-), or no reflections at all; "
            "scale it again with 'anomalous'."
        )
    entries = [
        (indices, sign, *values[start : start + 2])
        for indices, values in rows
        for sign, start in ((1, 0), (-1, 2))
        if len(values) > start and values[start + 1] > 0
    ]
    indices, signs, intensity, sigma = zip(*entries, strict=True)
    hkl, friedel, data, errors = (np.array(column) for column in (indices, signs, intensity, sigma))
    return [ReflectionList(str(path), hkl, friedel, data, errors, unit_cell, None, _scalepack_group(lines))]


def _scalepack_cell(path: Path, lines: list[str]) -> Float[np.ndarray, "6"]:
    """Unit cell from the third line of the header."""
    try:
        if lines[0].split() != ["1"] or not lines[1].strip().startswith("-"):
            raise ValueError(f"the header {' | '.join(lines[:2])[:60]!r}")
        cell = np.array([float(word) for word in lines[2].split()[:6]])
        if len(cell) < 6 or not (cell > 0).all():
            raise ValueError(f"the cell {lines[2][:60]!r}")
    except (IndexError, ValueError) as error:
        came = "too few lines" if isinstance(error, IndexError) else error
        raise InputError(
            f"{path}: needs SCALEPACK's header of merged data, a line '1', a line with a negative number and six cell "
            f"constants; got {came}; write the merged data, not 'no merge'."
        ) from error
    return cell


def _scalepack_group(lines: list[str]) -> str | None:
    """Space group behind the cell in the header, where gemmi knows its name."""
    group = gemmi.find_spacegroup_by_name(" ".join(lines[2].split()[6:]) or "none")
    return None if group is None else group.xhm()


def _scalepack_row(path: Path, number: int, line: str) -> tuple[tuple[int, int, int], list[float]]:
    """Indices and two or four numbers of one line."""
    text = line.rstrip()
    try:
        if len(text) not in (_PAIR, _TWO_PAIRS):
            raise ValueError("length")
        h, k, l = (int(text[start : start + _INDEX]) for start in (0, _INDEX, 2 * _INDEX))  # noqa: E741
        values = [float(text[start : start + _NUMBER]) for start in range(3 * _INDEX, len(text), _NUMBER)]
    except ValueError as error:
        raise InputError(
            f"{path}: line {number} needs three indices and I(+), sigma, or I(+), sigma, I(-), sigma, {_PAIR} or "
            f"{_TWO_PAIRS} characters; got {text[:60]!r}; the file may be cut short: copy it again."
        ) from error
    return (h, k, l), values
