"""Configuration of the study of series in time."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from madpipe.base.config import KIND_OF_SAMPLE, InputFile, Model, SampleName
from madpipe.base.curves.settings import CurvesSettings
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.events.settings import EventsSettings
from madpipe.kinetics.rates.settings import RatesSettings
from madpipe.kinetics.simulate.settings import SeriesSettings

Step = Literal["decompose", "rates", "events"]


class KineticsSample(Model):
    """What is asked of a series."""

    steps: tuple[Step, ...] = Field(("decompose",), min_length=1, description="what is made of the series")
    decompose: DecomposeSettings = Field(DecomposeSettings(), description="of step decompose")
    rates: RatesSettings = Field(RatesSettings(), description="of step rates")
    events: EventsSettings = Field(EventsSettings(), description="of step events")
    reference: Mapping[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="shares of I(0) of components by name, a number for each frame, that another program found [1]",
    )


class SimulatedSample(KineticsSample):
    """A series that is simulated."""

    seed: int | None = Field(None, description="of what is drawn, else the sample's name")
    simulate: SeriesSettings = Field(SeriesSettings(), description="species, course and measurement")


class MeasuredSample(KineticsSample):
    """A series from files."""

    path: tuple[InputFile, ...] = Field(min_length=1, description="files of any format that is read, one series")
    read: CurvesSettings = Field(CurvesSettings(), description="what the files do not say themselves")
    optional: bool = Field(False, description="leave it out where its files are not there")


AnySample = Annotated[
    Annotated[SimulatedSample, Tag("simulated")] | Annotated[MeasuredSample, Tag("measured")], KIND_OF_SAMPLE
]


class KineticsEvaluateConfig(Model):
    """Score of the methods on many draws; the default shows how, the numbers in the pages take more."""

    rank_draws: int = Field(40, ge=2, description="series whose rank is sought")
    scheme_draws: int = Field(10, ge=2, description="reactions, steady and drifting, whose rates are fitted")
    event_series: int = Field(16, ge=2, description="series with events; as many others tune the penalties of PELT")
    quiet_series: int = Field(8, ge=1, description="series without events, for false alarms")
    frames: tuple[int, int] = Field((80, 240), description="least and most frames of a series with events")
    signal: tuple[float, float] = Field(
        (8.0, 100.0), description="least and largest change of an event, in standard deviations of one frame [1]"
    )
    online_rate: float = Field(1e-3, gt=0, lt=0.1, description="false alarms per frame that the online test allows [1]")


class KineticsConfig(Model):
    """Series of small-angle curves in time."""

    samples: Mapping[SampleName, AnySample] = Field(
        default_factory=dict, description="what is simulated or measured, by name"
    )
    read: CurvesSettings = Field(CurvesSettings(), description="files of curves, by the command")
    decompose: DecomposeSettings = Field(DecomposeSettings(), description="components, by the command")
    rates: RatesSettings = Field(RatesSettings(), description="rates, by the command")
    events: EventsSettings = Field(EventsSettings(), description="events, by the command")
    evaluate: KineticsEvaluateConfig = Field(KineticsEvaluateConfig(), description="score on simulated series")
