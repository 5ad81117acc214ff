"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from madpipe.base.errors import InputError, one_line


@contextmanager
def room_for(path: str | Path) -> Iterator[None]:
    """Turn what the system says when something cannot be written for path into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: needs a writable disk with room for the whole file; got: {one_line(error)}; "
            "free some space or choose another place. A file that was there before is unchanged."
        ) from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside path; it takes path's place when the block ends well, else it vanishes.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    path = Path(path)
    with room_for(path), _temporary_file(path) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """Make an empty file beside path, removed at the end unless it was moved away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """Permissions that new files lack; it can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
