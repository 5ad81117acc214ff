"""How strongly the material of a detector's sensor absorbs."""

import math
from functools import lru_cache

import torch

from madpipe.base.errors import InputError
from madpipe.physics.atoms import absorptive_part
from madpipe.physics.crystal import HC
from madpipe.physics.susceptibility import CLASSICAL_ELECTRON_RADIUS

_ATOMS_PER_ANGSTROM3 = {  # of each element: 8 atoms in a cell of a = 5.4310, 5.6575, 5.6533, 6.482 angstrom
    "Si": {"Si": 8 / 5.4310**3},
    "Ge": {"Ge": 8 / 5.6575**3},
    "GaAs": {"Ga": 4 / 5.6533**3, "As": 4 / 5.6533**3},
    "CdTe": {"Cd": 4 / 6.482**3, "Te": 4 / 6.482**3},
}


@lru_cache(maxsize=256)
def attenuation(material: str, wavelength: float) -> float:
    r"""Photoelectric absorption coefficient [1/mm].

    .. math:: \mu = 2 r_e \lambda \sum_{elements} n f''

    Scattering is not included: such a photon is as a rule seen, if elsewhere.

    Parameters
    ----------
    material:
        Si, Ge, GaAs or CdTe.
    wavelength:
        [angstrom]

    Raises
    ------
    InputError
        Another material.

    References
    ----------
    Als-Nielsen and McMorrow, Elements of Modern X-ray Physics, 2nd ed. (2011), eq. 3.9 and 8.11.
    """
    if material not in _ATOMS_PER_ANGSTROM3:
        raise InputError(
            f"sensor: one of {', '.join(_ATOMS_PER_ANGSTROM3)} is required; got '{material}'; "
            "set the thickness to 0 to leave absorption out"
        )
    energy = torch.tensor([HC / wavelength], dtype=torch.float64)
    f_double_prime = {element: float(absorptive_part(element, energy)[0]) for element in _ATOMS_PER_ANGSTROM3[material]}
    absorbing = math.fsum(density * f_double_prime[one] for one, density in _ATOMS_PER_ANGSTROM3[material].items())
    return 2 * CLASSICAL_ELECTRON_RADIUS * wavelength * absorbing * 1e7
