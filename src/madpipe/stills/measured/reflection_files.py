"""Lists of reflections as files hold them: MTZ, mmCIF, text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError, one_line

_Pair = tuple[str, str | None]  # value and its standard deviation
# one after the other; pairs of Friedel's mates are averaged
_INTENSITIES: tuple[tuple[str, ...], ...] = (
    ("IMEAN",), ("I",), ("IOBS",), ("I-obs",), ("Iobs",), ("IPR",), ("I(+)", "I(-)"), ("IOBS(+)", "IOBS(-)"),
)  # fmt: skip
_AMPLITUDES: tuple[tuple[str, ...], ...] = (
    ("F",), ("FP",), ("FOBS",), ("F-obs",), ("Fobs",), ("F-obs-filtered",), ("F(+)", "F(-)"), ("FMODEL",), ("F-model",),
    ("FC_ALL",), ("FC",),
)  # fmt: skip
_CIF_INTENSITIES: tuple[tuple[_Pair, ...], ...] = (
    (("intensity_meas", "intensity_sigma"),),
    (("pdbx_I_plus", "pdbx_I_plus_sigma"), ("pdbx_I_minus", "pdbx_I_minus_sigma")),
    (("F_squared_meas", "F_squared_sigma"),),
)
_CIF_AMPLITUDES: tuple[tuple[_Pair, ...], ...] = (
    (("F_meas_au", "F_meas_sigma_au"),),
    (("F_meas", "F_meas_sigma"),),
    (("pdbx_F_plus", "pdbx_F_plus_sigma"), ("pdbx_F_minus", "pdbx_F_minus_sigma")),
    (("F_calc_au", None),),
    (("F_calc", None),),
)
_COLUMNS = 4  # h, k, l and an intensity, at least
_PHASED = 6  # columns of CrystFEL: h, k, l, I, phase, sigma


@dataclass(frozen=True)
class Found:
    """Reflections as they stand in a file, perhaps several of one kind."""

    indices: Int[np.ndarray, "reflection 3"]
    intensity: Float[np.ndarray, "reflection"]
    sigma: Float[np.ndarray, "reflection"]  # NaN: not known
    told: str  # which columns
    cell: Float[np.ndarray, "6"] | None = None
    space_group: str | None = None


def from_mtz(path: Path, column: str | None) -> Found:
    """Read an MTZ file, merged or not.

    Parameters
    ----------
    path:
        Of the file.
    column:
        Of intensities or amplitudes; None: the first of the usual ones.

    Raises
    ------
    InputError
        No MTZ, no such column, or one that holds neither.
    """
    try:
        mtz = gemmi.read_mtz_file(str(path))
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{path}: needs a file in MTZ; got: {one_line(error)}; copy it again.") from error
    labels = {one.label: one for one in mtz.columns}
    chosen, squared = _chosen(labels, column, path)
    indices = np.array(mtz.make_miller_array(), dtype=np.int64)
    parts = []
    for name in chosen:
        place = labels[name].idx
        follows = mtz.columns[place + 1] if place + 1 < len(mtz.columns) else None
        value = np.array(labels[name].array, dtype=float)
        sigma = np.full(len(value), np.nan)
        if follows is not None and follows.type in "QML" and follows.type != labels[name].type:
            sigma = np.array(follows.array, dtype=float)
        parts.append((value, sigma))
    cell = np.array(mtz.get_cell().parameters, dtype=float)
    group = mtz.spacegroup.xhm() if mtz.spacegroup else None
    return _stacked(indices, parts, squared, " and ".join(chosen), cell if cell[:3].all() else None, group)


def _chosen(labels: dict[str, gemmi.Mtz.Column], column: str | None, path: Path) -> tuple[Sequence[str], bool]:
    """Columns to read, and whether they are amplitudes."""
    if column is not None:
        if column not in labels:
            raise InputError(f"{path}: needs a column {column!r}; it has {', '.join(labels)}; name one of these.")
        kind = labels[column].type
        if kind not in "JKFG":
            raise InputError(
                f"{path}: needs intensities or amplitudes; {column} is of type {kind}; name another column."
            )
        mate = column.replace("(+)", "(-)")
        return ([column, mate] if mate != column and mate in labels else [column]), kind in "FG"
    for known, kinds, squared in ((_INTENSITIES, "JK", False), (_AMPLITUDES, "FG", True)):
        for names in known:
            if all(name in labels and labels[name].type in kinds for name in names):
                return names, squared
        single = [name for name, one in labels.items() if one.type == kinds[0]]
        if single:
            return single[:1], squared
    raise InputError(
        f"{path}: needs a column of intensities or amplitudes; it has {', '.join(labels)}; name another file."
    )


def _stacked(
    indices: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    squared: bool,
    told: str,
    cell: np.ndarray | None,
    space_group: str | None,
) -> Found:
    """Put the columns one below the other; amplitudes become intensities, sigma(I) = 2 F sigma(F)."""
    value, sigma = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    if squared:
        value, sigma = value**2, 2 * np.abs(value) * sigma
        told = f"{told}, squared"
    return Found(np.tile(indices, (len(parts), 1)), value, sigma, told, cell, space_group)


def from_mmcif(path: Path, column: str | None) -> Found:
    """Read structure factors in mmCIF.

    Parameters
    ----------
    path:
        Of the file.
    column:
        Item of _refln, without that prefix; None: the first of the usual ones.

    Raises
    ------
    InputError
        No mmCIF, no reflections, no such item.
    """
    try:
        blocks = gemmi.as_refln_blocks(gemmi.cif.read(str(path)))
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"{path}: needs structure factors in mmCIF; got: {one_line(error)}; check the file."
        ) from error
    if not blocks or blocks[0].default_loop is None:
        raise InputError(f"{path}: needs reflections (_refln); there are none; name the file of structure factors.")
    block = blocks[0]
    labels = block.column_labels()
    pairs, squared = _chosen_items(labels, column, path)
    indices = np.array(block.make_miller_array(), dtype=np.int64)
    parts = []
    for value, sigma in pairs:
        values = np.array(block.make_float_array(value), dtype=float)
        known = np.full(len(values), np.nan)
        if sigma is not None and sigma in labels:
            known = np.array(block.make_float_array(sigma), dtype=float)
        parts.append((values, known))
    cell = np.array(block.cell.parameters, dtype=float)
    group = block.spacegroup.xhm() if block.spacegroup else None
    told = " and ".join(value for value, _ in pairs)
    return _stacked(indices, parts, squared, told, cell if block.cell.is_crystal() else None, group)


def _chosen_items(labels: Sequence[str], column: str | None, path: Path) -> tuple[Sequence[_Pair], bool]:
    """Items to read, and whether they are amplitudes."""
    for known, squared in ((_CIF_INTENSITIES, False), (_CIF_AMPLITUDES, True)):
        for pairs in known:
            if all(value in labels for value, _ in pairs) and column in (None, *(value for value, _ in pairs)):
                return pairs, squared
    asked = "intensities or amplitudes" if column is None else repr(column)
    raise InputError(f"{path}: needs {asked} in _refln; it has {', '.join(labels)}; name one of these that is known.")


def from_text(path: Path) -> Found:
    """Read text: h, k, l, I and perhaps sigma a line (SHELX's HKLF 4), or CrystFEL's list with a phase between them.

    Parameters
    ----------
    path:
        Of the file; lines that are not numbers are passed over, a line 0 0 0 ends SHELX's list.

    Raises
    ------
    InputError
        No text, or no line of four numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"{path}: needs MTZ, mmCIF, PDB or text of h, k, l, I; it is none of these by its name and bytes; convert "
            "it."
        ) from error
    crystfel = bool(lines) and "CrystFEL" in lines[0]
    rows = []
    for line in lines:
        row = _row(line, crystfel)
        if row is not None and not any(row[:3]):
            break
        if row is not None:
            rows.append(row)
    if not rows:
        raise InputError(f"{path}: needs lines of h, k, l, I and perhaps sigma; there is none; check the file.")
    table = np.array(rows)
    if np.abs(table[:, :3] - np.rint(table[:, :3])).max() > 0:
        raise InputError(f"{path}: needs whole h, k, l in the first three columns; others came; check the file.")
    return Found(np.rint(table[:, :3]).astype(np.int64), table[:, 3], table[:, 4], "h, k, l, I of text")


def _row(line: str, crystfel: bool) -> list[float] | None:
    """Numbers of a line: h, k, l, I, sigma; None where it is no reflection."""
    words = line.replace("- ", "nan ", 1).split() if crystfel else line.split()
    if len(words) < _COLUMNS:
        words = [line[:4], line[4:8], line[8:12], line[12:20], line[20:28]]  # SHELX's columns may touch
    try:
        numbers = [float(one) for one in words[: _PHASED if crystfel else 5] if one.strip()]
    except ValueError:
        return None
    if len(numbers) < _COLUMNS:
        return None
    sigma = numbers[-1] if len(numbers) > _COLUMNS else np.nan
    return [*numbers[:4], sigma]
