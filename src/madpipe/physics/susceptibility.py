"""Susceptibility of a cubic crystal, chi_0 and chi_h, from its lattice constant and the atoms of its cell."""

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import gemmi
import torch

from madpipe.physics.atoms import dispersion_correction, form_factor

CLASSICAL_ELECTRON_RADIUS = 2.8179403262e-5  # angstrom, CODATA 2018
PHOTON_ENERGY_TIMES_WAVELENGTH = 12398.419843320026  # eV angstrom, h c

_Point = tuple[float, float, float]
_Site = tuple[str, _Point, float]  # element, position in units of the lattice constant, occupancy


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal: its space group and one atom of each kind."""

    lattice_constant: float  # angstrom
    space_group: str  # Hermann-Mauguin symbol
    sites: tuple[_Site, ...]
    isotropic_b: float  # of all atoms at room temperature, rounded [angstrom^2]

    def with_lattice_constant(self, lattice_constant: float) -> "Crystal":
        """Give the same atoms in a cell of another size [angstrom]."""
        return replace(self, lattice_constant=lattice_constant)

    def atoms(self) -> list[_Site]:
        """Give every atom of the cell."""
        operators = gemmi.SpaceGroup(self.space_group).operations()
        found: dict[tuple[str, _Point], float] = {}
        for element, position, occupancy in self.sites:
            for operator in operators:
                image = operator.apply_to_xyz(list(position))
                x, y, z = (round(value % 1.0, 6) % 1.0 for value in image)
                found[element, (x, y, z)] = occupancy
        return [(element, position, occupancy) for (element, position), occupancy in found.items()]


def _diamond(constant: float, first: str, second: str, b: float) -> Crystal:
    """Diamond, or zinc blende of two elements."""
    return Crystal(constant, "F -4 3 m", ((first, (0.0, 0.0, 0.0), 1.0), (second, (0.25, 0.25, 0.25), 1.0)), b)


# At room temperature. YSZ: 9.5 mol % Y2O3; GGG: oxygen of Sawada, J. Solid State Chem. 132, 300 (1997).
CRYSTALS: Mapping[str, Crystal] = {
    "Si": _diamond(5.43102, "Si", "Si", 0.46),
    "Ge": _diamond(5.65791, "Ge", "Ge", 0.57),
    "GaAs": _diamond(5.65325, "Ga", "As", 0.6),
    "SiC-3C": _diamond(4.3596, "Si", "C", 0.2),
    "YSZ": Crystal(
        5.1454,
        "F m -3 m",
        (
            ("Zr", (0.0, 0.0, 0.0), 0.826),
            ("Y", (0.0, 0.0, 0.0), 0.174),
            ("O", (0.25, 0.25, 0.25), 0.957),
        ),
        0.8,
    ),
    "GGG": Crystal(
        12.3829,
        "I a -3 d",
        (
            ("Gd", (0.125, 0.0, 0.25), 1.0),
            ("Ga", (0.0, 0.0, 0.0), 1.0),
            ("Ga", (0.375, 0.0, 0.25), 1.0),
            ("O", (-0.0289, 0.0528, 0.1504), 1.0),
        ),
        0.3,
    ),
}


@dataclass(frozen=True)
class Susceptibility:
    """What diffraction needs of a crystal at one wavelength and reflection; time goes as exp(-i omega t)."""

    chi_0: complex  # its imaginary part is positive: absorption
    chi_h: complex
    chi_minus_h: complex

    @property
    def product(self) -> complex:
        """chi_h chi_-h, which does not depend on where the cell begins."""
        return self.chi_h * self.chi_minus_h


def crystal_named(name: str) -> Crystal:
    """Give one of the built-in crystals.

    Raises
    ------
    ValueError
        None of them has this name.
    """
    if name not in CRYSTALS:
        raise ValueError(f"a crystal among {', '.join(CRYSTALS)} is required; {name!r} came; choose one of them")
    return CRYSTALS[name]


def susceptibility(crystal: Crystal, indices: Sequence[int], wavelength: float) -> Susceptibility:
    r"""Susceptibility of a crystal for one reflection.

    .. math:: \chi_h = -\frac{r_e \lambda^2}{\pi V} \sum_j o_j (f^0_j + f'_j - i f''_j) e^{-B s^2} e^{-2 \pi i h r_j}

    Time goes as exp(-i omega t): chi_0 = 2 (n - 1) has a positive imaginary part where there is absorption.

    Parameters
    ----------
    crystal:
        Its lattice constant gives the volume and s.
    indices:
        h, k, l.
    wavelength:
        [angstrom].

    Raises
    ------
    ValueError
        The wavelength is longer than twice the lattice spacing, or the reflection is forbidden.

    References
    ----------
    Authier, Dynamical Theory of X-ray Diffraction (2001), eq. 2.26 and 2.30.
    """
    spacing = crystal.lattice_constant / math.sqrt(sum(index**2 for index in indices))
    if not 0.0 < wavelength < 2 * spacing:
        raise ValueError(
            f"a wavelength below {2 * spacing:.4f} angstrom, twice the spacing, is required; {wavelength} came; "
            "correct wavelength or indices"
        )
    energy = torch.tensor([PHOTON_ENERGY_TIMES_WAVELENGTH / wavelength], dtype=torch.float64)
    q = torch.tensor([0.0, 2 * math.pi / spacing], dtype=torch.float64)
    damping = math.exp(-crystal.isotropic_b / (4 * spacing**2))
    factor = -CLASSICAL_ELECTRON_RADIUS * wavelength**2 / (math.pi * crystal.lattice_constant**3)
    sums = [0j, 0j, 0j]
    for element, position, occupancy in crystal.atoms():
        forward, scattered = form_factor(element, q).tolist()
        f_prime, f_double_prime = (part.item() for part in dispersion_correction(element, energy))
        phase = 2 * math.pi * sum(index * place for index, place in zip(indices, position, strict=True))
        anomalous = complex(f_prime, -f_double_prime)
        sums[0] += occupancy * (forward + anomalous)
        for number, sign in ((1, -1), (2, 1)):
            sums[number] += occupancy * damping * (scattered + anomalous) * cmath.exp(1j * sign * phase)
    chi_0, chi_h, chi_minus_h = (factor * total for total in sums)
    if abs(chi_h) < 1e-6 * abs(chi_0):
        raise ValueError(f"an allowed reflection is required; {tuple(indices)} is forbidden here; choose another")
    return Susceptibility(chi_0, chi_h, chi_minus_h)
