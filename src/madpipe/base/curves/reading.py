"""Curves from files of any format, alone or as one series."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from madpipe.base import store
from madpipe.base.curves.archive import read_npz
from madpipe.base.curves.cansas_xml import read_xml
from madpipe.base.curves.checks import in_order, per_cm_or_none, with_errors, with_units, with_widths, without_empty
from madpipe.base.curves.hdf5 import read_hdf5
from madpipe.base.curves.names import natural
from madpipe.base.curves.noise import are_counts
from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.records import Curves
from madpipe.base.curves.series import joined
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.curves.tables import decoded
from madpipe.base.curves.text import read_text
from madpipe.base.errors import InputError
from madpipe.base.files import require_file, require_memory
from madpipe.base.warned import keeping, warn

_OWN = "entry_1/data_1/absolute"  # of a file of Curves
_TEXT_SAMPLE = 65536  # bytes
_MOST_FILES = 100000
_KNOWN = "text, canSAS XML, NXcanSAS or other HDF5, .npz, RAW's series or REGALS' .mat"
_BINARIES = (
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "compressed: run gunzip first"),
    (b"BZh", "compressed: run bunzip2 first"),
    (b"\xfd7zXZ", "compressed: run unxz first"),
    (b"II*\0", "an image: reduce it to a curve first"),
    (b"MM\0*", "an image: reduce it to a curve first"),
    (b"\x89PNG", "a picture"),
    (b"MATLAB 5.0", "an old MATLAB file: save it with -v7.3"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file: export text"),
)


@keeping
def read_curves(paths: Sequence[str | Path], settings: CurvesSettings | None = None) -> Curves:
    """Read the curves of one file, or those of several as one series.

    Parameters
    ----------
    paths:
        Files of any format that is known, or a folder of them; their content says which format it is.
    settings:
        What the files do not say.

    Returns
    -------
    :
        Curves in 1/angstrom and, where the unit is known, 1/cm; what was assumed stands in their warnings.

    Raises
    ------
    InputError
        One line: the file, what is required, what came, what to do.
    """
    settings = settings or CurvesSettings()
    files = _files(paths)
    if len(files) == 1 and store.holds(files[0], _OWN) and not (settings.path or settings.energies or settings.times):
        return store.read(files[0], Curves)
    found: list[RawCurves] = []
    scales: list[bool] = []
    for path in files:
        try:
            for raw in _chosen(entries_of(path, settings), settings.entry):
                one, is_absolute = _prepared(raw, settings)
                found.append(one)
                scales.append(is_absolute)
        except InputError as error:
            raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
    if len(set(scales)) > 1:
        raise InputError(
            f"a series needs one scale; {sum(scales)} of {len(scales)} curves are in 1/cm, the others are not; give "
            "--absolute (the key unit_intensity)."
        )
    return joined(found, scales[0], settings, [path.stem for path in files])


def entries_of(path: str | Path, settings: CurvesSettings | None = None) -> list[RawCurves]:
    """Read every curve of one file, in the file's own units.

    Raises
    ------
    InputError
        No such file, or a format that is not read.
    """
    settings = settings or CurvesSettings()
    path = require_file(path, "file of curves")
    if h5py.is_hdf5(path):
        if store.holds(path, _OWN) and not settings.path:
            return [_own(path)]
        return read_hdf5(str(path), path.stem, settings.path)
    if settings.path is not None:
        raise InputError("--path (the key path) names datasets of an HDF5 file; this is none; leave it out.")
    require_memory(str(path), 4 * path.stat().st_size)
    content = path.read_bytes()
    if content.startswith(b"PK"):
        return read_npz(content, path.stem)
    _refuse_binary(content)
    text = decoded(content)
    start = text.lstrip("\ufeff \t\r\n")[:200000]
    if start.startswith("<") and (
        "SASroot" in start or "<?xml" in start[:100] or start.lower().startswith("<!doctype")
    ):
        return read_xml(text, path.stem)
    return read_text(text, path.stem, path.suffix, settings.columns or ())


def _own(path: Path) -> RawCurves:
    """Curves that madpipe wrote, as an entry to be joined with others."""
    curves = store.read(path, Curves)
    unit = "1/cm" if curves.absolute else "arbitrary"
    intensity = np.where(np.isfinite(curves.sigma), curves.intensity, np.nan)
    found = RawCurves(path.stem, curves.q, intensity, curves.sigma, curves.dq, None, None, "1/angstrom", unit)
    names = tuple(curves.names.splitlines())
    return replace(found, names=names, title=curves.title, energy=curves.energy, time=curves.time)


def _files(paths: Sequence[str | Path]) -> list[Path]:
    """Files that are named, and those of folders in the order that numbers in their names mean."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted((one for one in path.iterdir() if one.is_file()), key=lambda one: natural(one.name))
            found += [one for one in inside if not one.name.startswith((".", "README", "LICENSE"))]
        else:
            found.append(path)
    if not found or len(found) > _MOST_FILES:
        raise InputError(f"curves need between 1 and {_MOST_FILES} files; {len(found)} came; name the files.")
    return found


def _refuse_binary(content: bytes) -> None:
    """Refuse what is no text."""
    if not content.strip(b"\0 \t\r\n"):
        raise InputError(f"needs {_KNOWN}; the file is empty; make it again.")
    for mark, told in _BINARIES:
        if content.startswith(mark):
            raise InputError(f"needs {_KNOWN}; it is {told}.")
    sample = content[:_TEXT_SAMPLE]
    is_wide = sample.startswith((b"\xff\xfe", b"\xfe\xff")) or (sample[1:2] == b"\0" and sample[3:4] == b"\0")
    controls = sum(sample.count(bytes([one])) for one in range(32) if one not in (9, 10, 11, 12, 13, 26))
    if not is_wide and controls > len(sample) / 50:
        raise InputError(f"needs {_KNOWN}; it is another binary file; export text.")


def _chosen(entries: list[RawCurves], told: str | None) -> list[RawCurves]:
    """The entry that the person names, all of them for "all", or the only one."""
    if told == "all":
        return entries
    names = [one.name for one in entries]
    if told is not None:
        if told in names and names.count(told) == 1:
            return [entries[names.index(told)]]
        if told.isdecimal() and 1 <= int(told) <= len(entries):
            return [entries[int(told) - 1]]
    if len(entries) == 1 and told is None:
        return entries
    some = "; ".join(
        f"{number}: {one.name[:60]} ({len(one.intensity)} x {len(one.q)} points)"
        for number, one in enumerate(entries[:20], 1)
    )
    came = "none was chosen" if told is None else f"{told!r} came"
    raise InputError(f"holds {len(entries)} entries, of which one is needed; {came}; say --entry with one of {some}.")


def _prepared(raw: RawCurves, settings: CurvesSettings) -> tuple[RawCurves, bool]:
    """One entry in the studies' units and order, with errors."""
    for note in raw.notes:
        warn(f"{raw.name}: {note}.")
    says_counts = raw.intensity_unit.strip().lower().startswith(("count", "cts", "photon")) and bool(
        per_cm_or_none(raw.intensity_unit) is None and settings.unit_intensity is None
    )
    is_unsaid = not raw.intensity_unit.strip() and settings.unit_intensity in (None, "arbitrary")
    raw, is_absolute = with_units(raw, settings)
    is_counted = says_counts or (is_unsaid and raw.sigma is None and are_counts(raw.q, raw.intensity))
    return with_errors(with_widths(in_order(without_empty(raw)), settings), is_counted), is_absolute
