"""Materials of a plan: atoms per volume, contrasts against energy, and where two of them match."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from scipy.optimize import brentq
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.physics.scattering.contrast import (
    additive_density,
    charges_of,
    dispersion_of,
    formula_counts,
    number_densities,
    scattering_length_density,
)
from madpipe.saxs.plan.records import MatchRow

_STEP = 1.0  # of the search for matches [eV]


@dataclass(frozen=True)
class Material:
    """A composition with its density."""

    name: str
    density: float  # [g/cm^3]; 0 of vacuum
    atoms: dict[str, float]  # per volume [1/angstrom^3]

    def share(self, element: str) -> float:
        """Share of an element among the atoms."""
        return self.atoms.get(element, 0.0) / sum(self.atoms.values())


def material_of(text: str) -> Material:
    """Read a formula with or without its density, Ni3Fe or Fe3O4@5.17; nothing is vacuum.

    Raises
    ------
    InputError
        No formula, no density, or a density that is needed and missing.
    """
    if not text.strip():
        return Material("vacuum", 0.0, {})
    formula, _, density = text.strip().partition("@")
    try:
        counts = formula_counts(formula)
        value = float(density) if density else additive_density(counts)
        return Material(formula, value, number_densities(counts, value))
    except ValueError as error:
        raise InputError(f"{text}: {error}.") from error


def elements_of(*materials: Material) -> list[str]:
    """Every element once, in order of its first material."""
    return list(dict.fromkeys(element for one in materials for element in one.atoms))


def atoms_of(materials: Sequence[Material], elements: Sequence[str]) -> Float[Tensor, "material element"]:
    """Atoms of each element per volume of each material [1/angstrom^3]."""
    rows = [[one.atoms.get(element, 0.0) for element in elements] for one in materials]
    return torch.tensor(rows, dtype=torch.float64)


def densities(materials: Sequence[Material], energy: Float[Tensor, "energy"]) -> Complex[Tensor, "energy material"]:
    """Scattering length densities at photon energies [1e-6/angstrom^2].

    Raises
    ------
    InputError
        An energy outside an element's table.
    """
    elements = elements_of(*materials)
    try:
        dispersion = dispersion_of(elements, energy)
    except ValueError as error:
        raise InputError(f"plan: {error}.") from error
    return scattering_length_density(atoms_of(materials, elements), charges_of(elements), dispersion)


def matches(first: Material, second: Material, low: float, high: float) -> list[MatchRow]:
    """Energies between two [eV] where the real contrast of two materials is 0, if any.

    The shift per percent of density tells how far to believe one: often by tens of eV.
    """
    energy = torch.arange(low, high, _STEP, dtype=torch.float64)
    real = _contrast(first, second, energy).real
    changes = torch.nonzero(real[:-1].sign() * real[1:].sign() < 0)[:, 0].tolist()
    return [_match(first, second, float(energy[place])) for place in changes]


def _contrast(first: Material, second: Material, energy: Tensor) -> Tensor:
    """Contrast of the first against the second."""
    both = densities([first, second], energy) if second.atoms else densities([first], energy)
    return both[:, 0] - both[:, 1] if second.atoms else both[:, 0]


def _match(first: Material, second: Material, low: float) -> MatchRow:
    """The match between an energy and the next."""

    def real(energy: float) -> float:
        return float(_contrast(first, second, torch.tensor([energy], dtype=torch.float64)).real)

    found = float(brentq(real, low, low + _STEP, xtol=1e-6))
    at = torch.tensor([found], dtype=torch.float64)
    slope = (real(found + 0.5) - real(found - 0.5)) / 1.0
    own = float(densities([first], at).real[0, 0])
    left = float(_contrast(first, second, at).imag)
    return MatchRow(f"{first.name}/{second.name}", found, left, -0.01 * own / slope)
