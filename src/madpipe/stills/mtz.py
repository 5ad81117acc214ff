"""MTZ files: one dataset of one crystal, columns of reflections, written whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float

from madpipe.base.store import whole_file


def new_mtz(
    cell: Sequence[float] | Float[np.ndarray, "6"],
    space_group: str,
    wavelength: float,
    dataset: str,
    title: str,
    columns: Sequence[tuple[str, str]],
) -> gemmi.Mtz:
    """Make an MTZ without reflections.

    Parameters
    ----------
    cell, space_group, wavelength:
        Of the crystal [angstrom, degree], as gemmi names it, and of the beam [angstrom].
    dataset, title:
        Names in the header.
    columns:
        Label and CCP4's type of each, behind H, K, L.
    """
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(space_group)
    mtz.title = title
    mtz.add_dataset(dataset).wavelength = wavelength
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    for label, kind in columns:
        mtz.add_column(label, kind)
    return mtz


def fill(mtz: gemmi.Mtz, rows: Float[np.ndarray, "reflection column"], history: Sequence[str]) -> None:
    """Give an MTZ its reflections, H, K, L first, and lines on where they come from."""
    mtz.set_data(np.ascontiguousarray(rows, dtype=np.float32))
    mtz.history = list(history)


def write_mtz(path: str | Path, mtz: gemmi.Mtz) -> None:
    """Write whole or not at all."""
    with whole_file(path) as temporary:
        mtz.write_to_file(str(temporary))
