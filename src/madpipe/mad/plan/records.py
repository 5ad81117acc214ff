"""What a plan holds: plain rows, so that ``dataclasses.asdict`` gives what JSON can keep."""

from dataclasses import dataclass

NAMES = {"f_total": "|F_T|", "f_resonant": "|F_A|", "delta_phi": "Delta_phi", "f_normal": "|F_N|"}


@dataclass(frozen=True)
class EnergyRow:
    """One photon energy of the plan."""

    energy_ev: float
    f_prime: float  # [electron]
    f_double_prime: float  # [electron]
    doubt: float  # rms of f' + i f'' over what the sample may be [electron]
    table_error: float | None  # distance of Chantler's from the spectrum's f' + i f'', with a spectrum [electron]
    near_edge: bool  # within 15 eV


@dataclass(frozen=True)
class ErrorRow:
    """Expected error of one quantity over the prior: relative for a modulus [1], of a phase [radian]."""

    photons: float  # per point and energy
    quantity: str
    median: float  # of the Cramer-Rao bound
    low: float  # its 10 % quantile
    high: float  # its 90 % quantile
    with_doubt: float  # median with the error from f', f'' in doubt


@dataclass(frozen=True)
class HandRow:
    """Share of points whose sign of Delta_phi is less than three standard deviations from being the other."""

    photons: float
    undecided: float


@dataclass(frozen=True)
class ChoiceRow:
    """The best energies of so many, and their median relative error of |F_N| [1]."""

    count: int
    energies_ev: tuple[float, ...]
    error: float  # what was minimised
    photon_error: float  # the photons' part of it alone
    even_error: float  # of as many energies evenly spread over the range


@dataclass(frozen=True)
class Plan:
    """What an experiment at these energies can determine, and which energies would serve |F_N| better."""

    element: str
    edge: str
    edge_ev: float
    source: str  # of f', f''
    q: float  # [1/angstrom]
    f0: float  # [electron]
    energies: tuple[EnergyRow, ...]
    condition_number: float | None  # None: infinite
    weakest_unknown: str
    errors: tuple[ErrorRow, ...]
    doubt_errors: dict[str, float] | None  # median left with any number of photons; None: nothing is determined
    hand: tuple[HandRow, ...]
    photons_for_ten_percent: float | None  # per point and energy, for |F_N|; None: no number helps
    least_certain_ev: float
    least_certain_doubt: float  # [electron]
    range_ev: tuple[float, float]
    count: int
    budget: float  # photons per point over all energies
    robust: bool
    given_error: float  # of |F_N| with the given energies and this budget [1]
    given_photon_error: float
    best: tuple[ChoiceRow, ...]
    verdict: tuple[str, ...]

    @property
    def choice(self) -> ChoiceRow:
        """The best energies of the number asked for."""
        return next(row for row in self.best if row.count == self.count)
