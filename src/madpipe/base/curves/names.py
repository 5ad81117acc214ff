"""Energies and times in the names of files, columns and entries, and the order that numbers in names mean."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_NUMBER = r"([0-9]+(?:[.p][0-9]+)?)"
_ENERGY = re.compile(rf"(?<![0-9.]){_NUMBER}[\s_]*(k?)eV(?![a-z])", re.IGNORECASE)
_ENERGY_FIRST = re.compile(rf"(?<![a-z])(?:energy|en|e)[\s_=:-]*{_NUMBER}(?![0-9.])", re.IGNORECASE)
_TIME = re.compile(rf"(?<![0-9.]){_NUMBER}[\s_]*(ns|us|µs|ms|min|sec|s|h)(?![a-z])", re.IGNORECASE)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "min": 60.0, "sec": 1.0, "s": 1.0, "h": 3600.0}
_XRAYS = (100.0, 200000.0)  # [eV]


def _value(text: str) -> float:
    """Number of a name, where p may stand for the point."""
    return float(text.lower().replace("p", "."))


def energy_in(name: str) -> float | None:
    """Photon energy that a name states, such as Ni_8333.0eV, 8.333keV or E8333 [eV]; None where there is none."""
    match = _ENERGY.search(name)
    if match:
        value = _value(match[1]) * (1000.0 if match[2] else 1.0)
    else:
        first = _ENERGY_FIRST.search(name)
        if first is None:
            return None
        value = _value(first[1])
        value = value * 1000.0 if value < _XRAYS[0] and "." in first[1] else value
    return value if _XRAYS[0] <= value <= _XRAYS[1] else None


def time_in(name: str) -> float | None:
    """Time that a name states, such as mix_20ms or t_1.5s [s]; None where there is none."""
    found = _TIME.findall(name)
    return _value(found[-1][0]) * _SECONDS[found[-1][1].lower()] if found else None


def number_of(line: str, before: str) -> float | None:
    """Energy behind a name with its unit in it, such as energy_keV = 8.333 [eV]."""
    match = re.search(rf"{before}\s*[:=]?\s*([0-9]+(?:\.[0-9]+)?)", line, re.IGNORECASE)
    if match is None:
        return None
    value = float(match[2]) * (1000.0 if match[1].lower() == "kev" else 1.0)
    return value if _XRAYS[0] <= value <= _XRAYS[1] else None


def values_in(names: Sequence[str], kind: str) -> Float[np.ndarray, "name"] | None:
    """Energies [eV] or times [s] of several names, where each has its own; None otherwise."""
    find = energy_in if kind == "energy" else time_in
    found = [find(name) for name in names]
    values = [value for value in found if value is not None]
    return np.array(values) if len(values) == len(names) and len(set(values)) == len(values) else None


def natural(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts names as people do: frame 2 before frame 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name) if part]
