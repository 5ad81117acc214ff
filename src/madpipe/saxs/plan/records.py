"""What a plan says, as JSON holds it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EnergyRow:
    """A photon energy: f' and f'' of the resonant element [electron], contrasts [1e-6/angstrom^2]."""

    energy_ev: float
    f_prime: float
    f_double_prime: float
    core: float  # against the solvent, real part
    shell: float
    core_shell: float  # of the core against the shell
    core_shell_imaginary: float


@dataclass(frozen=True)
class MatchRow:
    """An energy at which the real contrast of two materials vanishes."""

    pair: str
    energy_ev: float
    left: float  # imaginary contrast that is left [1e-6/angstrom^2]
    shift_ev: float  # of the energy for one percent more density of the pair's first material


@dataclass(frozen=True)
class ErrorRow:
    """Standard errors that no unbiased estimate goes below, at so many photons per energy."""

    photons: float
    energies: int
    q_min: float  # [1/angstrom]
    q_max: float
    core_radius: float  # [angstrom]
    thickness: float  # [angstrom]
    spread: float  # [1]
    share: float  # of the resonant element among the core's atoms [1]
    phi: float  # relative


@dataclass(frozen=True)
class SingleRow:
    """The same photons, all at one energy: errors over those of all energies."""

    energy_ev: float
    core_radius: float
    thickness: float
    share: float


@dataclass(frozen=True)
class SaxsPlan:
    """A plan of a measurement of core-shell particles at an edge."""

    core: str
    shell: str
    solvent: str
    element: str
    edge_ev: float
    core_density: float  # [g/cm^3]
    shell_density: float
    share: float  # of the resonant element among the core's atoms
    energies: tuple[EnergyRow, ...]
    matches: tuple[MatchRow, ...]
    errors: tuple[ErrorRow, ...]  # by photons
    ranges: tuple[ErrorRow, ...]  # by q range, at the largest number of photons
    singles: tuple[SingleRow, ...]
    verdict: tuple[str, ...]
