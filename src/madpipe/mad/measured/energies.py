"""Photon energies in eV, whatever unit they came in: the absorption edge tells."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.limits import ENERGY_AT_EDGE, ENERGY_REACH, ENERGY_RESOLUTION
from madpipe.physics.atoms import edge_energies
from madpipe.physics.crystal import HC

JOULE = 1.602176634e-19  # per eV, exact
_SHORTEST = 1e-100  # angstrom; energies of shorter waves are no numbers
_SOFTEST = 100.0  # eV; below it no edge of an element is meant


def energies_in_ev(
    values: Sequence[float] | Float[np.ndarray, "energy"], element: str, edge: str, *, known_dispersion: bool = False
) -> Float[np.ndarray, "energy"]:
    """Take photon energies as they came, or in the one other unit in which they lie at the absorption edge.

    Parameters
    ----------
    values:
        Numbers that should be photon energies [eV].
    element, edge:
        Resonant element and its edge.
    known_dispersion:
        f' and f'' are given for each energy, so that nothing is looked up at it: energies that fit nowhere are kept.

    Returns
    -------
    :
        [eV], in the order that they came.

    Warns
    -----
    DataWarning
        Energies taken in another unit; an energy far from the others; energies at another edge of the element.

    Raises
    ------
    InputError
        Energies not above zero, or not at the edge in any unit, or in two.
    """
    values = np.atleast_1d(np.asarray(values, dtype=float))
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"photon energies above zero are required; {_span(values)} came; give them in eV.")
    known = edge_energies(element)
    at, name = known[edge], f"the {element} {edge} edge, {known[edge]:.0f} eV"
    inside = _within_reach(values, at)
    if inside.any():
        if not inside.all():
            _tell_of_far(values[~inside], name, known_dispersion=known_dispersion)
        return values
    fitting = {unit: (raw, taken) for unit, raw, taken in _readings(values) if _lies_at(taken, at)}
    if len(fitting) == 1:
        ((unit, (raw, taken)),) = fitting.items()
        warn(f"energies {_span(raw)} are taken as {unit}: only so they lie at {name}")
        return taken
    others = [other for other, energy in known.items() if energy > _SOFTEST and _lies_at(values, energy)]
    if others and not fitting:
        warn(
            f"energies {_span(values)} eV lie at the {element} {others[0]} edge, {known[others[0]]:.0f} eV, not at "
            f"{name}; name it: --edge {others[0]}"
        )
        return values
    if known_dispersion and not fitting:
        warn(
            f"energies {_span(values)} eV lie far from {name}; f', f'' given with them are used as they are; "
            "check the energies' unit, eV"
        )
        return values
    raise InputError(_refusal(values, element, known, name, list(fitting)))


def _tell_of_far(far: np.ndarray, name: str, *, known_dispersion: bool) -> None:
    """Energies that are at no edge while others are: a slip, which only f', f'' given beside them make harmless."""
    words = f"{', '.join(f'{one:g}' for one in far)} eV, far from it and from the others"
    if not known_dispersion:
        raise InputError(f"photon energies about {name}, are required; {words}, came; check digits and unit, eV.")
    warn(f"photon energies {words}, came; f', f'' given with them are used as they are; check digits and unit, eV")


def check_distinct(energy: Float[np.ndarray, "energy"]) -> None:
    """Say where fewer than three energies differ by more than a monochromator resolves."""
    steps = np.diff(np.sort(energy)) > ENERGY_RESOLUTION * np.max(energy)
    if len(energy) >= 3 and 1 + np.count_nonzero(steps) < 3:
        warn(
            f"energies {', '.join(f'{one:g}' for one in energy)} eV: fewer than three differ by more than a "
            f"monochromator resolves, {ENERGY_RESOLUTION:g} of the energy; f', f'' hardly differ there, so |F_A| and "
            "Delta_phi are badly determined; check the energies"
        )


def _readings(values: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Unit, numbers in it, and energies in eV; a file's number without unit may have been read as joule."""
    readings = []
    for raw in (values, values * JOULE):
        readings.append(("keV", raw, raw * 1e3))
        for unit, angstrom in (("angstrom", 1.0), ("nm", 10.0), ("m", 1e10)):
            readings.append((f"wavelengths in {unit}", raw, HC / np.maximum(angstrom * raw, _SHORTEST)))
    return [("J", values, values / JOULE), ("eV, not J", values * JOULE, values * JOULE), *readings]


def _within_reach(energy: np.ndarray, edge_ev: float) -> np.ndarray:
    """Which energies a measurement at an edge may use."""
    return (energy > edge_ev / ENERGY_REACH) & (energy < edge_ev * ENERGY_REACH)


def _lies_at(energy: np.ndarray, edge_ev: float) -> bool:
    """Tell whether all energies are within reach of an edge and one is close to it."""
    close = np.abs(energy - edge_ev).min() < ENERGY_AT_EDGE * edge_ev
    return bool(close and _within_reach(energy, edge_ev).all())


def _span(values: np.ndarray) -> str:
    """Least and largest number, or the only one."""
    low, high = f"{values.min():.6g}", f"{values.max():.6g}"
    return low if low == high else f"{low} to {high}"


def _refusal(values: np.ndarray, element: str, known: dict[str, float], name: str, fitting: list[str]) -> str:
    """What to say of energies that fit nowhere, or in more than one unit."""
    if fitting:
        advice = f"they may be {' or '.join(fitting)}: give them in eV"
    else:
        edges = [
            f"{other} edge, {at:.0f} eV, as {unit}"
            for unit, _, taken in _readings(values)
            for other, at in known.items()
            if at > _SOFTEST and _lies_at(taken, at)
        ]
        advice = f"they lie at the {element} {edges[0]}: name that edge, and " if edges else ""
        advice += "give them in eV"
    return (
        f"photon energies at {name}, are required, where f', f'' differ (Chantler's table); {_span(values)} came; "
        f"{advice}."
    )
