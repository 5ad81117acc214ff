"""Intensities of an atomic model: its own electrons and a flat solvent between the molecules."""

from pathlib import Path

import gemmi
import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.stills.measured.reflection_files import Found

_SOLVENT = 0.35  # mean density of bulk solvent [electron/angstrom^3]
_SMOOTH = 46.0  # its B factor [angstrom^2]
_GRID = 3.0  # points of the solvent's grid for one resolution length


def intensities_of_model(path: Path, resolution: float) -> Found:
    r"""Compute :math:`|F_c + k_s e^{-B_s s^2/4} F_m|^2` of a model, :math:`s = 1/d`.

    F_m is the transform of the mask of solvent, k_s = 0.35 electron/angstrom^3, B_s = 46 angstrom^2.

    Parameters
    ----------
    path:
        PDB or mmCIF.
    resolution:
        To which it is computed [angstrom].

    Raises
    ------
    InputError
        No model, or one without a cell or space group.

    Notes
    -----
    Neutral atoms' scattering of X-rays; no dispersion, so Friedel's mates are equal.

    References
    ----------
    k_s, B_s: Fokine and Urzhumtsev, Acta Cryst. D58, 1387 (2002).
    """
    try:
        structure = gemmi.read_structure(str(path))
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{path}: needs a model in PDB or mmCIF; got: {one_line(error)}; check the file.") from error
    group = structure.find_spacegroup()
    if not len(structure) or not structure.cell.is_crystal() or group is None:
        raise InputError(f"{path}: needs a model with atoms, cell and space group (CRYST1); one is missing; add it.")
    if not resolution > 0:
        raise InputError(f"{path}: needs a positive resolution [angstrom]; {resolution} came.")
    indices, atoms = _of_atoms(structure, resolution)
    solvent = _of_solvent(structure, resolution, indices)
    s_squared = np.array([structure.cell.calculate_1_d2(one) for one in indices.tolist()])
    total = atoms + _SOLVENT * np.exp(-_SMOOTH * s_squared / 4) * solvent
    value = np.square(np.abs(total))
    cell = np.array(structure.cell.parameters, dtype=float)
    told = f"intensities of the model to {resolution:g} angstrom, with solvent"
    return Found(indices, value, np.full(len(value), np.nan), told, cell, group.xhm())


def _of_atoms(structure: gemmi.Structure, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the asymmetric unit and structure factors of the atoms [electron]."""
    calculator = gemmi.DensityCalculatorX()
    calculator.d_min = resolution
    calculator.set_refmac_compatible_blur(structure[0])
    calculator.set_grid_cell_and_spacegroup(structure)
    calculator.put_model_density_on_grid(structure[0])
    transform = gemmi.transform_map_to_f_phi(calculator.grid, half_l=True)
    table = transform.prepare_asu_data(dmin=resolution, unblur=calculator.blur)
    return np.array(table.miller_array, dtype=np.int64), np.array(table.value_array)


def _of_solvent(structure: gemmi.Structure, resolution: float, indices: np.ndarray) -> np.ndarray:
    """Transform of the mask, 1 between the molecules [angstrom^3]."""
    grid = gemmi.FloatGrid()
    grid.setup_from(structure, spacing=resolution / _GRID)
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.put_mask_on_float_grid(grid, structure[0])
    transform = gemmi.transform_map_to_f_phi(grid, half_l=True)
    return np.array([transform.get_value(*one) for one in indices.tolist()])
