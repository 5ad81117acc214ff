"""Configuration that every training has; a study's own section adds the network, its data and its loss."""

from typing import Annotated, Literal

from pydantic import Field

from madpipe.base.config import Model

# types that hold limits and description: where a study has a default of its own, it states no more than that
Batch = Annotated[int, Field(ge=1, description="examples per step")]
Steps = Annotated[int, Field(ge=1, description="optimiser steps")]
LearningRate = Annotated[float, Field(gt=0, description="peak learning rate of AdamW, cosine schedule [1]")]
GradientClip = Annotated[float, Field(gt=0, description="largest gradient norm [1]")]
ValidateEvery = Annotated[int, Field(ge=1, description="steps between validations and checkpoints")]
Patience = Annotated[int, Field(ge=1, description="validations without gain before the early stop")]
Precision = Annotated[
    Literal["full", "mixed"], Field(description="full: single precision; mixed: products may round, which is faster")
]
Workers = Annotated[int, Field(ge=0, description="threads that draw batches ahead of the steps; they change no number")]
Threads = Annotated[int, Field(ge=1, description="CPU threads; they change the last bits, hence they are fixed")]


class TrainingConfig(Model):
    """How long and how fast a network is trained, and on what: :meth:`madpipe.base.training.Schedule.of` reads it."""

    batch: Batch
    steps: Steps
    learning_rate: LearningRate = 1e-3
    weight_decay: float = Field(1e-4, ge=0, description="AdamW weight decay [1]")
    gradient_clip: GradientClip = 1.0
    validate_every: ValidateEvery
    patience: Patience = 20
    precision: Precision = "full"
    workers: Workers = 0
    threads: Threads = 1
