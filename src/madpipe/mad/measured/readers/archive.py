"""Arrays of a numpy archive (.npz), each looked at before it is read: its header says how large it is."""

import lzma
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file, require_memory

_ENDING = ".npy"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, OverflowError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, SyntaxError, MemoryError),
)


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Read every array of an archive by its name.

    Raises
    ------
    InputError
        Not a numpy archive or truncated, an array of objects, or more than fits into memory.
    """
    path = require_file(path, "numpy archive")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename.removesuffix(_ENDING) for member in members]
            if len(set(names)) < len(names):
                raise InputError(f"{path}: needs each array once; it has {', '.join(names)}; write it again."[:300])
            require_memory(f"{path}: {', '.join(names)}"[:200], sum(_size(archive, member) for member in members))
            return {name: _array(archive, member) for name, member in zip(names, members, strict=True)}
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"{path}: needs a complete numpy archive of plain arrays; got: {one_line(error)}; "
            "write it again with numpy.savez."
        ) from error


def _size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Bytes of an array, by its header, which the archive must hold."""
    with archive.open(member) as file:
        shape, dtype = _header(file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.names or size > member.file_size:
        came = "objects" if dtype.hasobject else "a table" if dtype.names else f"{member.file_size} of {size} bytes"
        raise ValueError(f"{member.filename} holds {came}")
    return size


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"an array of layout {version}")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array."""
    with archive.open(member) as file:
        array = npy.read_array(file, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # torch knows no other byte order
