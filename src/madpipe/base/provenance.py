"""Where a result comes from: the code that made it, module by module, its inputs, versions, git commit, date."""

import ast
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from madpipe.base import remembered

_ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
_PACKAGE = "madpipe"
_LIBRARIES = (
    "gemmi",
    "h5py",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "scikit-image",
    "scipy",
    "snakemake",
    "torch",
    "xraydb",
    "xraylib",
)
_PLACES = ("checkpoint",)  # parameters that say where a job writes, not what


@runtime_checkable
class Job(Protocol):
    """What a workflow hands a job's script, as far as its results depend on it."""

    rule: str
    wildcards: Any
    params: Any
    input: Any
    output: Any


def module_path(module: str) -> Path:
    """Find the source file of a module of this package without importing it."""
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str) -> set[str]:
    """Name the modules of the package that run when one is imported: those it names and all parent packages."""
    return {name for name in _mentioned(module) if module_path(name).is_file()} - {module}


def _mentioned(module: str) -> set[str]:
    """Name whatever may be a module that runs when one is imported: itself, what it imports and all parents."""
    return {name for one in (module, *_source(*_stamped(module)).names) for name in _lineage(one)}


def _lineage(name: str) -> list[str]:
    """Name the packages above a module, and itself: a, a.b, a.b.c."""
    words = name.split(".")
    return [".".join(words[:depth]) for depth in range(1, len(words) + 1)]


def closure(*modules: str) -> list[str]:
    """Name the modules given and every module of the package that they import, directly or not."""
    is_there = dict.fromkeys(modules, True)
    queue = list(modules)
    while queue:
        for name in _mentioned(queue.pop()) - is_there.keys():
            is_there[name] = module_path(name).is_file()
            if is_there[name]:
                queue.append(name)
    return sorted(name for name in is_there if is_there[name])


def fingerprint(*modules: str) -> str:
    """Hash the modules and all of the package that they import, less comments, docstrings and layout.

    Editing code changes it; a comment, a docstring, blank lines or a touch do not.
    """
    files = {name: _stamped(name) for name in closure(*modules)}
    key = _hash("".join(f"{name}\0{_source(*file).key}\0" for name, file in files.items()))
    found = remembered.recall(key)
    if found is None:
        found = _hash("".join(f"{name}\0{_code(*file)}\0" for name, file in files.items()))[:16]
        remembered.remember(key, found)
    remembered.save()
    return found


def code_of(*modules: str) -> str:
    """Name the modules, then their fingerprint: what a result states as its code."""
    return " ".join([*modules, fingerprint(*modules)])


def digests(*modules: str) -> dict[str, str]:
    """Hash each of the modules, and of those that they import, by itself, less comments, docstrings and layout.

    Raises
    ------
    FileNotFoundError
        One of them is no module of the package.
    """
    found = {name: _source(*_stamped(name)).digest for name in closure(*modules)}
    remembered.save()
    return found


def file_digest(path: str | Path) -> str:
    """Hash a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def input_name(path: str | Path, output: str | Path) -> str:
    """Name an input without telling where this machine keeps it: from its output's folder, or by its name alone.

    The first is for results, which stay together when their folder is moved. A file of the package is named from the
    package on, measured data, which a relative output has by an absolute path, by their name.
    """
    path, output = Path(path), Path(output)
    if path.is_relative_to(_ROOT / _PACKAGE):
        return path.relative_to(_ROOT).as_posix()
    if path.is_absolute() and not output.is_absolute():
        return path.name
    return Path(os.path.relpath(path, output.parent)).as_posix()


@dataclass(frozen=True)
class _Source:
    """What is known of a file: its name among what is remembered, its code's hash, modules that it may import."""

    key: str
    digest: str
    names: tuple[str, ...]


def _stamped(module: str) -> tuple[Path, int, int]:
    """Give a module's file, its size and the time of its last change: an edited file is another entry of the caches."""
    path = module_path(module)
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


@cache
def _source(path: Path, size: int, stamp: int) -> _Source:
    """What is known of a file; it is parsed only where no run before met the same bytes.

    The bytes tell, not size and time: images of containers give all files one time. To read them costs 0.1 ms a file.
    """
    key = _hash(_maker() + path.read_text(encoding="utf-8"))
    found = remembered.recall(key)
    if found is None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = " ".join([_hash(_code(path, size, stamp))[:8], *sorted(_named(tree))])
        remembered.remember(key, found)
    digest, *names = found.split(" ")
    return _Source(key, digest, tuple(names))


@cache
def _maker() -> str:
    """What the hash of a code depends on beside it: how Python and this file write it down."""
    return f"{platform.python_version()}\0{Path(__file__).read_text(encoding='utf-8')}\0"


def _hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _named(tree: ast.Module) -> set[str]:
    """Every name of this package that a file's import statements mention, which may be a module's."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == _PACKAGE}


@cache
def _code(path: Path, size: int, stamp: int) -> str:
    """A file's syntax without docstrings, comments and layout, as text."""
    return ast.dump(_without_docstrings(ast.parse(path.read_text(encoding="utf-8"))))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Drop the docstring of the module and of each class and function in it."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def git_commit() -> str:
    """Name the commit of the checkout that the package lies in, or say that there is none."""
    return _git("rev-parse", "--short=12", "HEAD") or "not in a git checkout"


def _git(*words: str) -> str:
    """Answer of a git command, empty where there is none; an installed package lies in no checkout of its own."""
    if _ROOT.name in ("site-packages", "dist-packages"):
        return ""
    try:
        done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that numbers depend on; Snakemake's where it is installed."""
    found = {"python": platform.python_version()}
    for name in (_PACKAGE, *_LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def date() -> str:
    """Date of a result: SOURCE_DATE_EPOCH, else the commit's; not the clock's, so that reruns are equal."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or _git("show", "-s", "--format=%ct", "HEAD") or "0"
    return datetime.datetime.fromtimestamp(int(seconds), tz=datetime.UTC).isoformat()


def process(
    parameters: Mapping[str, Any],
    *,
    output: str | Path | None = None,
    inputs: Iterable[str | Path] = (),
    **about: Any,
) -> dict[str, str]:
    """Describe the process that makes a file, for NXprocess: program, version, date, and all else as JSON in note_1.

    Parameters
    ----------
    parameters:
        What the process was told. Where ``code`` names modules (:func:`code_of`), each of them and of those they
        import is hashed too, so that whoever compares can name the one that changed.
    output:
        What is made, or the first of it; inputs are named from its folder.
    inputs:
        What it is made from: names (:func:`input_name`) and hashes are kept.
    about:
        Whatever else is to be kept.
    """
    modules = str(parameters.get("code", "")).split()[:-1]
    note = {
        "parameters": {name: value for name, value in parameters.items() if name not in _PLACES},
        "modules": digests(*modules),
        "inputs": {input_name(path, output or path): file_digest(path) for path in inputs if Path(path).is_file()},
        "versions": versions(),
        "git_commit": git_commit(),
        **about,
    }
    return {
        "program": _PACKAGE,
        "version": importlib.metadata.version(_PACKAGE),
        "date": date(),
        "note_1": json.dumps(note, sort_keys=True, default=str),
    }


def process_of(job: Job, inputs: Iterable[str | Path] | None = None) -> dict[str, str]:
    """Describe a workflow's job: rule and wildcards, what it was told, code, and its inputs or those named.

    The parameter ``config_keys``, where a rule has it, names the key of the configuration that each of its other
    parameters was taken from; it is kept beside them, so that whoever compares knows what with.
    """
    told = dict(job.params.items())
    keys = told.pop("config_keys", {})
    about = {"rule": job.rule, "wildcards": dict(job.wildcards.items()), "config_keys": dict(keys)}
    given = list(job.input) if inputs is None else inputs
    return process(told, output=job.output[0], inputs=given, **about)
