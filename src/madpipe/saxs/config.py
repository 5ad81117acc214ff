"""Configuration of the small-angle study."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from madpipe.base.config import KIND_OF_SAMPLE, InputFile, Model, SampleName
from madpipe.base.curves.settings import CurvesSettings
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.config_separation import SeparationSettings
from madpipe.saxs.config_size import SizeSettings
from madpipe.saxs.fit.settings import SaxsChoiceConfig, SaxsFitConfig
from madpipe.saxs.network.settings import SaxsAblationConfig, SaxsEvaluateConfig, SaxsInferConfig, SaxsTrainConfig
from madpipe.saxs.simulate.settings import SimulatedCurves

Step = Literal["fit", "size", "guinier", "anomalous", "infer"]


class SaxsSample(Model):
    """What is asked of a sample's curves."""

    steps: tuple[Step, ...] = Field(("fit",), min_length=1, description="what is made of the curves")
    fit: SaxsFitConfig = Field(SaxsFitConfig(), description="model, range of q and search of step fit")
    size: SizeSettings = Field(SizeSettings(), description="of step size")
    anomalous: AnomalousFitConfig = Field(AnomalousFitConfig(), description="of step anomalous")


class SimulatedSample(SaxsSample):
    """Curves that are simulated."""

    simulate: SimulatedCurves = Field(SimulatedCurves(), description="particles, instrument and exposure")
    seed: int | None = Field(None, description="of scales and noise, else the study's")


class MeasuredSample(SaxsSample):
    """Curves from files."""

    path: tuple[InputFile, ...] = Field(min_length=1, description="files of any format that is read, one series")
    read: CurvesSettings = Field(CurvesSettings(), description="what the files do not say themselves")
    optional: bool = Field(False, description="leave it out where its files are not there")


AnySample = Annotated[
    Annotated[SimulatedSample, Tag("simulated")] | Annotated[MeasuredSample, Tag("measured")], KIND_OF_SAMPLE
]


class SaxsConfig(Model):
    """Small-angle scattering."""

    samples: Mapping[SampleName, AnySample] = Field(
        default_factory=dict, description="what is simulated or measured, by name"
    )
    fit: SaxsFitConfig = Field(SaxsFitConfig(), description="fit of a model, by the command")
    choice: SaxsChoiceConfig = Field(SaxsChoiceConfig(), description="choice of a model")
    size: SizeSettings = Field(SizeSettings(), description="size distribution, by the command")
    read: CurvesSettings = Field(CurvesSettings(), description="files of curves, by the command")
    separation: SeparationSettings = Field(SeparationSettings(), description="partial intensities, by the command")
    anomalous: AnomalousFitConfig = Field(AnomalousFitConfig(), description="fit of an energy series, by the command")
    plan: PlanSettings = Field(PlanSettings(), description="errors that a measurement would have")
    train: SaxsTrainConfig = Field(SaxsTrainConfig(), description="network")
    infer: SaxsInferConfig = Field(SaxsInferConfig(), description="the network's answer")
    evaluate: SaxsEvaluateConfig = Field(SaxsEvaluateConfig(), description="score on held-out curves")
    ablation: SaxsAblationConfig = Field(SaxsAblationConfig(), description="comparison of variants")
