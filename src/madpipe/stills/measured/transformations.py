"""Chains of NeXus transformations: where a part of an instrument stands."""

from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError

_LENGTHS = {"m": 1e3, "metre": 1e3, "meter": 1e3, "cm": 10.0, "mm": 1.0, "millimetre": 1.0, "millimeter": 1.0}
_LENGTHS |= {
    "um": 1e-3,
    "µm": 1e-3,
    "micrometre": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
}
_LENGTHS |= {"angstrom": 1e-7, "a": 1e-7, "å": 1e-7, "angstroms": 1e-7, "nanometre": 1e-6, "nanometer": 1e-6}
_ANGLES = {"deg": np.pi / 180, "degree": np.pi / 180, "degrees": np.pi / 180, "rad": 1.0, "radian": 1.0, "radians": 1.0}
_LONGEST = 50  # links of a chain
_STILL = 1e-9  # of a value against its first

Vector = Float[np.ndarray, "3"]
Matrix = Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Step:
    """One transformation."""

    name: str
    kind: str  # translation or rotation
    values: Float[np.ndarray, "value"]  # [mm or radian]
    vector: Vector
    offset: Vector  # [mm]


def text_of(value: object) -> str:
    """A text as h5py gives it."""
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def in_mm(values: np.ndarray, units: object, name: str) -> np.ndarray:
    """Lengths in mm.

    Raises
    ------
    InputError
        The unit is none of length.
    """
    return np.asarray(values, dtype=float) * _factor(_LENGTHS, units, name, "a length, such as mm")


def _factor(known: dict[str, float], units: object, name: str, needed: str) -> float:
    """What a unit is in ours."""
    word = text_of(units).strip()
    factor = known.get(word) or known.get(word.lower())
    if factor is None:
        raise InputError(f"{name}: needs units of {needed}; {word!r} came; add them to the file.")
    return factor


def chain_of(dataset: h5py.Dataset, name: str) -> list[Step]:
    """The transformation that a dataset is, and all it depends on, the innermost first.

    Parameters
    ----------
    dataset:
        With attributes vector, transformation_type, units, depends_on.
    name:
        Of the file, in messages.

    Raises
    ------
    InputError
        A link leads nowhere or in a circle, a vector or a unit is missing.
    """
    steps = []
    link: h5py.Dataset | None = dataset
    while link is not None:
        steps.append(_step(link, name))
        if len(steps) > _LONGEST:
            raise InputError(
                f"{name}: needs depends_on to end with '.'; {dataset.name} goes in a circle; mend the file."
            )
        link = next_of(link, link.attrs.get("depends_on", "."), name)
    return steps


def next_of(where: h5py.Dataset | h5py.Group, target: object, name: str) -> h5py.Dataset | None:
    """What a depends_on names, seen from where it stands; None at the end of the chain.

    Parameters
    ----------
    where:
        Whose depends_on it is.
    target:
        Path, absolute or relative to its group.
    name:
        Of the file, in messages.

    Raises
    ------
    InputError
        There is no such dataset.
    """
    path = text_of(target).strip()
    if path in ("", "."):
        return None
    group = where if isinstance(where, h5py.Group) else where.parent
    found = group.get(path)
    if found is None and not path.startswith("/") and isinstance(where, h5py.Group) and "transformations" in where:
        found = where["transformations"].get(path)
    if not isinstance(found, h5py.Dataset):
        raise InputError(
            f"{name}: needs the transformation {path}, on which {where.name} depends; there is none; add it."
        )
    return found


def _step(link: h5py.Dataset, name: str) -> Step:
    """Read one transformation."""
    here = f"{name}: {link.name}"
    kind = text_of(link.attrs.get("transformation_type", "translation")).strip().lower()
    if kind not in ("translation", "rotation"):
        raise InputError(f"{here}: needs a transformation_type translation or rotation; {kind!r} came; mend the file.")
    vector = vector_of(link, "vector", here)
    known, needed = (_LENGTHS, "a length, such as mm") if kind == "translation" else (_ANGLES, "an angle, such as deg")
    values = np.atleast_1d(np.asarray(link[()], dtype=float)).ravel() * _factor(
        known, link.attrs.get("units", ""), here, needed
    )
    if not values.size or not np.isfinite(values).all():
        raise InputError(f"{here}: needs finite numbers; {values[:3].tolist()} came; mend the file.")
    offset = np.zeros(3)
    if "offset" in link.attrs:
        units = link.attrs.get("offset_units", link.attrs.get("units", "") if kind == "translation" else "")
        offset = np.asarray(link.attrs["offset"], dtype=float)
        offset = in_mm(offset, units, f"{here}, offset") if offset.any() else offset
    return Step(link.name or "", kind, values, vector / np.linalg.norm(vector), offset)


def vector_of(link: h5py.Dataset, attribute: str, here: str) -> Vector:
    """A vector among the attributes.

    Raises
    ------
    InputError
        It is missing, or has no direction.
    """
    vector = np.asarray(link.attrs.get(attribute, np.zeros(0)), dtype=float)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"{here}: needs an attribute {attribute} of three numbers; {vector.tolist()} came; add it.")
    return vector


def placed(steps: list[Step], name: str) -> Matrix:
    """The matrix of a chain that stands still: from the innermost frame [mm] to the laboratory's.

    Parameters
    ----------
    steps:
        The innermost first.
    name:
        Of the file, in messages.

    Raises
    ------
    InputError
        A value changes from image to image.
    """
    matrix = np.eye(4)
    for step in steps:
        if np.ptp(step.values) > _STILL * max(1.0, float(np.abs(step.values).max())):
            raise InputError(
                f"{name}: needs a detector that stands still; {step.name} goes from {step.values.min():g} to "
                f"{step.values.max():g}; split the images by its place."
            )
        matrix = _matrix(step) @ matrix
    return matrix


def _matrix(step: Step) -> Matrix:
    """Translation by value times vector, or rotation by value about it; the offset is added after either."""
    matrix = np.eye(4)
    value = float(step.values[0])
    matrix[:3, 3] = step.offset
    if step.kind == "translation":
        matrix[:3, 3] += value * step.vector
        return matrix
    x, y, z = step.vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix[:3, :3] = np.eye(3) + np.sin(value) * cross + (1 - np.cos(value)) * cross @ cross
    return matrix
