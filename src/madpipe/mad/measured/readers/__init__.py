"""Beamline files as they are: every reader gives what its file holds and invents nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path

from madpipe.base.errors import InputError
from madpipe.base.files import require_file, require_memory
from madpipe.mad.measured.readers.arrays import Fields, read_npz
from madpipe.mad.measured.readers.hdf5 import SUFFIXES as HDF5
from madpipe.mad.measured.readers.hdf5 import read_hdf5
from madpipe.mad.measured.readers.mtz import read_mtz
from madpipe.mad.measured.readers.nanomad import SUFFIXES, is_nanomad, read_nanomad
from madpipe.mad.measured.readers.reflections import ReflectionList, read_scalepack

READERS: dict[str, Callable[[Path], list[Fields] | list[ReflectionList]]] = {
    ".npz": read_npz,
    **dict.fromkeys(HDF5, read_hdf5),
    ".sca": read_scalepack,
    ".mtz": read_mtz,
    **dict.fromkeys(SUFFIXES, read_nanomad),
}


def read(
    path: str | Path, dataset: Sequence[str] = (), energy: str | None = None
) -> list[Fields] | list[ReflectionList]:
    """Read one file: arrays of a Bragg peak, or lists of reflections, one per photon energy or with all of them.

    Its extension says what it is; a text file of any other, such as .txt, may be NanoMAD's, told by its first keyword.

    Parameters
    ----------
    path:
        The file.
    dataset, energy:
        Places of the intensities and of the photon energy in an HDF5 file; without them they are looked for.

    Raises
    ------
    InputError
        No such file, an extension that no reader knows, a file that its reader cannot read whole, or places in a file
        that has none.
    """
    path = require_file(path)
    require_memory(str(path), 0 if path.suffix.lower() in HDF5 else path.stat().st_size)
    if path.suffix.lower() in HDF5:
        return read_hdf5(path, dataset, energy)
    if dataset or energy:
        raise InputError(f"{path}: needs to be HDF5 for --dataset or --energy-path, places in it; leave them out.")
    reader = READERS.get(path.suffix.lower()) or (read_nanomad if is_nanomad(path) else None)
    if reader is None:
        raise InputError(
            f"{path}: needs one of the formats {', '.join(READERS)}; got {path.suffix or 'no extension'!r}; "
            "write the data as .npz (docs/format.md) or rename the file."
        )
    return reader(path)
