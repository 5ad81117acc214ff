"""One frozen model per rule of the MAD study; units are in the keys or in the descriptions."""

from pydantic import Field

from madpipe.base.config import Model, SampleName
from madpipe.mad.config.samples import (
    REFERENCE_ENERGIES,
    Composition,
    Fraction,
    MeasuredSample,
    Refinable,
    Sample,
    Shape,
    SimulatedSample,
    Step,
)
from madpipe.mad.config.steps import (
    FiguresConfig,
    FitConfig,
    InferConfig,
    JointConfig,
    Method,
    NuisanceConfig,
    RetrieveConfig,
    SuiteConfig,
    SuiteSet,
    ValidateConfig,
)
from madpipe.mad.config.training import AblationConfig, PriorConfig, TrainConfig

__all__ = [
    "REFERENCE_ENERGIES",
    "AblationConfig",
    "Composition",
    "FiguresConfig",
    "FitConfig",
    "Fraction",
    "InferConfig",
    "JointConfig",
    "MadConfig",
    "MeasuredSample",
    "Method",
    "NuisanceConfig",
    "PriorConfig",
    "Refinable",
    "RetrieveConfig",
    "Sample",
    "Shape",
    "SimulatedSample",
    "Step",
    "SuiteConfig",
    "SuiteSet",
    "TrainConfig",
    "ValidateConfig",
]


class MadConfig(Model):
    """The MAD study."""

    samples: dict[SampleName, Sample] = Field(
        {}, description="samples by name: simulated, or measured where a path is given"
    )
    fit: FitConfig = Field(FitConfig(), description="classical fit")
    train: TrainConfig = Field(TrainConfig(), description="network and training")
    infer: InferConfig = Field(InferConfig(), description="network on whole frames")
    validate_: ValidateConfig = Field(ValidateConfig(), alias="validate", description="scores")
    retrieve: RetrieveConfig = Field(RetrieveConfig(), description="phase retrieval")
    ablation: AblationConfig = Field(AblationConfig(), description="losses and designs compared")
    evaluate: SuiteConfig = Field(SuiteConfig(), description="test suite and comparison")
    figures: FiguresConfig = Field(FiguresConfig(), description="figures")
