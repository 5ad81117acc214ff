"""What scores.json of a sample holds; fields' meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict


@dataclass(frozen=True)
class ValueScore:
    """One number of an answer, in its own unit."""

    value: float | None
    error: float | None  # stated standard error
    unit: str
    state: str = "free"  # held; open: the data leave it so; at an end of its range
    truth: float | None = None  # of simulated curves


@dataclass(frozen=True)
class FitScores:
    """A model's fit to one curve, or to all of a series together."""

    curve: str
    model: str
    chi2: float | None = told("per degree of freedom")
    degrees_of_freedom: int
    runs: float | None = told("chance of so long a run of residuals of one sign")
    error_scale: float | None = told("factor of the errors")
    verdict: str = told("in words")
    values: Mapping[str, ValueScore]


@dataclass(frozen=True)
class SizeScores:
    """A size distribution."""

    method: str
    chi2: float | None = told("per point")
    total: ValueScore = told("volume fraction, at the contrast told")
    percentiles: tuple[ValueScore, ...] = told("sizes below which 10, 50 and 90 % of the volume lie")


@dataclass(frozen=True)
class GuinierScores:
    """Guinier's law on one curve."""

    curve: str
    rg: ValueScore
    i0: ValueScore
    points: int
    chi2: float | None = told("per degree of freedom")
    verdict: str = told("empty where one number describes the range")


@dataclass(frozen=True, kw_only=True)
class SaxsScores:
    """All that was made of a sample's curves: scores.json."""

    title: str
    curves: int
    fits: tuple[FitScores, ...] = ()
    anomalous: FitScores | None = None  # of an energy series
    size: SizeScores | None = None
    guinier: tuple[GuinierScores, ...] = ()
    warnings: tuple[str, ...] = ()  # of curves and answers, each once
    verdicts: Mapping[str, Verdict]
