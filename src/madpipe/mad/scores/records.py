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
    coverage_68: float | None = told("share of points within the stated 68.3 % interval, 1 standard error")
    coverage_95: float | None = told("within the stated 95 % interval: 1.96 standard errors where none is stated")
    log_correlation: float | None = told("correlation of the logarithms, of moduli")


@dataclass(frozen=True)
class CoverageScore:
    """How often one interval of a quantity holds the truth: over all shells, and in the shell that is farthest off.

    A mean over shells can hide one whose errors are wrong. The worst is of the shells of
    :data:`madpipe.mad.limits.CELL` points or more, None where no shell has so many.
    """

    quantity: str = told("a key of QUANTITIES")
    interval: str = told("coverage_68, coverage_95, or zero_consistency of a control's missing modulus")
    due: float = told("share that the interval is to hold")
    points: int
    share: float = told("over the points of all shells")
    worst: float | None = told("share in the shell that is farthest from it; of zero_consistency, farthest below it")
    worst_standard_error: float | None = told("jackknife over particles, where there are several")
    worst_shell_low: float | None = told("photons per point and energy of that shell, at least", "photon")
    worst_shell_high: float | None = told("less than", "photon")
    worst_points: int | None = told("in that shell")


@dataclass(frozen=True)
class SplitScore:
    """Error of a network's answer to half of the counts, as the other half tells, of one quantity in one shell.

    A squared error that is found is unbiased, hence at times below 0: its root is then given as 0. The standard error
    is upwards, from the rms to the root of the squared error plus its standard error; downwards it is larger.
    """

    quantity: str = told("F_T, F_A or F_N; the latter two as complex numbers beside a real F_T")
    shell_low: float = told("photons per point and energy in a half, at least", "photon")
    shell_high: float | None = told("less than; None: any number", "photon")
    points: int = told("both halves together")
    widened: float = told("the prediction's standard deviations were multiplied by this; 1e6: it was set aside")
    rms_error: float = told("as the other half tells", "sqrt(photon)")
    rms_error_standard_error: float = told("upwards", "sqrt(photon)")
    stated_rms: float = told("what the answer states", "sqrt(photon)")
    fit_rms: float = told("what a fit of the half's counts alone would state", "sqrt(photon)")
    true_rms_error: float | None = told(
        "of the answer to all counts, hence smaller, where half the expected photons are in the shell", "sqrt(photon)"
    )


@dataclass(frozen=True)
class SplitScores:
    """What split counts say of a network's answer."""

    rows: tuple[SplitScore, ...]
    r_unseen: float  # R of the half of the counts that the answer has not seen
    r_unseen_noise: float  # what noise alone makes it
    usual: float | None  # share of the calibration's particles that were widened as much or more


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
    coverage: tuple[CoverageScore, ...] = ()  # where there is a truth, by quantity and interval
    split: SplitScores | None = None  # of a network's answer to photon counts
    # by quantity, where there is a truth: shares within 95 % in thirds by the stated error, smallest first
    by_stated_error: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


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
    coverage_95: float | None = None  # within the stated 95 % interval, 1.96 errors


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
    warnings: tuple[str, ...] = ()  # of stack, answers and objects, each once


@dataclass(frozen=True)
class PooledScore:
    """One quantity in one shell over all particles of a set of the test suite; None where a number means nothing.

    Units as in :class:`ShellScore`; standard errors are the jackknife's over particles.
    """

    quantity: str
    shell_low: float
    shell_high: float
    control: bool  # the truth is zero: no error is relative to it
    points: int
    stacks: int  # particles with a point in the shell
    rms_error: float | None
    rms_error_standard_error: float | None
    median_error: float | None
    relative_rms: float | None
    relative_rms_standard_error: float | None
    relative_bound: float | None
    log_correlation: float | None
    coverage_68: float | None
    coverage_68_standard_error: float | None
    coverage_95: float | None
    coverage_95_standard_error: float | None
    bias_sigma: float | None
    bias_sigma_standard_error: float | None
    zero_consistency: float | None  # of a control: share of points whose stated 95 % interval about the answer holds 0
    zero_consistency_standard_error: float | None
    mean_over_sigma: float | None  # of a control
    mean_over_sigma_standard_error: float | None


@dataclass(frozen=True)
class Reliability:
    """Shares of the points of one quantity and shell within so many stated errors.

    An answer that states its 95 % interval beside its standard error has the half width of the former at 1.96; in
    between, a straight line from one to the other (:func:`madpipe.mad.scores.coverage.half_width`).
    """

    quantity: str
    shell_low: float
    shell_high: float
    levels: tuple[float, ...]  # stated standard errors, up to 1.96
    shares: tuple[float, ...]
    shares_standard_error: tuple[float | None, ...]


@dataclass(frozen=True)
class Sums:
    """Sums over the points of one particle and quantity, a value per shell."""

    points: tuple[float | None, ...]
    squared_error: tuple[float | None, ...]
    squared_truth: tuple[float | None, ...]  # of a phase the points


@dataclass(frozen=True)
class StackScores:
    """What is known of one particle of the test suite."""

    case: str
    composition: str
    element: str
    energies: int
    photons: float  # of the brightest energy
    r_factor: float | None
    r_noise: float | None
    r_over_noise: float | None
    sums: Mapping[str, Sums]  # by quantity


@dataclass(frozen=True)
class Refusal:
    """A particle that a method refuses."""

    case: str
    reason: str


@dataclass(frozen=True)
class SetScores:
    """Scores on one set of the test suite."""

    rows: tuple[PooledScore, ...]  # by shell and quantity
    reliability: tuple[Reliability, ...]
    stacks: tuple[StackScores, ...]
    refused: tuple[Refusal, ...]
    coverage: tuple[CoverageScore, ...] = ()  # by quantity and interval, controls apart


@dataclass(frozen=True)
class SuiteScores:
    """Scores of one method on the test suite."""

    method: str
    points: int  # answered
    sets: Mapping[str, SetScores]


@dataclass(frozen=True)
class ComparedScore:
    """A method beside the reference, of one set, quantity and shell, over the particles that both answer."""

    method: str
    set: str
    quantity: str
    shell_low: float = told("expected photons per point and energy, at least", "photon")
    shell_high: float = told("less than", "photon")
    points: int
    stacks: int = told("particles")
    relative_rms: float | None = told("rms error over the truth's", "1 or radian")
    reference_relative_rms: float | None = told("the reference's", "1 or radian")
    rms_ratio: float | None = told("rms error over the reference's")
    rms_ratio_standard_error: float | None = told("jackknife over particles")


@dataclass(frozen=True)
class Comparison:
    """Every method beside the reference: comparison.json."""

    rows: tuple[ComparedScore, ...]


@dataclass(frozen=True)
class ShellErrors:
    """Errors of one kind of answer of a training, and how often they are within what it claims."""

    shells: Mapping[str, Mapping[str, float]]  # relative rms error by shell ("1-10" photons) and modulus
    coverage_68: float  # share of points within one claimed error, not calibrated


@dataclass(frozen=True)
class TrainingScores:
    """Scores of one training of the ablation, or of a committee of trained networks."""

    variant: str
    seed: int
    predicted: ShellErrors
    refined: ShellErrors


@dataclass(frozen=True)
class AblationRow:
    """A variant beside the network as it is: means over trainings, with standard errors."""

    variant: str
    trainings: int
    coverage_68: float
    ratios: Mapping[str, float] = told(
        "rms error over the base's, under 'f_normal 1-10' for |F_N| at 1 to 10 photons, and its error", inline=True
    )
    overall: float = told("geometric mean of the ratios")
    overall_error: float = told("of overall", key="overall error")


@dataclass(frozen=True)
class Ablation:
    """Every variant, the best first: ablation.json."""

    rows: tuple[AblationRow, ...]
