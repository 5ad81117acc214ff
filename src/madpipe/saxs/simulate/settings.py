"""Settings of simulated curves."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class SimulatedCurves(Model):
    """What is measured, and how: one curve of a model with contrasts, or one at each energy of a particle of atoms."""

    model: str = Field("core_shell_sphere", description="shapes joined by +; of materials one shape that has regions")
    values: Mapping[str, float] = Field(
        default_factory=lambda: {"core_radius": 40.0, "thickness": 15.0, "pd": 0.1},
        description="lengths [angstrom], pd and other parameters of the model, by name; else their defaults",
    )
    distribution: Literal["gaussian", "schulz", "lognormal", "uniform"] = Field(
        "schulz", description="of the size that is spread, by number"
    )
    spread: str = Field(
        "all", description="length that is spread; all: all in proportion; none; auto: the first length"
    )
    contrast: Mapping[str, float] = Field(
        default_factory=dict,
        description="of each region less the solvent's, for a curve without energies [1e-6/angstrom^2]",
    )
    materials: Mapping[str, str] = Field(
        default_factory=dict, description="formula of each region, as Fe3O4@5.17; empty: contrasts are told"
    )
    solvent: str = Field("H2O@1", description="formula of what is around, with its density; empty: vacuum")
    energies: tuple[float, ...] = Field((), description="photon energies as the curves state them, of materials [eV]")
    offset: float = Field(0.0, description="true less stated energies [eV]")
    scales: tuple[float, ...] = Field(
        (), description="of each curve over the rest, such as errors of its transmission; empty: drawn [1]"
    )
    scale_error: float = Field(0.0, ge=0, lt=0.5, description="standard deviation of drawn scales [1]")
    volume_fraction: float = Field(1e-3, gt=0, le=1, description="of particles, of every term [1]")
    background: float = Field(0.01, ge=0, description="flat, the same at each energy but its rise [1/cm]")
    background_rise: float = Field(
        0.0, ge=0, description="relative rise of the background to the highest energy, as of fluorescence [1]"
    )
    q_min: float = Field(0.01, gt=0, description="lowest q [1/angstrom]")
    q_max: float = Field(0.5, gt=0, description="highest q [1/angstrom]")
    points: int = Field(150, ge=10, description="of q")
    spacing: Literal["logarithmic", "even"] = Field("logarithmic", description="of q")
    photons: float = Field(
        1e7, ge=0, description="detected at each energy over the q range, on average [photon]; 0: relative errors"
    )
    relative_error: float = Field(0.01, gt=0, description="of each point, where photons is 0 [1]")
    pinhole: float = Field(0.0, ge=0, lt=0.5, description="standard deviation of q, relative; 0: none [1]")
    slit_length: float = Field(0.0, ge=0, description="half height of a slit; 0: none [1/angstrom]")
    slit_width: float = Field(0.0, ge=0, description="half width of a slit; 0: none [1/angstrom]")


def nickel_iron() -> SimulatedCurves:
    """Ni3Fe cores in Ni shells, in water, at eight energies below the K edge of Ni."""
    return SimulatedCurves(
        materials={"core": "Ni3Fe", "shell": "Ni"},
        energies=(8033.0, 8133.0, 8203.0, 8253.0, 8283.0, 8303.0, 8313.0, 8318.0),
        scale_error=0.005,
        background_rise=0.5,
    )


def iron_below_its_edge() -> SimulatedCurves:
    """The same particles at five energies below the K edge of Fe."""
    return nickel_iron().model_copy(update={"energies": (6812.0, 7012.0, 7062.0, 7087.0, 7096.0)})


def behind_a_slit() -> SimulatedCurves:
    """Core-shell spheres of known contrasts behind a slit."""
    return SimulatedCurves(
        contrast={"core": 2.0, "shell": -1.0},
        values={"core_radius": 60.0, "thickness": 20.0, "pd": 0.08},
        volume_fraction=0.01,
        q_min=0.003,
        q_max=0.3,
        slit_length=0.02,
    )
