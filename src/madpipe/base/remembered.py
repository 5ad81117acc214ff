"""What earlier runs found out about source files, in one small file of the user's cache folder.

It only saves time: a file that is missing, damaged or cannot be written is as good as an empty one. Runs at the same
time may overwrite each other's latest entries, which are then found out once more, and never read half a file.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_MOST = 2000  # entries, half a megabyte; the oldest are forgotten
_unsaved: dict[str, str] = {}


def recall(key: str) -> str | None:
    """Give what is remembered under a key; None where nothing is."""
    place = _place()
    return _unsaved.get(key) or (None if place is None else _read_once(place).get(key))


def remember(key: str, found: str) -> None:
    """Note what was found out; :func:`save` writes it."""
    _unsaved[key] = found


def save() -> None:
    """Add what was noted to the file, where it can be written."""
    place = _place()
    if not _unsaved:
        return
    if place is not None:
        known = {**_read(place), **_unsaved}
        _write(place, dict(list(known.items())[-_MOST:]))
        _read_once(place).update(_unsaved)
    _unsaved.clear()


def _place() -> Path | None:
    """The file, in XDG_CACHE_HOME or ~/.cache; None where there is no home."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        return folder.expanduser() / "madpipe" / "modules"
    except RuntimeError:
        return None


@cache
def _read_once(place: Path) -> dict[str, str]:
    """What the file held when this process first asked, and what it has found out since."""
    return _read(place)


def _read(place: Path) -> dict[str, str]:
    """Content of the file; nothing where its first line is not the hash of the rest."""
    try:
        digest, _, content = place.read_bytes().partition(b"\n")
    except OSError:
        return {}
    is_whole = digest == _digest(content)
    return json.loads(content) if is_whole else {}


def _write(place: Path, known: Mapping[str, str]) -> None:
    """Replace the file by a whole new one, or leave it as it is."""
    content = json.dumps(known).encode()
    temporary = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
            temporary = Path(file.name)
            file.write(_digest(content) + b"\n" + content)
        temporary.replace(place)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _digest(content: bytes) -> bytes:
    """Hash that tells whether a content is as it was written."""
    return hashlib.sha256(content).hexdigest().encode()
