"""Which results are stale, and why: each file's own account of its making beside today's code, configuration, inputs.

Only the files are asked, and the package that is installed; Snakemake is not needed, nor its notes of the run.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import madpipe
from madpipe.base import provenance
from madpipe.base.config import dropped_nulls, input_files, merge, plain, read_yaml, validate, value_at
from madpipe.base.errors import InputError
from madpipe.base.origin import BESIDE, READERS, Origin, is_own, read_origin
from madpipe.config import DEFAULT, Config, Shared

_PACKAGES = Path(madpipe.__file__).parents[1]
_NAMED = 4  # of the changed modules or keys, the rest is counted
_GONE = "absent"


@dataclass(frozen=True)
class Verified:
    """What is known of one file."""

    path: Path
    reasons: tuple[str, ...] = ()  # why it is stale
    unknown: tuple[str, ...] = ()  # what could not be compared
    is_anothers: bool = False  # no word of madpipe in it


@dataclass
class _Run:
    """All that the files of one folder are compared with; what was found out is kept."""

    settings: Shared | None
    values: Mapping[str, Any] | None  # the same, as the rules hand it to their jobs
    digests: dict[Path, str] = field(default_factory=dict)
    verified: dict[Path, Verified] = field(default_factory=dict)
    modules: dict[tuple[str, ...], dict[str, str] | None] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)

    def digest(self, path: Path) -> str:
        """Hash a file once."""
        if path not in self.digests:
            self.digests[path] = provenance.file_digest(path)
        return self.digests[path]


def settings_of(folder: Path, overlays: list[str]) -> Shared | None:
    """Give the configuration that results are compared with.

    That which lies beside the results as config.yaml; overlays, where any are named, are laid over the default
    configuration instead, as Snakemake's ``--configfile`` does.

    Raises
    ------
    InputError
        One of them is no valid configuration.
    """
    beside = folder / "config.yaml"
    if not overlays and not beside.is_file():
        return None
    values: dict[str, Any] = DEFAULT.model_dump(by_alias=True, exclude_unset=True) if overlays else {}
    for path in overlays or [str(beside)]:
        values = merge(values, read_yaml(path))
    return validate(Config, dropped_nulls(values))


def verify(folder: str | Path, settings: Shared | None) -> tuple[list[Verified], list[str]]:
    """Compare every result below a folder with today's code, a configuration and the inputs as they lie there.

    Parameters
    ----------
    folder:
        Results, moved or not.
    settings:
        From :func:`settings_of`; None compares no configuration.

    Returns
    -------
    :
        Each file in the order of its name, and how the versions of libraries differ, which makes nothing stale.

    Raises
    ------
    InputError
        No such folder, or no results of madpipe in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: verify needs a folder of results; there is none; check the path.")
    run = _Run(settings, plain(settings) if settings else None)
    kinds = {*READERS, *BESIDE}
    logs = folder / _logs(settings)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in kinds and not path.name.startswith("."))
    paths = [path for path in paths if logs not in path.parents]
    if not paths:
        raise InputError(f"{folder}: verify needs results; no file of {', '.join(sorted(kinds))} came; check the path.")
    found = [replace(_verified(path, run), path=path) for path in paths]
    if all(one.is_anothers for one in found):
        raise InputError(
            f"{folder}: verify needs results of madpipe; none of its {len(found)} files says how it was made; check "
            "the path."
        )
    return found, [f"{change} ({count} files)" for change, count in sorted(run.versions.items())]


def _logs(settings: Shared | None) -> str:
    """Where below the results the logs lie, whose tables of times are no results."""
    return os.path.relpath(settings.logs, settings.results) if settings else "logs"


def in_words(found: Sequence[Verified], versions: Sequence[str]) -> Iterator[str]:
    """Give a line for each result that is stale or unknown, files of one name and fate together, and the sum."""
    alike: dict[tuple[Path, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for one in found:
        alike.setdefault((one.path.with_suffix(""), one.reasons, one.unknown), []).append(one.path.suffix)
    for (stem, reasons, unknown), suffixes in alike.items():
        if reasons or unknown:
            name = f"{stem}{suffixes[0]}" if len(suffixes) == 1 else f"{stem}{{{','.join(suffixes)}}}"
            yield f"{'stale' if reasons else 'unknown'}: {name}: {'; '.join([*reasons, *unknown])}"
    yield from (f"versions differ: {change}" for change in versions)
    stale = sum(bool(one.reasons) for one in found)
    unsure = sum(bool(one.unknown) and not one.reasons for one in found)
    yield f"{len(found)} files: {stale} stale, {unsure} unknown, {len(found) - stale - unsure} up to date"


def _verified(path: Path, run: _Run) -> Verified:
    """Find out about one file, once; its inputs first."""
    place = path.resolve()
    if place not in run.verified:
        run.verified[place] = Verified(path)  # whoever asks meanwhile goes round in a circle
        run.verified[place] = _compared(path, run)
    return run.verified[place]


def _compared(path: Path, run: _Run) -> Verified:
    """Compare one file."""
    if path.suffix in BESIDE and not path.with_suffix(BESIDE[path.suffix]).exists():
        return Verified(path, unknown=(f"no {path.stem}{BESIDE[path.suffix]} beside it says how",), is_anothers=True)
    try:
        origin = read_origin(path)
    except InputError as error:
        return Verified(path, reasons=(f"damaged: {error}",), is_anothers=not path.is_file())
    note = origin.get("note_1", {})
    if not {"modules", "parameters", "inputs"} <= note.keys():
        return Verified(path, unknown=("does not say how it was made",), is_anothers=not is_own(path))
    run.versions.update(_version_changes(note.get("versions", {})))
    reasons = [*_code_changes(note, run), *_config_changes(note, run)]
    unknown: list[str] = []
    for name, digest in note["inputs"].items():
        _compare_input(path, name, digest, note, run, reasons, unknown)
    return Verified(path, tuple(reasons), tuple(unknown))


def _version_changes(made_with: Mapping[str, str]) -> list[str]:
    """Libraries whose version differs from today's."""
    today = provenance.versions()
    both = made_with.keys() & today.keys()
    return [f"{name} {made_with[name]} -> {today[name]}" for name in both if made_with[name] != today[name]]


def _code_changes(note: Origin, run: _Run) -> Iterator[str]:
    """Modules that have changed, come or gone since."""
    roots = tuple(str(note["parameters"].get("code", "")).split()[:-1])
    if roots not in run.modules:
        try:
            run.modules[roots] = provenance.digests(*roots)
        except FileNotFoundError:
            run.modules[roots] = None
    today, then = run.modules[roots], note["modules"]
    if today is None:
        yield f"code changed: {' or '.join(roots)} is gone"
        return
    changed = sorted(name for name in then.keys() | today.keys() if then.get(name) != today.get(name))
    if changed:
        yield f"code changed: {_some(changed)}"


def _config_changes(note: Origin, run: _Run) -> Iterator[str]:
    """Keys of the configuration that a job's parameters came from, as it says, and that say something else by now."""
    if run.values is None:
        return
    changed: list[str] = []
    for name, words in note.get("config_keys", {}).items():
        changed += _differences(".".join(words), note["parameters"][name], value_at(run.values, words))
    if changed:
        yield f"config changed: {_some(changed)}"


def _differences(key: str, then: Any, now: Any) -> Iterator[str]:
    """Each key below one that differs: from what to what."""
    if then == now:
        return
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in sorted(then.keys() | now.keys()):
            yield from _differences(f"{key}.{name}", then.get(name), now.get(name))
    else:
        yield f"{key} {_in_words(then)} -> {_in_words(now)}"


def _in_words(value: Any) -> str:
    """Write a value of the configuration, shortened."""
    text = _GONE if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _some(names: list[str]) -> str:
    """Join the first few names."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _compare_input(
    path: Path, name: str, digest: str, note: Origin, run: _Run, reasons: list[str], unknown: list[str]
) -> None:
    """Compare one input of a file with what it was: its content, and whether it is itself stale."""
    found = _input_path(path, name, note, run)
    if found is None:
        unknown.append(f"input {name} is not at hand")
    elif run.digest(found) != digest:
        reasons.append(f"input changed: {name}")
    elif found.suffix in READERS and not found.is_relative_to(_PACKAGES) and _verified(found, run).reasons:
        reasons.append(f"input is stale: {name}")


def _input_path(path: Path, name: str, note: Origin, run: _Run) -> Path | None:
    """Find an input: in the package, from its output's folder, or where the configuration says that it was measured."""
    study, sample = note.get("rule", "").partition("_")[0], note.get("wildcards", {}).get("sample", "")
    section = getattr(getattr(run.settings, study, None), "samples", {}).get(sample)
    named = [file for files in input_files(section).values() for file in files] if section else []
    measured = [file for file in named if Path(file).name == name]
    places = [_PACKAGES / name, path.parent / name, *map(Path, measured)]
    return next((place.resolve() for place in places if place.is_file()), None)
