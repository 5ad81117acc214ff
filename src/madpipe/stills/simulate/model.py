"""Structure factors of an atomic model."""

import gemmi
import numpy as np

from madpipe.base.errors import InputError
from madpipe.stills.scene import StructureFactors

_BLUR_RATE = 1.5  # of gemmi's grid: amplitudes to about 1e-3 of the largest


def factors_of_model(structure: gemmi.Structure, resolution: float) -> StructureFactors:
    """Structure factors of all atoms, both Friedel mates, in P 1 [electron].

    Not included: bulk solvent, anomalous scattering. Of the first model alone.

    Parameters
    ----------
    structure:
        With cell and space group.
    resolution:
        d of the last reflections [angstrom].

    Raises
    ------
    InputError
        No atoms, cell or space group.
    """
    group = structure.find_spacegroup()
    if not len(structure) or not structure.cell.is_crystal() or group is None:
        raise InputError(
            f"model '{structure.name}': atoms, a cell and a space group are required; got {len(structure)} models, "
            f"cell {structure.cell.parameters}, space group '{structure.spacegroup_hm}'; add a CRYST1 record"
        )
    density = gemmi.DensityCalculatorX()
    density.d_min, density.rate = resolution, _BLUR_RATE
    density.set_grid_cell_and_spacegroup(structure)
    density.set_refmac_compatible_blur(structure[0])
    density.put_model_density_on_grid(structure[0])
    transformed = gemmi.transform_map_to_f_phi(density.grid)
    unique = transformed.prepare_asu_data(dmin=resolution, unblur=density.blur, with_000=True)
    indices, amplitudes = unique.miller_array, np.abs(unique.value_array).astype(float)
    return StructureFactors.symmetric(indices, amplitudes, group)
