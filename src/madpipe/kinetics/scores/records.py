"""What scores.json of a series and evaluation.json hold; fields' meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict
from madpipe.kinetics.config import KineticsEvaluateConfig


@dataclass(frozen=True, kw_only=True)
class PartsScore:
    """A decomposition."""

    rank: int  # components above the noise
    resolved: int  # components
    chi2: float
    chi2_floor: float  # of the best matrix of as many components
    noise_factor: float  # of the noise over the stated sigmas
    width: float  # widest range of a component's share
    error: float | None = None  # root mean square, of concentrations against the truth
    inside: float | None = None  # share of frames and components whose truth lies in the band
    off_reference: float | None = None  # largest difference to another program's shares of I(0)


@dataclass(frozen=True, kw_only=True)
class RatesScore:
    """A fit of rates."""

    scheme: str
    drift: str
    rejected: bool
    solutions: int
    undetermined: tuple[str, ...] = ()
    error: float | None = None  # root mean square, of concentrations against the truth


@dataclass(frozen=True, kw_only=True)
class EventsScore:
    """A search for events."""

    found: int
    noise_level: float
    right: int | None = None
    missed: int | None = None
    false: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True, kw_only=True)
class SeriesScores:
    """All answers to one series: scores.json."""

    title: str
    frames: int
    parts: PartsScore | None = None
    rates: RatesScore | None = None
    events: EventsScore | None = None
    warnings: tuple[str, ...] = ()  # of series and answers, each once
    verdicts: Mapping[str, Verdict]  # by answer and check, as rates.scheme


@dataclass(frozen=True, kw_only=True)
class RankScore:
    """Rank of one drawn series."""

    found: int
    visible: int  # components of the series without noise above the smallest detectable one
    by_edge: int  # by the edge of the noise alone


@dataclass(frozen=True, kw_only=True)
class SchemeScore:
    """Rates of one drawn reaction A->B->C."""

    drifting: bool
    error: float  # root mean square, of concentrations
    rejected: bool
    pulls: tuple[float, ...]  # of ln k, error over stated error, of the solution that is nearer to the truth


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A method's answers on the series with events and on the quiet ones."""

    method: str = told("how events are looked for")
    f1: float = told("harmonic mean of precision and recall")
    f1_with_duplicates: float = told("the same, second answers inside an onset counted as false")
    missed: int = told("events")
    false: int = told("answers where no event is")
    quiet: int = told("answers on series without events")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """An event told while its series ran."""

    ideal: int  # frames from the event until an observer who knows both laws tells it
    online: int | None  # the same of the online test; None: missed


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Methods on simulated series that nothing was tuned on: evaluation.json."""

    conditions: KineticsEvaluateConfig
    ranks: tuple[RankScore, ...]
    schemes: tuple[SchemeScore, ...]
    methods: tuple[MethodRow, ...]
    events: int  # of the series with events
    latencies: tuple[Latency, ...]
    quiet_frames: int
    quiet_alarms: int  # of the online test, in them
