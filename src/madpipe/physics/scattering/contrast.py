r"""Scattering length densities of compositions, away from and at absorption edges, and what they make of a particle.

Unit of densities and contrasts: 1e-6/angstrom^2. Everywhere :math:`f'' \ge 0` absorbs.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
import xraylib
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.physics.atoms import atomic_number, dispersion_correction

THOMSON = 28.179403  # classical electron radius [1e-6 angstrom]
_AVOGADRO = 0.602214076  # atoms per angstrom^3 of 1 mol/cm^3
_RAREST = 0.2  # g/cm^3 of an element, below which it is a gas, whose atoms take another volume in a solid
_TOKEN = re.compile(r"([A-Z][a-z]?)|(\()|(\))|(\d+\.?\d*|\.\d+)")


def formula_counts(formula: str) -> dict[str, float]:
    """Count the atoms of a formula like Ni3Fe, Ni0.75Fe0.25, H2O or Ca(OH)2.

    Raises
    ------
    ValueError
        Not a formula, or an element without tables.
    """
    levels: list[dict[str, float]] = [{}]
    last: dict[str, float] = {}
    place = 0
    while place < len(formula):
        found = _TOKEN.match(formula, place)
        symbol, opens, closes, number = found.groups() if found else (None,) * 4
        if not found or (closes and len(levels) == 1) or (number and not last):
            raise _no_formula(formula)
        place = found.end()
        if opens:
            levels.append({})
            continue
        if symbol:
            atomic_number(symbol)
            last = {symbol: 1.0}
        elif closes:
            last = levels.pop()
        if number:
            last = {element: (float(number) - 1) * count for element, count in last.items()}
        for element, count in last.items():
            levels[-1][element] = levels[-1].get(element, 0.0) + count
        last = {} if number else last
    if len(levels) > 1 or not levels[0] or min(levels[0].values()) < 0 or not any(levels[0].values()):
        raise _no_formula(formula)
    return levels[0]


def _no_formula(formula: str) -> ValueError:
    """What to say of a text that is no formula."""
    return ValueError(f"a chemical formula is required; {formula!r} came; write it like Ni3Fe, Ni0.75Fe0.25 or Ca(OH)2")


def number_densities(counts: Mapping[str, float], density: float) -> dict[str, float]:
    """Atoms of each element per volume [1/angstrom^3].

    Parameters
    ----------
    counts:
        Atoms of each element, in any proportion.
    density:
        [g/cm^3].

    Raises
    ------
    ValueError
        Density not above 0, or an unknown element.
    """
    if not 0 < density < math.inf:
        raise ValueError(f"a density above 0 is required [g/cm^3]; {density:g} came; give the material's")
    mass = sum(count * xraylib.AtomicWeight(atomic_number(element)) for element, count in counts.items())
    return {element: _AVOGADRO * density * count / mass for element, count in counts.items()}


def additive_density(counts: Mapping[str, float]) -> float:
    """Density of an alloy whose atoms take the volumes that they take in their elements [g/cm^3].

    Good to a few percent for metals.

    Raises
    ------
    ValueError
        An element is a gas, whose volume says nothing of a solid.
    """
    masses = {one: count * xraylib.AtomicWeight(atomic_number(one)) for one, count in counts.items()}
    alone = {one: xraylib.ElementDensity(atomic_number(one)) for one in counts}
    gases = [one for one, density in alone.items() if density < _RAREST]
    if gases:
        raise ValueError(
            f"a density is required of what holds {', '.join(gases)}; none came; give it in g/cm^3, as in Fe3O4@5.17"
        )
    volume = sum(mass / alone[one] for one, mass in masses.items())
    return float(sum(masses.values()) / volume)


def dispersion_of(elements: Sequence[str], energy: Float[Tensor, "energy"]) -> Complex[Tensor, "energy element"]:
    """f' + i f'' of several elements by Chantler's tables [electron]; no derivative passes to the energy [eV].

    Raises
    ------
    ValueError
        Unknown element; an energy outside the table.
    """
    return torch.stack([torch.complex(*dispersion_correction(element, energy)) for element in elements], dim=1)


def charges_of(elements: Sequence[str]) -> Float[Tensor, "element"]:
    """Electrons of the free atoms."""
    return torch.tensor([float(atomic_number(element)) for element in elements], dtype=torch.float64)


def scattering_length_density(
    atoms: Float[Tensor, "*region element"],
    charges: Float[Tensor, "element"],
    dispersion: Complex[Tensor, "energy element"],
) -> Complex[Tensor, "energy *region"]:
    r"""Scattering length density of regions at photon energies.

    .. math:: \rho_k(E) = r_e \sum_j n_{kj} [Z_j + f'_j(E) + i f''_j(E)]

    Parameters
    ----------
    atoms:
        Atoms of each element per volume, in each region [1/angstrom^3].
    charges:
        Z [electron]: the form factor at small angles.
    dispersion:
        f' + i f'', all zeros away from edges [electron].

    Returns
    -------
    :
        [1e-6/angstrom^2], differentiable. A region's contrast is its density less the solvent's.
    """
    factors = charges + dispersion
    found: Tensor = THOMSON * torch.tensordot(factors, atoms.to(factors.dtype), dims=([1], [-1]))
    return found


def mean_square(
    gram: Float[Tensor, "*#batch q region region"], contrast: Complex[Tensor, "*#batch region"]
) -> Float[Tensor, "*batch q"]:
    r"""Mean intensity of one particle, :math:`\langle|F|^2\rangle = \sum_{kl} c_k^* G_{kl} c_l`.

    Parameters
    ----------
    gram:
        Products of the regions' amplitudes, averaged over orientations and sizes [angstrom^6].
    contrast:
        Of each region against the solvent [1e-6/angstrom^2].
    """
    return mean_product(gram, contrast, contrast).real


def mean_product(
    gram: Float[Tensor, "*#batch q region region"],
    first: Complex[Tensor, "*#batch region"],
    second: Complex[Tensor, "*#batch region"],
) -> Complex[Tensor, "*batch q"]:
    r"""Mean of a product of amplitudes, :math:`\langle F_1 F_2^*\rangle = \sum_{kl} c_{1k} G_{kl} c_{2l}^*`."""
    inner = (gram.to(first.dtype) * second.conj()[..., None, None, :]).sum(-1)
    return (inner * first[..., None, :]).sum(-1)


def partial_intensities(
    gram: Float[Tensor, "*#batch q region region"],
    normal: Complex[Tensor, "*#batch region"],
    resonant: Complex[Tensor, "*#batch region"],
) -> Float[Tensor, "*batch q 4"]:
    r"""Partial intensities of one resonant element.

    :math:`\langle|F_T|^2\rangle, \langle|F_A|^2\rangle`, real and imaginary part of
    :math:`\langle F_T F_A^*\rangle`: :func:`design_matrix` acts on them. The imaginary part is 0 unless another element
    absorbs: an average over orientations of real densities is real.

    Parameters
    ----------
    normal:
        Contrast without the resonant element's f', f'' [1e-6/angstrom^2].
    resonant:
        The resonant atoms' share of it, :math:`r_e n Z`, less that of the solvent [1e-6/angstrom^2].
    """
    cross = mean_product(gram, normal, resonant)
    parts = (mean_square(gram, normal), mean_square(gram, resonant), cross.real, cross.imag)
    return torch.stack(parts, dim=-1)


def design_matrix(ratio: Complex[Tensor, "energy"]) -> Float[Tensor, "energy 4"]:
    r"""Row :math:`(1, |r|^2, 2 \Re r, 2 \Im r)` of each energy, with :math:`r = (f' + i f'')/Z`.

    .. math:: \langle |F_T + r F_A|^2 \rangle = \langle |F_T|^2 \rangle + |r|^2 \langle |F_A|^2 \rangle
              + 2 \Re r\, \Re \langle F_T F_A^* \rangle + 2 \Im r\, \Im \langle F_T F_A^* \rangle

    References
    ----------
    Stuhrmann, Adv. Polym. Sci. 67, 123 (1985); Karle, Int. J. Quantum Chem. Symp. 7, 357 (1980).
    """
    return torch.stack(
        [torch.ones_like(ratio.real), ratio.real.square() + ratio.imag.square(), 2 * ratio.real, 2 * ratio.imag], dim=-1
    )
