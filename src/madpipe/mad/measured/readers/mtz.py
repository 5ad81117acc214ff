"""Merged reflections from MTZ, Friedel mates apart: intensities or amplitudes of each dataset."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import gemmi
import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.measured.readers.reflections import ReflectionList
from madpipe.physics.crystal import HC

_END = b"MTZENDOFHEADERS"
_TAIL = 8192  # bytes at the end of an MTZ file that hold the end of its header
_KINDS = {"KM": ("I(+)", "SIGI(+)", "I(-)", "SIGI(-)"), "GL": ("F(+)", "SIGF(+)", "F(-)", "SIGF(-)")}  # by types
_MINUS = re.compile(r"\(-\)|minus|-$", re.IGNORECASE)
_PLUS = re.compile(r"\(\+\)|plus|\+$", re.IGNORECASE)
_Key = tuple[str, int]  # a column's type and its Friedel sign


def read_mtz(path: Path) -> list[ReflectionList]:
    r"""Read I(+), I(-) and their sigmas, else F(+), F(-), of every dataset of a merged MTZ file that has them.

    The photon energy is hc over the dataset's wavelength where there is one. Programs write I(+) of a centric
    reflection twice: the copy is left out. Amplitudes become :math:`I = F^2` with
    :math:`\sigma_I^2 = 4 F^2 \sigma^2 + 2 \sigma^4`, which holds for small F too. Of several columns of one kind in a
    dataset, those are taken whose label has the dataset's name as a word (``I(+)_pk`` of the dataset pk).

    Warns
    -----
    DataWarning
        Amplitudes; columns that were told apart by their labels.

    Raises
    ------
    InputError
        Not MTZ or truncated, unmerged, no dataset with Friedel mates and both sigmas, or several columns of one kind.
    """
    mtz = _opened(path)
    lists = [found for dataset in mtz.datasets if (found := _dataset(path, mtz, dataset)) is not None]
    if not lists:
        mean = list(dict.fromkeys(column.label for column in mtz.columns if column.type in "JF"))
        advice = f"{', '.join(mean)} are means over Friedel mates; " if mean else ""
        raise InputError(
            f"{path}: needs columns {', '.join(_KINDS['KM'])}, types K and M, or {', '.join(_KINDS['GL'])}, types G "
            f"and L; it has {', '.join(f'{column.label}:{column.type}' for column in mtz.columns)}; {advice}merge "
            "with Friedel mates apart."
        )
    return lists


def _opened(path: Path) -> gemmi.Mtz:
    """A merged MTZ file, whole."""
    try:
        if _END not in path.read_bytes()[-_TAIL:]:
            raise ValueError("no end of its header, which closes the file")
        mtz = gemmi.read_mtz_file(str(path))
        _ = [(column.label, column.type) for column in mtz.columns]  # here they become text, or fail to
        _ = [(dataset.dataset_name, dataset.crystal_name) for dataset in mtz.datasets]
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: needs a complete MTZ file; got: {' '.join(str(error).split())[:200]}; copy or write it again."
        ) from error
    if len(mtz.batches) > 0:
        raise InputError(f"{path}: needs merged intensities; it has {len(mtz.batches)} batches; merge it first.")
    return mtz


def _dataset(path: Path, mtz: gemmi.Mtz, dataset: gemmi.Mtz.Dataset) -> ReflectionList | None:
    """Intensities of one dataset of an MTZ file, or None where it has none."""
    own = [column for column in mtz.columns if column.dataset_id == dataset.id]
    source = f"{path} ({dataset.dataset_name})"
    for types in _KINDS:
        named: dict[_Key, list[gemmi.Mtz.Column]] = {}
        for column in own:
            if column.type in types and _sign_in(column.label):
                named.setdefault((column.type, _sign_in(column.label)), []).append(column)
        if {(kind, sign) for kind in types for sign in (1, -1)} <= set(named):
            values = {key: np.array(column, dtype=float) for key, column in _single(source, dataset, named).items()}
            return _list_of(source, mtz, dataset, _intensities(source, values, types))
    return None


def _single(
    source: str, dataset: gemmi.Mtz.Dataset, named: Mapping[_Key, Sequence[gemmi.Mtz.Column]]
) -> dict[_Key, gemmi.Mtz.Column]:
    """One column of each kind: the only one, or the one that bears the dataset's name."""
    if all(len(columns) == 1 for columns in named.values()):
        return {key: columns[0] for key, columns in named.items()}
    names = {dataset.dataset_name.lower(), dataset.crystal_name.lower()}
    own = {key: [column for column in columns if names & _words(column.label)] for key, columns in named.items()}
    doubled = next(columns for columns in named.values() if len(columns) > 1)
    labels = ", ".join(column.label for column in doubled)
    if not all(len(columns) == 1 for columns in own.values()):
        raise InputError(
            f"{source}: needs one column of a kind in a dataset; {labels} are all in dataset "
            f"{dataset.dataset_name!r}, {dataset.wavelength:g} angstrom; give each wavelength a dataset of its own, or "
            "leave the others out."
        )
    taken = ", ".join(columns[0].label for columns in own.values())
    warn(
        f"{source}: {labels} are all in dataset {dataset.dataset_name!r}, {dataset.wavelength:g} angstrom; {taken}, "
        "which bear its name, are taken, and the others left out; check that they are of this wavelength"
    )
    return {key: columns[0] for key, columns in own.items()}


def _words(label: str) -> set[str]:
    """Words of a label in lower case: of I(+)_pk they are i and pk."""
    return set(re.split(r"[^a-z0-9]+", label.lower()))


def _intensities(
    source: str, values: Mapping[_Key, np.ndarray], types: str
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Intensities and their sigmas by Friedel sign."""
    if types == "KM":
        return {sign: (values["K", sign], values["M", sign]) for sign in (1, -1)}
    warn(
        f"{source}: amplitudes F(+), F(-) are taken as I = F^2 with sigma 2 F sigma_F, of small F more; programs make "
        "weak amplitudes positive, which biases them; take I(+), I(-) where you have them"
    )
    squared = {}
    for sign in (1, -1):
        amplitude, sigma = values["G", sign], values["L", sign]
        squared[sign] = amplitude**2, np.where(sigma > 0, np.sqrt(4 * amplitude**2 * sigma**2 + 2 * sigma**4), -1.0)
    return squared


def _list_of(
    source: str, mtz: gemmi.Mtz, dataset: gemmi.Mtz.Dataset, values: Mapping[int, tuple[np.ndarray, np.ndarray]]
) -> ReflectionList:
    """A list of what was measured, with the dataset's cell and photon energy."""
    parts = []
    for sign, (intensity, sigma) in values.items():
        measured = np.isfinite(intensity) & (sigma > 0)
        if sign < 0:
            measured &= ~_is_copy(mtz, values)
        indices = mtz.make_miller_array()[measured].astype(int)
        parts.append((indices, np.full(len(indices), sign), intensity[measured], sigma[measured]))
    indices, signs, intensity, sigma = (np.concatenate(column) for column in zip(*parts, strict=True))
    cell = np.array(mtz.get_cell(dataset.id).parameters)
    energy = HC / dataset.wavelength if dataset.wavelength > 0 else None
    group = None if mtz.spacegroup is None else mtz.spacegroup.xhm()
    return ReflectionList(source, indices, signs, intensity, sigma, cell, energy, group)


def _sign_in(label: str) -> int:
    """Friedel sign in a column's label, 0 where there is none."""
    return -1 if _MINUS.search(label) else 1 if _PLUS.search(label) else 0


def _is_copy(mtz: gemmi.Mtz, values: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Tell where a mate repeats its partner of a centric reflection, sigma included."""
    same = (values[1][0] == values[-1][0]) & (values[1][1] == values[-1][1])
    if mtz.spacegroup is None:
        return np.zeros(len(same), dtype=bool)
    operations = mtz.spacegroup.operations()
    centric = [operations.is_reflection_centric(list(index)) for index in mtz.make_miller_array().tolist()]
    return same & np.array(centric, dtype=bool)
