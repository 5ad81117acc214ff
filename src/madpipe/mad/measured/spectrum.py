"""A sample's own absorption spectrum, from its file, on the energy scale of the table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.columns import Columns, read_columns
from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.anomalous import Absorption, dispersion_at, is_near_edge
from madpipe.mad.limits import EDGE_AWAY, TABLE_OFF, TABLE_OFF_NEAR
from madpipe.physics.atoms import edge_energy
from madpipe.physics.normalisation import MARGIN_BELOW, absorption_from_columns, is_energy, steepest_rise, step_at

_UNITS = {"": 1.0, "ev": 1.0, "electronvolt": 1.0, "kev": 1e3}  # of energies, in lower case


def read_spectrum(path: str | Path, element: str, edge: str, align: bool | float = False) -> Absorption:
    """Photon energies and absorption from XDI or plain columns.

    Parameters
    ----------
    path:
        The file (:func:`madpipe.base.columns.read_columns`,
        :func:`madpipe.physics.normalisation.absorption_from_columns`), its energies in eV or keV.
    element, edge:
        Which edge it shows.
    align:
        Shift the energies so that the steepest rise lies at the table's edge (True) or at an energy [eV].

    Warns
    -----
    DataWarning
        Energies taken for keV since only so they hold the edge; a rise that is not aligned and lies away from the
        table's edge.

    Raises
    ------
    InputError
        The file cannot be read, holds no absorption, or has nothing at the edge.
    """
    table = read_columns(path)
    columns = {name: torch.as_tensor(column.copy()) for name, column in table.by_name.items()}
    try:
        energy, absorption = absorption_from_columns(columns)
        at = edge_energy(element, edge)
        energy = energy * _electronvolts(path, table, energy, at)
        rise = steepest_rise(energy, absorption, element, edge)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
    if align is not False:
        return Absorption(energy + (at if align is True else float(align)) - rise, absorption)
    if EDGE_AWAY + step_at(energy, rise) / 2 < abs(rise - at) <= MARGIN_BELOW:  # farther: dispersion_at refuses it
        warn(
            f"{path}: the spectrum rises most steeply at {rise:.1f} eV, {rise - at:+.1f} eV from the {element} {edge} "
            f"edge of the tables, {at:.1f} eV; a monochromator that is off makes f', f'' and |F_A| wrong, oxidation "
            "shifts an edge by up to 5 eV and more; --align-edge (align_edge: true) shifts the spectrum to the table's "
            "edge, --align-edge EV to where the sample's own edge lies"
        )
    return Absorption(energy, absorption)


def _electronvolts(path: str | Path, table: Columns, energy: Float[Tensor, "point"], edge_ev: float) -> float:
    """What the file's unit of energy is in eV, as it says or as only the edge allows."""
    units = [unit.lower() for name, unit in zip(table.names, table.units, strict=True) if is_energy(name)]
    unit = units[0] if units else ""
    if any(is_energy(name) and "kev" in name.lower() for name in table.names):
        unit = "kev"
    if unit not in _UNITS:
        raise ValueError(f"energies in eV or keV are required of a spectrum; they are in {unit!r}; convert them")
    factor, low, high = _UNITS[unit], float(energy[0]), float(energy[-1])
    if not low * factor <= edge_ev <= high * factor and low * 1e3 <= edge_ev <= high * 1e3:
        warn(f"{path}: energies {low:g} to {high:g} are taken as keV: only so they hold the edge, {edge_ev:.0f} eV")
        return 1e3
    return factor


def dispersion_in(
    path: str | Path | None, element: str, edge: str, energy: Float[Tensor, "energy"], align: bool | float = False
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    """f', f'' by :func:`madpipe.mad.anomalous.dispersion_at`, of the spectrum in a file where one is named.

    Raises
    ------
    InputError
        As :func:`read_spectrum`; what :func:`madpipe.mad.anomalous.dispersion_at` refuses.
    """
    spectrum = None if path is None else read_spectrum(path, element, edge, align)
    try:
        return dispersion_at(energy, element, edge, spectrum)
    except ValueError as error:
        raise InputError(f"{error}." if path is None else f"{path}: {error}.") from error


def tell_of_table(pair: Sequence[Any], energy: Float[np.ndarray, "energy"], element: str, edge: str) -> None:
    """Say where f', f'' that were given lie far from Chantler's table: exchanged columns or another sign, as a rule."""
    if not element:
        return
    table = [part.numpy() for part in dispersion_in(None, element, edge, torch.as_tensor(energy))]
    at = edge_energy(element, edge)
    most = np.where([is_near_edge(float(one), at) for one in energy], TABLE_OFF_NEAR, TABLE_OFF)
    for name, given, known in zip(("f'", "f''"), pair, table, strict=True):
        off = np.abs(np.asarray(given, dtype=float) - known)
        if (off > most).any():
            worst = int(np.argmax(off / most))
            warn(
                f"{name} given at {energy[worst]:g} eV is {np.asarray(given)[worst]:.3g} electron, where Chantler's "
                f"table has {known[worst]:.3g} for {element}: no solid differs so much, and |F_A| and Delta_phi are "
                "wrong by it; check element, sign, and which column is which"
            )
            return
