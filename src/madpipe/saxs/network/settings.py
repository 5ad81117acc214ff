"""Settings of the network of small-angle scattering: training, answers, evaluation, comparison of variants."""

from typing import Annotated, Literal

from pydantic import Field

from madpipe.base.config import Model
from madpipe.base.training_config import Batch, LearningRate, Patience, Steps, TrainingConfig, ValidateEvery

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class SaxsTrainConfig(TrainingConfig):
    """A network for the shapes of particles, and its training on simulated curves."""

    batch: Batch = Field(128, description="curves per step")
    steps: Steps = 4000
    learning_rate: LearningRate = 2e-3
    validate_every: ValidateEvery = 250
    patience: Patience = 40
    width: int = Field(32, ge=8, description="features of the first layers; the last ones have three times as many")
    blocks: int = Field(1, ge=1, description="residual blocks between two halvings of the number of points")
    table: int = Field(3400, ge=64, description="smooth curves of each class that are simulated before the training")
    validation_curves: int = Field(2048, ge=64, description="curves that decide which weights are kept")
    calibration_curves: int = Field(8192, ge=64, description="curves of other draws that calibrate the probabilities")
    foreign_curves: int = Field(4096, ge=64, description="curves of each foreign kind, and as many known ones")
    noise: tuple[Positive, Positive] = Field((0.003, 0.1), description="least and most error of a bin, relative [1]")
    hidden_scale: Share = Field(0.5, description="share of curves whose absolute scale is hidden [1]")
    structure: Share = Field(0.25, description="share of curves with a hard-sphere structure factor [1]")
    smeared: Share = Field(0.5, description="share of curves with a pinhole's or a slit's smearing [1]")
    parasitic: Share = Field(0.2, description="share of curves with a power law at small q [1]")
    slopes: bool = Field(True, description="show d ln I / d ln q beside ln I")
    scale: bool = Field(True, description="show the absolute scale where a curve knows it")
    parameters: float = Field(0.15, ge=0, description="weight of the parameters' likelihood in the loss [1]")
    physics: float = Field(0.0, ge=0, description="weight of the misfit of the predicted parameters' curve [1]")
    pretraining: int = Field(0, ge=0, description="steps of reconstructing masked parts of curves before the training")
    left_out: tuple[str, ...] = Field((), description="classes that are not shown, to measure how foreign they look")
    known: int | None = Field(
        None, ge=16, description="smooth curves with a known class, for all classes together; else all of the table"
    )


class SaxsInferConfig(Model):
    """The network's answer."""

    weights: Literal["trained", "shipped"] = Field("shipped", description="madpipe's own network, or one of this run")
    foreign: float = Field(
        0.99, gt=0, lt=1, description="share of known curves below whose distance a curve is not foreign [1]"
    )
    refit: int = Field(3, ge=0, description="most probable classes that are fitted")


class SaxsEvaluateConfig(Model):
    """Score of the network on curves that no training saw."""

    curves: int = Field(2000, ge=64, description="simulated curves of the classes; 10000 tell")
    foreign: int = Field(500, ge=16, description="curves of each foreign kind")


class SaxsAblationConfig(Model):
    """Comparison of variants of the network: trainings that differ in one thing."""

    seeds: int = Field(3, ge=1, description="trainings of each variant")
    train: SaxsTrainConfig = Field(
        SaxsTrainConfig(table=2048, steps=800, validate_every=200, batch=64, calibration_curves=1024),
        description="what all trainings share",
    )
    compared: int = Field(2000, ge=64, description="held-out curves")
