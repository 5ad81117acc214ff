"""What scores.json of a sample holds, as records; the fields' meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict


@runtime_checkable
class HasShell(Protocol):
    """Anything of one shell of expected photons per point and energy."""

    @property
    def shell_low(self) -> float:
        """At least so many [photon]."""

    @property
    def shell_high(self) -> float | None:
        """Fewer than so many; None: any number [photon]."""


@dataclass(frozen=True)
class ShellScore:
    """Error, bound and calibration of one quantity in one shell of photons; None where a number means nothing.

    Errors of moduli are in sqrt(photon), those of phases in radian. Relative is over the truth's rms, of a phase in
    radian.
    """

    quantity: str = told("a key of QUANTITIES")
    shell_low: float = told("expected photons per point and energy, at least", "photon")
    shell_high: float | None = told("less than; None: any number", "photon")
    points: int
    relative_l1: float | None = told("sum of absolute errors over that of absolute truths")
    relative_l1_standard_error: float | None
    rms_error: float | None = told("", "sqrt(photon) or radian")
    rms_error_standard_error: float | None = told("", "sqrt(photon) or radian")
    median_error: float | None = told("of absolute errors", "sqrt(photon) or radian")
    relative_rms: float | None = told("", "1 or radian")
    relative_rms_standard_error: float | None = told("", "1 or radian")
    relative_bound: float | None = told("rms of the Cramer-Rao bound, relative", "1 or radian")
    efficiency: float | None = told("rms error over the bound's")
    bias_sigma: float | None = told("mean error", "stated standard error")
    coverage_68: float | None = told("share of points within 1 stated standard error")
    coverage_95: float | None = told("share of points within 1.96 stated standard errors")
    log_correlation: float | None = told("correlation of the logarithms, of moduli")


@dataclass(frozen=True)
class NuisanceScores:
    """What was refined besides the structure factors, one value per energy unless said otherwise."""

    gauge: str  # what was held fixed, in words
    noise_scale: float  # measured over stated standard deviation, one for all energies
    verdicts: tuple[str, ...]  # a line for each nuisance
    f_resonant_relative_error: float | None  # of all |F_A| together
    scale: tuple[float, ...]
    scale_errors: tuple[float, ...]
    energy_offset_ev: float
    energy_offset_errors_ev: float
    f_prime: tuple[float, ...]  # electron, as the next three
    f_prime_errors: tuple[float, ...]
    f_double_prime: tuple[float, ...]
    f_double_prime_errors: tuple[float, ...]


@dataclass(frozen=True)
class AnswerScores:
    """How good a fit or a network's answer is."""

    method: str
    energies_ev: tuple[float, ...]
    r_factor: float  # sum |observed - calculated| over sum observed, over all energies
    r_noise: float  # R of data drawn from the calculated intensities
    r_noise_standard_error: float
    r_factor_per_energy: tuple[float, ...]
    r_noise_per_energy: tuple[float, ...]
    certified_share: float  # of the points, whose fit is proved the best there is
    chi2_per_dof: float
    shells: tuple[ShellScore, ...]  # where there is a truth
    bijvoet_correlations: tuple[float, ...] | None = None  # per energy, where there are Friedel mates
    nuisance: NuisanceScores | None = None  # where any was refined


@dataclass(frozen=True)
class Agreement:
    """Network against fit, of one quantity."""

    relative_l1: float | None  # sum of absolute differences over that of the fit's values
    rms_in_sigma: float | None  # rms difference over the fit's standard error


@dataclass(frozen=True)
class ObjectScores:
    """Composition of an object; the numbers with a default need a truth and a voxel that both supports share."""

    voxels: int
    mean: float | None  # share of resonant atoms inside
    stated_rms: float | None  # rms of its stated errors
    rms_error: float | None = None
    rms_error_standard_error: float | None = None
    bias: float | None = None
    coverage_68: float | None = None  # share of voxels within 1 stated error
    coverage_95: float | None = None  # within 1.96


@dataclass(frozen=True)
class SampleScores:
    """Scores of all answers and objects of a sample: scores.json."""

    sample: str
    title: str
    simulated: bool
    dimensions: int
    photons: float | None  # of the brightest energy; None where data come with errors instead
    condition_number: float | None  # of the linear equations at a point
    answers: Mapping[str, AnswerScores]  # fit, network
    mad_residual: float | None = None  # of the simulation: rms of what the MAD equation leaves, relative
    network_against_fit: Mapping[str, Agreement] | None = None  # by quantity, without a truth
    retrieve: Mapping[str, Mapping[str, Verdict]] = field(default_factory=dict)  # checks of objects, by route
    retrieved: Mapping[str, ObjectScores] = field(default_factory=dict)  # by route
