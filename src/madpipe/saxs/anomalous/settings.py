"""Settings of the fit of a model to an energy series."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class AnomalousFitConfig(Model):
    """A particle whose regions have compositions, and how far energies, tables, scales and densities may be off."""

    model: str = Field("core_shell_sphere", description="shape of the particle, one that has regions")
    materials: Mapping[str, str] = Field(
        default_factory=lambda: {"core": "Ni3Fe", "shell": "Ni"},
        description="formula of each region, by its name; Fe3O4@5.17 with its density after @ [g/cm^3]",
    )
    solvent: str = Field("H2O@1", description="formula of what is around, with its density; empty: vacuum")
    shares: tuple[str, ...] = Field(
        ("core:Fe",),
        description="shares of atoms that are unknown, as region:element, one of a region; its other atoms keep their "
        "proportions, and its atoms per volume stay",
    )
    composition: Mapping[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="shares known otherwise, as by X-ray fluorescence, by region:element: mean, standard deviation [1]",
    )
    density: float = Field(
        0.005, ge=0, lt=1, description="standard deviation of each region's relative atomic density; 0: exact [1]"
    )
    densities: Mapping[str, float] = Field(
        default_factory=dict, description="the same of single regions, by name; 0: exact [1]"
    )
    tables: tuple[str, ...] = Field(
        (), description="elements whose f', f'' are in doubt; empty: all with an edge within 500 eV of an energy"
    )
    table: float = Field(
        0.02, ge=0, lt=0.5, description="standard deviation of the relative error of f', and of f''; 0: exact [1]"
    )
    offset: float = Field(
        2.0, ge=0, le=50, description="standard deviation of an error that all photon energies share; 0: exact [eV]"
    )
    scale: float = Field(
        0.005, ge=0, lt=0.5, description="standard deviation of each curve's relative scale; 0: exact [1]"
    )
    distribution: Literal["gaussian", "schulz", "lognormal", "uniform"] = Field(
        "schulz", description="of the size that is spread, by number"
    )
    spread: str = Field(
        "all", description="length that is spread; all: all in proportion; none; auto: the first length"
    )
    fix: Mapping[str, float] = Field(
        default_factory=dict, description="values that are held: lengths, pd and shares by name [angstrom; 1]"
    )
    background: Literal["flat", "none", "power"] = Field(
        "flat", description="of each energy on its own: a constant, nothing, or a constant and a power of q"
    )
    power: float = Field(4.0, gt=0, le=6, description="exponent of that power [1]")
    q_min: float = Field(0.0, ge=0, description="least q that is used [1/angstrom]")
    q_max: float | None = Field(None, gt=0, description="largest q that is used [1/angstrom]")
    smear: bool = Field(True, description="smear the model by the resolution that the curves tell")
    library: int = Field(1500, ge=16, description="particles drawn to choose starts from")
    starts: int = Field(8, ge=1, description="particles from which a search begins")
    evaluations: int = Field(60, ge=5, description="of the curves and their derivatives, for each start")
