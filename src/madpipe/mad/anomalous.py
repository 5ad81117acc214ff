"""f' and f'' of the resonant element at any photon energy, of the sample's own spectrum or of the free atom's table."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from madpipe.physics.absorption import dispersion_from_spectrum
from madpipe.physics.atoms import dispersion_correction
from madpipe.physics.normalisation import interpolate

NEAR_EDGE = 15.0  # eV within which a table of the free atom is least certain (docs/conventions.md)


def is_near_edge(energy_ev: float, edge_ev: float) -> bool:
    """Tell whether an energy is where a table of the free atom is least certain; the rim counts."""
    return abs(energy_ev - edge_ev) <= NEAR_EDGE


class Absorption(NamedTuple):
    """A sample's absorption spectrum."""

    energy: Float[Tensor, "node"]  # [eV]
    absorption: Float[Tensor, "node"]  # in any unit


class KnownDispersion(NamedTuple):
    """f' and f'' that came of a sample's spectrum, as its stack holds them."""

    energy: Float[Tensor, "node"]  # [eV]
    f_prime: Float[Tensor, "node"]  # [electron]
    f_double_prime: Float[Tensor, "node"]  # [electron]


def dispersion_at(
    energy: Float[Tensor, "energy"], element: str, edge: str, spectrum: Absorption | KnownDispersion | None
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    """f' and f'' of the resonant element, of the sample's spectrum where there is one, else of Chantler's table.

    Parameters
    ----------
    energy:
        Photon energies [eV].
    element, edge:
        Resonant element and absorption edge.
    spectrum:
        Absorption, turned into f'' and by Kramers and Kronig's relation into f'
        (:func:`madpipe.physics.absorption.dispersion_from_spectrum`), or what came of it before, interpolated.

    Returns
    -------
    :
        f' and f'' [electron].

    Raises
    ------
    ValueError
        An element or energies that the table does not know; a spectrum that does not fit the element, edge or energies.
    """
    if spectrum is None:
        return dispersion_correction(element, energy)
    if isinstance(spectrum, KnownDispersion):
        parts = (spectrum.f_prime, spectrum.f_double_prime)
        f_prime, f_double_prime = (interpolate(spectrum.energy, part, energy) for part in parts)
        return f_prime, f_double_prime
    return dispersion_from_spectrum(*spectrum, element, edge, energy)
