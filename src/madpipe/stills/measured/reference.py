"""Reference intensities: of an MTZ, of structure factors in mmCIF or text, or computed from a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.base.files import require_file
from madpipe.physics.crystal import is_cell
from madpipe.stills.geometry import Crystal
from madpipe.stills.measured.model import intensities_of_model
from madpipe.stills.measured.reflection_files import Found, from_mmcif, from_mtz, from_text
from madpipe.stills.symmetry import group_named

_MODELS = (".pdb", ".ent", ".pdb.gz", ".ent.gz")
_CELL = 0.02  # relative difference of cells that are still one crystal
_ANGLE = 2.0  # of angles [degree]


@dataclass(frozen=True)
class Reference:
    """Intensities of the asymmetric unit, on any scale."""

    indices: Int[np.ndarray, "reflection 3"]  # of the asymmetric unit, as CCP4 has it
    intensity: Float[np.ndarray, "reflection"]
    sigma: Float[np.ndarray, "reflection"]  # NaN: not known
    cell: Float[np.ndarray, "6"]  # [angstrom, degree]
    space_group: str
    told: str  # what was read: file and columns


def read_reference(
    path: str | Path,
    column: str | None = None,
    cell: Float[np.ndarray, "6"] | None = None,
    space_group: str | None = None,
    resolution: float = 1.8,
) -> Reference:
    """Read reference intensities and merge what symmetry makes equal, Friedel's mates among it.

    Parameters
    ----------
    path:
        MTZ; mmCIF of structure factors or of a model; PDB; text of h, k, l, I and perhaps sigma.
    column:
        Of intensities or amplitudes; None: IMEAN, I, I(+) and I(-), F, F(+) and F(-), whichever comes first.
    cell, space_group:
        Where the file says none, as text does not.
    resolution:
        To which a model is computed [angstrom].

    Raises
    ------
    InputError
        No such file, column, cell or space group, or not one reflection.
    """
    path = require_file(path, "file of reference intensities or of a model")
    name = path.name.lower()
    if name.endswith(_MODELS) or (name.endswith((".cif", ".mmcif", ".cif.gz")) and _is_model(path)):
        found = intensities_of_model(path, resolution)
    elif name.endswith(".mtz"):
        found = from_mtz(path, column)
    elif name.endswith((".cif", ".mmcif", ".ent.cif", ".cif.gz")):
        found = from_mmcif(path, column)
    else:
        found = from_text(path)
    return merged(found, path, cell, space_group)


def _is_model(path: Path) -> bool:
    """Tell whether an mmCIF file holds atoms, not reflections."""
    try:
        blocks = gemmi.cif.read(str(path))
    except (ValueError, RuntimeError, OSError):
        return False  # the reader of reflections says what is wrong
    return any(block.find_loop("_atom_site.Cartn_x") for block in blocks)


def merged(
    found: Found, path: Path, cell: Float[np.ndarray, "6"] | None = None, space_group: str | None = None
) -> Reference:
    """Merge reflections to the asymmetric unit, by their inverse variances where these are known.

    Parameters
    ----------
    found:
        As read.
    path:
        Of the file, in messages.
    cell, space_group:
        Where the file says none.

    Raises
    ------
    InputError
        Neither says cell or space group, or no reflection is finite.
    """
    cell, space_group = found.cell if found.cell is not None else cell, found.space_group or space_group
    if cell is None or space_group is None:
        missing = "a cell" if cell is None else "a space group"
        raise InputError(f"{path}: needs {missing} for its reflections; the file has none; give it beside.")
    if not is_cell(cell):
        raise InputError(f"{path}: needs a cell of a volume; {[float(one) for one in cell]} came; check the file.")
    group = group_named(space_group)
    known = np.isfinite(found.sigma) & (found.sigma > 0)
    good = np.isfinite(found.intensity) & (known if known.any() else True) & found.indices.any(axis=1)
    if not good.any():
        raise InputError(
            f"{path}: needs reflections with finite intensities; there is none in {found.told}; name a column."
        )
    sigma = found.sigma[good] if known.any() else np.ones(int(good.sum()))
    table = gemmi.Intensities()
    indices = np.ascontiguousarray(found.indices[good], dtype=np.int32)
    table.set_data(gemmi.UnitCell(*cell), group, indices, found.intensity[good], sigma)
    table.remove_systematic_absences()
    table.merge_in_place(gemmi.DataType.Mean)
    spread = np.array(table.sigma_array) if known.any() else np.full(len(table.sigma_array), np.nan)
    return Reference(
        np.array(table.miller_array, dtype=np.int64), np.array(table.value_array), spread,
        np.asarray(cell, dtype=float), group.xhm(), f"{path.name}: {found.told}",
    )  # fmt: skip


def require_same_crystal(reference: Reference, crystal: Crystal) -> None:
    """Refuse a reference of another crystal.

    Parameters
    ----------
    reference, crystal:
        To be compared: edges within 2 %, angles within 2 degrees, one space group.

    Raises
    ------
    InputError
        They differ.
    """
    ours, theirs = crystal.cell, reference.cell
    if not _near(ours, theirs):
        turned = next((order for order in permutations(range(3)) if _near(_permuted(ours, order), theirs)), None)
        letters = "" if turned is None else f"; it fits with axes {', '.join('abc'[k] for k in turned)}: reindex"
        worst = 100 * float(np.abs(ours[:3] / theirs[:3] - 1).max())
        raise InputError(
            f"{reference.told}: needs a reference with the crystals' cell {_in_words(ours)}; its own is "
            f"{_in_words(theirs)}, up to {worst:.3g} % off{letters}; name another reference."
        )
    if group_named(reference.space_group).number != group_named(crystal.space_group).number:
        raise InputError(
            f"{reference.told}: needs a reference in the crystals' space group {crystal.space_group}; it is in "
            f"{reference.space_group}; index the images with the reference's, or name another reference."
        )


def require_overlap(reference: Reference, indices: Int[np.ndarray, "some 3"]) -> None:
    """Refuse a reference that shares no reflection with the images.

    Parameters
    ----------
    reference:
        The intensities.
    indices:
        Of the images' reflections, in the asymmetric unit.

    Raises
    ------
    InputError
        None is common.
    """
    known = {tuple(one) for one in reference.indices.tolist()}
    if not any(tuple(one) in known for one in indices.tolist()):
        raise InputError(
            f"{reference.told}: needs reflections in common with the images; of {len(known)} and {len(indices)} none "
            "is; check resolution and indexing."
        )


def in_asymmetric_unit(indices: Int[np.ndarray, "some 3"], space_group: str) -> Int[np.ndarray, "some 3"]:
    """The representative of each reflection among those that symmetry and Friedel's law make equal, as CCP4 has it.

    Parameters
    ----------
    indices:
        Any.
    space_group:
        By any of its usual names.
    """
    group = group_named(space_group)
    unit = gemmi.ReciprocalAsu(group)
    found = np.array(indices, dtype=np.int64)
    left = np.ones(len(found), dtype=bool)
    for operation in group.operations().sym_ops:
        turned = indices @ (np.array(operation.rot) // operation.DEN)
        for sign in (1, -1):
            open_ = np.flatnonzero(left)
            inside = np.array([unit.is_in(one) for one in (sign * turned[open_]).tolist()], dtype=bool)
            found[open_[inside]] = sign * turned[open_[inside]]
            left[open_[inside]] = False
    return found


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two cells are one crystal's."""
    return bool((np.abs(one[:3] / other[:3] - 1) <= _CELL).all() and (np.abs(one[3:] - other[3:]) <= _ANGLE).all())


def _permuted(cell: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """A cell with its axes in another order."""
    return np.concatenate([cell[:3][list(order)], cell[3:][list(order)]])


def _in_words(cell: np.ndarray) -> str:
    """A cell on a line."""
    return ", ".join(f"{one:.5g}" for one in cell)
