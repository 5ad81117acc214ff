"""Tables of the elements, read from the SQLite file that xraydb brings, with the values of its functions to the bit.

xraydb's own functions go through SQLAlchemy, whose import costs every job half a second, and through one session,
which fails when two threads ask at once. Here each look-up opens the file for itself.
"""

import importlib.util
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # loads scipy.interpolate, half a second, where it is first used


def known_number(element: str) -> int:
    """Atomic number of an element given by symbol or English name, in any case; 0 where xraydb knows none."""
    number, _ = _element(element)
    return number


@cache
def edges(element: str) -> dict[str, float]:
    """Energies of the absorption edges of a known element by name, K, L1, L2 ... (Elam, Ravel and Sieber 2002) [eV].

    Not to be written to.
    """
    _, symbol = _element(element)
    found = _select("SELECT iupac_symbol, absorption_edge FROM xray_levels WHERE element = ? ORDER BY id", (symbol,))
    return {str(name): float(energy) for name, energy in found}


def chantler(element: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chantler's table of a known element: photon energies [eV], f' and f'' [electron] at them.

    They are what f1_chantler and f2_chantler of xraydb give at the table's own energies: an interpolating spline and
    a power law, which differ from the printed values in the last bits.
    """
    _, symbol = _element(element)
    row = _select("SELECT energy, f1, f2 FROM Chantler WHERE element = ?", (symbol,))[0]
    energy, f_prime, f_double_prime = (np.array(json.loads(column), dtype=float) for column in row)
    for column in (f_prime, f_double_prime):
        column[abs(column) < 1e-99] = 1e-99
    spline = scipy.interpolate.UnivariateSpline(energy, f_prime, s=0)
    power_law = np.exp(np.interp(np.log(energy), np.log(energy), np.log(f_double_prime)))
    return energy, spline(energy), power_law


def _element(element: str) -> tuple[int, str]:
    """Atomic number and symbol of an element given by symbol or name; 0 and nothing where there is none."""
    by_symbol, by_name = _elements()
    return by_symbol.get(element.title()) or by_name.get(element.lower()) or (0, "")


@cache
def _elements() -> tuple[dict[str, tuple[int, str]], dict[str, tuple[int, str]]]:
    """Atomic number and symbol of every element, by symbol and by name."""
    rows = _select("SELECT atomic_number, element, name FROM elements")
    return (
        {symbol: (number, symbol.title()) for number, symbol, _ in rows},
        {name: (number, symbol.title()) for number, symbol, name in rows},
    )


def _select(query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Rows that answer a query; the file is not to be changed, so that nothing is locked."""
    with closing(sqlite3.connect(f"{_file().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        return database.execute(query, values).fetchall()


@cache
def _file() -> Path:
    """The database in xraydb's folder, found without importing xraydb."""
    found = importlib.util.find_spec("xraydb")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("xraydb is required for the tables of the elements; it is not installed")
    return Path(found.origin).resolve().with_name("xraydb.sqlite")
