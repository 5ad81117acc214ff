"""Beamline files as they are: every reader gives what its file holds and invents nothing."""

from collections.abc import Callable
from pathlib import Path

from madpipe.base.errors import InputError
from madpipe.mad.measured.readers.arrays import Fields, read_npz
from madpipe.mad.measured.readers.hdf5 import read_hdf5
from madpipe.mad.measured.readers.nanomad import SUFFIXES, is_nanomad, read_nanomad
from madpipe.mad.measured.readers.reflections import ReflectionList, read_mtz, read_scalepack

READERS: dict[str, Callable[[Path], list[Fields] | list[ReflectionList]]] = {
    ".npz": read_npz,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".cxi": read_hdf5,
    ".nxs": read_hdf5,
    ".sca": read_scalepack,
    ".mtz": read_mtz,
    **dict.fromkeys(SUFFIXES, read_nanomad),
}


def read(path: str | Path) -> list[Fields] | list[ReflectionList]:
    """Read one file: arrays of a Bragg peak, or lists of reflections, one per photon energy or with all of them.

    Its extension says what it is; a text file of any other, such as .txt, may be NanoMAD's, told by its first keyword.

    Raises
    ------
    InputError
        No such file, an extension that no reader knows, or a file that its reader cannot read whole.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: needs an existing file; there is none; check the path.")
    reader = READERS.get(path.suffix.lower()) or (read_nanomad if is_nanomad(path) else None)
    if reader is None:
        raise InputError(
            f"{path}: needs one of the formats {', '.join(READERS)}; got {path.suffix or 'no extension'!r}; "
            "write the data as .npz (docs/format.md) or rename the file."
        )
    return reader(path)
