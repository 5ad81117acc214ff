"""Settings of `saxs plan`: a core with a shell, photon energies at an edge, photons and q range."""

from pydantic import Field

from madpipe.base.config import Model


class PlanSettings(Model):
    """A planned measurement."""

    core: str = Field("Ni3Fe", description="formula of the core; Fe3O4@5.17 with its density after @ [g/cm^3]")
    shell: str = Field("Ni", description="formula of the shell, as of the core")
    solvent: str = Field("", description="formula of what is around, with its density; empty: vacuum")
    element: str = Field("Fe", description="the resonant element, whose share of the core's atoms is wanted")
    edge: str = Field("K", description="its absorption edge")
    energies: tuple[float, ...] = Field((), description="photon energies; empty: five below the edge [eV]")
    core_radius: float = Field(40.0, gt=0, description="mean, with the shell in proportion [angstrom]")
    thickness: float = Field(15.0, gt=0, description="of the shell, mean [angstrom]")
    spread: float = Field(0.1, gt=0, lt=0.5, description="standard deviation of the size over its mean [1]")
    q_min: float = Field(0.01, gt=0, description="lowest q [1/angstrom]")
    q_max: float = Field(0.5, gt=0, description="highest q [1/angstrom]")
    points: int = Field(200, ge=20, description="bins of q, evenly in ln q")
    photons: tuple[float, ...] = Field(
        (1e6, 1e7, 1e8), description="detected over the q range, at each energy on average [photon]"
    )
    background: float = Field(
        0.01,
        ge=0,
        description="flat background over the curve's lowest signal; its level is unknown at each energy [1]",
    )
    scale: float = Field(
        0.005, ge=0, lt=1, description="standard deviation of each curve's relative scale; 0: exact [1]"
    )
    offset: float = Field(1.0, ge=0, description="standard deviation of an error of all energies; 0: exact [eV]")
    core_density: float = Field(
        0.005, ge=0, lt=1, description="standard deviation of the core's relative atomic density; 0: exact [1]"
    )
