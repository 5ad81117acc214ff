"""Curves of NumPy's .npz files: arrays q, intensity and sigma, with what else is known."""

import zipfile
import zlib
from io import BytesIO

import numpy as np

from madpipe.base.curves.arrays import curves_of_arrays
from madpipe.base.curves.raw import RawCurves
from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_memory

_TROUBLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_MOST = 100  # arrays


def read_npz(content: bytes, name: str) -> list[RawCurves]:
    """Read one entry from arrays.

    Parameters
    ----------
    content:
        The file: q (q), intensity (q) or (curve, q), sigma alike, and any of energy_ev or time (curve), dq, slit (q or
        one number; half height), element, edge, unit_q, unit_intensity.
    name:
        Of the file.

    Raises
    ------
    InputError
        No such archive, pickled objects, arrays that are missing or do not fit together.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
        require_memory(name, sum(member.file_size for member in members[:_MOST]))
        with np.load(BytesIO(content), allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key]) for key in file.files[:_MOST]}
    except _TROUBLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"needs a whole .npz of plain arrays; got: {one_line(error)}; save it again.") from error
    texts = {key: str(value) for key, value in arrays.items() if value.dtype.kind in "US" and value.size == 1}
    numbers = {key: value for key, value in arrays.items() if value.dtype.kind in "biuf"}
    sample = " ".join(texts[key] for key in ("sample", "element", "edge") if key in texts)
    return [curves_of_arrays(name, numbers, texts, sample)]
