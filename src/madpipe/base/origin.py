"""Read from any of our files who made it and how: HDF5, weights, JSON, PDF and PNG carry it themselves.

A table (.csv) and reflections (.mtz) are made together with the JSON of the same name, a caption (.txt) with the PDF:
theirs is read.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError, safe_open

from madpipe.base import store
from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file, require_memory

Origin = dict[str, Any]
BESIDE = {".csv": ".json", ".mtz": ".json", ".txt": ".pdf"}
_KEYWORDS = re.compile(rb"/Keywords \(((?:[^\\()]|\\.)*)\)", re.DOTALL)
_READ_WHOLE = (".json", ".expt", ".pdf")
_PROGRAM = "madpipe"
_NOTED = ("parameters", "modules", "inputs", "versions", "config_keys", "wildcards")  # mappings, in note_1
_WEIGHTS_KEY = "madpipe"  # as in base.weights, which does not import this: whoever edits here retrains nothing


def read_origin(path: str | Path) -> Origin:
    """Give program, version, date and, under ``note_1``, all else that a file states about its making.

    Empty where it states nothing: another program's file.

    Raises
    ------
    InputError
        No such file, it is damaged, or of a kind that carries nothing.
    """
    path = Path(path)
    carrier = path.with_suffix(BESIDE[path.suffix]) if path.suffix in BESIDE else path
    if not carrier.exists():
        raise InputError(f"{path}: needs the existing file {carrier}; there is none; check the path.")
    require_file(carrier)
    if carrier.suffix in _READ_WHOLE:
        require_memory(str(carrier), carrier.stat().st_size)
    reader = store.read_process if h5py.is_hdf5(carrier) else READERS.get(carrier.suffix)
    if reader is None:
        raise InputError(f"{path}: needs HDF5 or a file of {', '.join([*READERS, *BESIDE])}; got {path.suffix!r}.")
    try:
        found = reader(carrier)
        note = found.get("note_1")
        found = {**found, "note_1": json.loads(note)} if isinstance(note, str) else found
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, RecursionError, SafetensorError, UnidentifiedImageError) as error:
        raise InputError(f"{carrier}: needs a complete file; got: {one_line(error)}; make it again.") from error
    if not is_origin(found):
        raise InputError(
            f"{carrier}: needs what madpipe notes of its making; something else stands there; make it again."
        )
    return found


def is_origin(found: object) -> bool:
    """Tell whether what stands in a file's place for its making is ours, or nothing."""
    note = found.get("note_1", {}) if isinstance(found, dict) else None
    return isinstance(note, dict) and all(isinstance(note.get(name, {}), dict) for name in _NOTED)


def is_own(path: str | Path) -> bool:
    """Tell whether madpipe has made a file, by what the file itself states; volumes (.vti) count as such."""
    path = Path(path)
    if path.suffix == ".vti":
        return True
    try:
        if h5py.is_hdf5(path) and store.root_attribute(path, "creator") == _PROGRAM:
            return True
        with path.open("rb") as file:
            if file.readline(80).startswith(b"# madpipe"):
                return True
        return read_origin(path).get("program") == _PROGRAM
    except (InputError, OSError):
        return False


def weights_header(path: str | Path) -> Origin:
    """Read what stands before the tensors of a weights' file."""
    with safe_open(path, "np") as opened:
        header = json.loads((opened.metadata() or {}).get(_WEIGHTS_KEY, "{}"))
    return header if isinstance(header, dict) else {}


def _of_weights(path: Path) -> Origin:
    """Process in the header of weights."""
    found: Origin = weights_header(path).get("process", {})
    return found


def _of_json(path: Path) -> Origin:
    """Process in a JSON mapping."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content.get("process", {}) if isinstance(content, dict) else {}
    return found if isinstance(found, dict) else {}


def _of_png(path: Path) -> Origin:
    """Process in a PNG's comment."""
    with Image.open(path) as image:
        return _parsed(image.info.get("Comment", ""))


def _of_pdf(path: Path) -> Origin:
    """Process in a PDF's keywords, where :func:`madpipe.base.plotting.save` puts it as ASCII."""
    found = _KEYWORDS.search(path.read_bytes())
    return _parsed(re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL).decode("latin-1") if found else "")


def _parsed(text: str) -> Origin:
    """JSON of ours; anything else is another program's."""
    if not text.startswith("{"):
        return {}
    found: Origin = json.loads(text)
    return found


READERS: dict[str, Callable[[Path], Origin]] = {
    ".h5": store.read_process,
    ".nxs": store.read_process,
    ".safetensors": _of_weights,
    ".json": _of_json,
    ".expt": _of_json,
    ".pdf": _of_pdf,
    ".png": _of_png,
}
