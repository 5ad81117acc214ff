"""What a particle is made of: regions of compositions, and their contrasts against the solvent at photon energies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.physics.scattering.contrast import charges_of, scattering_length_density
from madpipe.saxs.plan.materials import Material, atoms_of, elements_of, material_of


@dataclass(frozen=True)
class Share:
    """The share of one element among a region's atoms, where it is unknown."""

    region: int
    element: str
    name: str  # region:element
    nominal: float  # by the formula


@dataclass(frozen=True)
class Sample:
    """Regions and solvent.

    Attributes
    ----------
    regions:
        Names.
    materials:
        Of the regions, in order.
    solvent:
        What is around.
    elements:
        Every element once.
    shares:
        Those that are unknown.
    """

    regions: tuple[str, ...]
    materials: tuple[Material, ...]
    solvent: Material
    elements: tuple[str, ...]
    shares: tuple[Share, ...]

    def atoms(
        self, shares: Float[Tensor, "share"], densities: Float[Tensor, "region"]
    ) -> Float[Tensor, "region element"]:
        """Atoms of each element per volume of each region, less those of the solvent [1/angstrom^3].

        Parameters
        ----------
        shares:
            Of atoms, in the order of ``shares`` [1].
        densities:
            Atoms per volume over those of the formula at its density [1].
        """
        every = atoms_of([*self.materials, self.solvent], self.elements)
        rows = list(every[:-1])
        for one, share in zip(self.shares, shares, strict=True):
            own = torch.tensor([float(name == one.element) for name in self.elements], dtype=every.dtype)
            others = rows[one.region] * (1 - own)
            rows[one.region] = (share * own + (1 - share) * others / others.sum()) * rows[one.region].sum()
        return torch.stack(rows) * densities[:, None] - every[-1]

    def contrasts(
        self,
        shares: Float[Tensor, "share"],
        densities: Float[Tensor, "region"],
        dispersion: Complex[Tensor, "energy element"],
    ) -> Complex[Tensor, "energy region"]:
        """Contrasts of the regions [1e-6/angstrom^2] for f' + i f'' of the elements [electron]."""
        return scattering_length_density(self.atoms(shares, densities), charges_of(self.elements), dispersion)


def sample_of(regions: Sequence[str], materials: Mapping[str, str], solvent: str, shares: Sequence[str]) -> Sample:
    """Read a sample from formulas.

    Parameters
    ----------
    regions:
        Of the shape.
    materials:
        Formula of each, by name.
    solvent:
        Formula; nothing is vacuum.
    shares:
        Unknown ones, as region:element.

    Raises
    ------
    InputError
        A region without a formula, a formula without a region, a share of no region, two shares of one region, or a
        region that has no other element.
    """
    if set(materials) != set(regions):
        raise InputError(
            f"materials: need a formula for each region, {', '.join(regions)}; {', '.join(materials) or 'none'} came; "
            "give them by these names."
        )
    made = tuple(material_of(materials[region]) for region in regions)
    if empty := [region for region, one in zip(regions, made, strict=True) if not one.atoms]:
        raise InputError(f"materials: need a formula of the {empty[0]}; an empty one came; write it like Ni3Fe.")
    around = material_of(solvent)
    found = [_share(text, regions, made) for text in shares]
    if len({one.region for one in found}) < len(found):
        raise InputError(f"shares: need one at most of each region; {', '.join(shares)} came; leave one out.")
    of_shares = [one.element for one in found]
    elements = tuple(dict.fromkeys([*elements_of(*made, around), *of_shares]))
    return Sample(tuple(regions), made, around, elements, tuple(found))


def _share(text: str, regions: Sequence[str], materials: Sequence[Material]) -> Share:
    """Read one share."""
    region, _, element = text.partition(":")
    if region not in regions or not element:
        raise InputError(
            f"shares: need region:element with a region of {', '.join(regions)}; {text!r} came; correct it."
        )
    one = materials[list(regions).index(region)]
    if not [name for name in one.atoms if name != element]:
        raise InputError(
            f"shares: {text} needs another element in the {region} beside {element}; {one.name} came; leave it out."
        )
    return Share(list(regions).index(region), element, text, one.share(element))
