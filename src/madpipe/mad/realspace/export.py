"""Objects as volumes that ParaView and other viewers open: VTK image data (.vti)."""

from pathlib import Path

import numpy as np
from pyevtk.hl import imageToVTK

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.verdict import verdicts_in
from madpipe.mad.realspace.depth_profiles import strain_of
from madpipe.mad.records import RealSpace


def volumes(found: RealSpace) -> dict[str, np.ndarray]:
    """Real arrays of an object by the name that a viewer shows; those that are known inside only are 0 outside.

    The densities' moduli [sqrt(photon)], the composition and its error [1], the displacement along Q [angstrom], the
    strain along Q [1] (of objects that know their Bragg vector; 0 too where a voxel lacks neighbours), and the support.
    A composition in shares of electrons is named so.
    """
    inside = found.support > 0
    share = "composition_of_electrons" if found.composition_of == "electrons" else "composition"
    arrays = {
        "density_resonant": np.abs(found.rho_resonant),
        "density_normal": np.abs(found.rho_normal),
        share: np.where(inside, found.composition, 0),
        f"{share}_errors": np.where(inside, found.composition_errors, 0),
        "displacement_angstrom": np.where(inside, found.displacement, 0),
    }
    strain = strain_of(found)
    if strain is not None:
        arrays["strain"] = np.nan_to_num(strain, nan=0.0)
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {"support": inside.astype(np.uint8)}


def export_vtk(found: RealSpace, path: str | Path) -> None:
    """Write an object as VTK image data, whole or not at all.

    Point data of :func:`volumes`, x first as VTK wants it; field data, 1 for each check that passed and 0 for one that
    failed; spacing and origin in angstrom, the latter such that the point with index n // 2 of each axis is at 0. A 2-D
    object becomes one slice.

    Raises
    ------
    InputError
        The name does not end in .vti; the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".vti":
        raise InputError(f"{path}: a volume's name must end in .vti; it ends in {path.suffix!r}; name it so.")
    flat = found.support.ndim == 2
    spacing = [*np.asarray(found.voxel_size, dtype=float)[::-1].tolist(), *[1.0] * flat]  # the writer prints them
    shape = [*found.support.shape[::-1], *[1] * flat]
    points = {name: array.T.reshape(shape, order="F") for name, array in volumes(found).items()}
    origin = [-(size // 2) * step for size, step in zip(shape, spacing, strict=True)]
    passed = {f"passed_{name}": np.array([int(one.passed)]) for name, one in verdicts_in(found.verdicts).items()}
    with store.whole_file(path) as temporary:
        place = str(temporary)
        written = Path(imageToVTK(place, tuple(origin), tuple(spacing), pointData=points, fieldData=passed or None))
        written.replace(temporary)  # the writer adds its own ending
