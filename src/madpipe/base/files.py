"""Files that a person names: what is read is an ordinary file and fits into memory, what is written replaces no input.

Checked before any work is done: a fit of an hour must not end at a folder's name.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from madpipe.base.errors import InputError, one_line, printable

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LONGEST_NAME = 230  # bytes; file systems take 255, some of which the temporary file needs
_MEMORY = Path("/proc/meminfo")  # of Linux
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")  # of a container


def require_file(path: str | Path, kind: str = "file") -> Path:
    """Give a path that is an ordinary file, or a link to one, and may be read.

    Parameters
    ----------
    path:
        As the person named it.
    kind:
        What is needed, in words.

    Raises
    ------
    InputError
        There is none, it is a folder, a pipe or a device, or its permissions do not allow reading.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        came = "it is a link to nothing" if path.is_symlink() else "there is none"
        raise InputError(f"{path}: needs an existing {kind}; {came}; check the path.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: needs an existing {kind}; got: {one_line(error)}; check the path.") from error
    if not stat.S_ISREG(mode):
        came = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"{path}: needs an existing {kind}; it is {came}; name a file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: needs a {kind} that you may read; its permissions forbid it; ask its owner.")
    return path


def require_outputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """Refuse to write where something would be lost, or where nothing can be written.

    Parameters
    ----------
    outputs:
        Every file that is going to be written.
    inputs:
        Every file that is read for it.

    Raises
    ------
    InputError
        An output is one of the inputs, in whatever spelling or by a link; two outputs are one file; it is a folder; no
        file can be made in its folder.
    """
    outputs = list(outputs)
    for number, output in enumerate(outputs):
        require_place(output)
        require_apart(output, inputs)
        if any(is_same_file(output, other) for other in outputs[:number]):
            raise InputError(f"{output}: is to be written twice; name each output differently.")


def require_apart(output: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse an output that is one of the inputs, in whatever spelling or by a link.

    Raises
    ------
    InputError
        It is one.
    """
    for path in inputs:
        if is_same_file(output, path):
            raise InputError(
                f"{output}: needs a name of its own; it is the input {path}, which would be lost; name another output."
            )


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Tell whether two paths are one file: by spelling, by symbolic or hard links, or by what a file system ignores."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def require_place(path: str | Path) -> None:
    """Refuse a path at which no file can be written; folders that are missing can be made.

    Raises
    ------
    InputError
        It is empty, a folder or a device, its name is too long or not printable, or its folder, or the next one above
        that exists, is a file or may not be written.
    """
    name = printable(path)
    if name != str(path) or not str(path).strip():
        raise InputError(f"{name!r}: needs a file's name of printable characters to write to; name the output so.")
    path = Path(path)
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise InputError(f"{name[:60]}...: needs a name of at most {_LONGEST_NAME} bytes to write to; shorten it.")
    try:
        if str(path) in (".", "..") or os.path.isdir(path):
            raise InputError(f"{name}: needs a file's name to write to; it is a folder; add a name to it.")
        if os.path.lexists(path) and path.exists() and not path.is_file():
            raise InputError(f"{name}: needs a file's name to write to; it is no ordinary file; name another.")
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        may_write = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise InputError(f"{name}: needs a file's name to write to; got: {one_line(error)}; name another.") from error
    if not may_write:
        came = "may not be written" if folder.is_dir() else "is no folder"
        raise InputError(f"{name}: needs a folder that can be written; {folder} {came}; choose another.")


def require_memory(what: str, size: int) -> None:
    """Refuse to read what does not fit into the memory that is free.

    Parameters
    ----------
    what:
        File and array, in words.
    size:
        What it states to need [byte].

    Raises
    ------
    InputError
        It is larger than the free memory.
    """
    free = free_memory()
    if size > free:
        raise InputError(
            f"{what}: needs {_in_gib(size)} of memory, as it states; {_in_gib(free)} are free; crop or bin the data, "
            "or write it again if it is not so large."
        )


def free_memory() -> int:
    """Memory that can be taken without swapping, also inside a container [byte]."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        said = dict(line.split(":", 1) for line in _MEMORY.read_text(encoding="ascii").splitlines())
        free = min(free, 1024 * int(said["MemAvailable"].split()[0]))
        free = min(free, int(_LIMIT.read_text(encoding="ascii")) - int(_USED.read_text(encoding="ascii")))
    except (OSError, KeyError, ValueError):  # another system, or no limit
        return free
    return max(free, 0)


def _in_gib(size: int) -> str:
    """A size in words."""
    return f"{size / 2**30:.3g} GiB"
