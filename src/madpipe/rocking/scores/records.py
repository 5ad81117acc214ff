"""What scores.json of a rocking curve and evaluation.json of a network hold; fields' meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict
from madpipe.rocking.config import RockingEvaluateConfig
from madpipe.rocking.prior import Parameter


@dataclass(frozen=True)
class ParameterScore:
    """One parameter of a fit, in its own unit: strains 1, lengths angstrom."""

    value: float
    error: float  # stated standard error
    undetermined: bool  # the curve leaves it at the prior
    truth: float | None = None  # of a simulated curve
    error_percent_of_range: float | None = None  # value less truth, over the prior's range


@dataclass(frozen=True, kw_only=True)
class CurveScores:
    """How well a fit explains its curve and, where there is a truth, how far off the profile is: scores.json."""

    title: str
    method: str
    points: int
    starts: int  # of the search
    chi2: float | None  # per point
    chi2_outside_peak: float | None  # per point outside the substrate's peak
    log_rms: float | None  # rms of log10 of data over fit
    parameters: Mapping[str, ParameterScore]
    strain_rms_error: float | None = None  # over depths, where there is a truth
    strain_coverage_95: float | None = None  # share of depths within 1.96 stated errors
    warnings: tuple[str, ...] = ()  # of curve and answer, each once
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class ParameterErrors:
    """Absolute errors over the held-out curves, in percent of each parameter's range."""

    each: Mapping[Parameter, Mean] = told("means of each parameter", "% of range", inline=True)
    mean: Mean  # over all parameters
    median: Mapping[Parameter, float]


@dataclass(frozen=True)
class Coverage:
    """Share of held-out curves whose truth lies within the stated interval."""

    each: Mapping[Parameter, float] = told("of each parameter", inline=True)
    overall: float = told(key="all")


@dataclass(frozen=True, kw_only=True)
class CurveErrors:
    """One held-out curve; sequences are in the order of the parameters, errors in percent of their ranges."""

    network: tuple[float, ...]  # value less truth
    network_log_rms: float  # rms of log10 of the network's curve over the true one
    refined: tuple[float, ...]
    stated: tuple[float, ...]  # standard errors
    undetermined: tuple[int, ...]  # 1: the curve leaves it at the prior
    within: tuple[tuple[bool, ...], ...]  # the 68 and the 95 % interval
    chi2: float  # per point
    starts: int
    seconds: tuple[float, ...] | None = None  # of network, refinement and errors; None: not timed
    limit: tuple[float, ...]  # mean absolute error that the information allows


@dataclass(frozen=True, kw_only=True)
class HeldOutScores:
    """Scores of a network, and of the fit from its prediction on, on curves that no training saw: evaluation.json."""

    conditions: RockingEvaluateConfig
    count: int  # of the curves
    network: ParameterErrors
    refined: ParameterErrors
    limit: ParameterErrors  # prior-regularised Cramer-Rao bound
    coverage_68: Coverage
    coverage_95: Coverage
    seconds: Mapping[str, float] | None = None  # mean of each part of an answer; None: not timed
    seconds_95: float | None = None  # 95 % of the curves take no longer
    good_share: float  # of the curves, whose chi-square is good
    network_log_rms: float  # mean
    undetermined: Mapping[Parameter, float]  # share of the curves
    sensitivities: Mapping[Parameter, float]  # rms change of log10 of the curve for one percent of the value
    curves: tuple[CurveErrors, ...]


@dataclass(frozen=True)
class TrainingScores:
    """Scores of one training of the ablation."""

    variant: str
    seed: int
    network: ParameterErrors
    refined: ParameterErrors
    good_share: float
    network_log_rms: float


@dataclass(frozen=True)
class AblationRow:
    """Means over the trainings of a variant, with standard errors of the seeds; errors in percent of the ranges."""

    variant: str
    trainings: int
    network: Mapping[str, Mean]  # mean absolute error of each parameter, and their mean
    refined: Mapping[str, Mean]
    network_log_rms: Mean
    good_share: Mean
    over_none: float  # mean error of the network over that without a remedy

    def flat(self) -> dict[str, str | float]:
        """Give the row's cells by the names of ABLATION."""
        means = {
            f"{answer} {name}": mean
            for answer in ("network", "refined")
            for name, mean in getattr(self, answer).items()
        }
        cells: dict[str, str | float] = {"variant": self.variant, "trainings": self.trainings}
        for name, mean in {**means, "network_log_rms": self.network_log_rms, "good_share": self.good_share}.items():
            cells |= {name: mean.value, f"{name} error": mean.error}
        return cells | {"over none": self.over_none}
