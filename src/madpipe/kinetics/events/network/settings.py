"""Settings of the network of events and its training."""

from pydantic import Field

from madpipe.base.training_config import (
    Batch,
    GradientClip,
    LearningRate,
    Patience,
    Steps,
    TrainingConfig,
    ValidateEvery,
)


class EventsTrainConfig(TrainingConfig):
    """Network of events: its design, the series that it is trained on, the schedule."""

    batch: Batch = 8
    steps: Steps = 2500
    validate_every: ValidateEvery = 250
    learning_rate: LearningRate = 2e-3
    gradient_clip: GradientClip = 1.0
    patience: Patience = 20
    width: int = Field(32, ge=8, description="features of a frame")
    layers: int = Field(8, ge=1, description="residual convolutions, whose reach doubles from one to the next up to 32")
    programme: bool = Field(True, description="the answer of the dynamic programme is among what the network sees")
    series: int = Field(1500, ge=8, description="drawn for the training")
    validation_series: int = Field(150, ge=8, description="drawn for the validation, where the threshold is chosen too")
    frames: int = Field(400, ge=80, description="longest series of the training")
