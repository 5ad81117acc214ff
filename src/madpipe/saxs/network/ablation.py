"""Trainings that differ in one thing, scored on the same curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madpipe.base.ablation import trained_and_scored
from madpipe.base.metrics import mean_with_error
from madpipe.saxs.network.evaluate import ShapeScores, evaluate
from madpipe.saxs.network.settings import SaxsAblationConfig, SaxsEvaluateConfig, SaxsTrainConfig
from madpipe.saxs.network.train import train_and_keep
from madpipe.saxs.network.variants import BASE, VARIANTS
from madpipe.saxs.network.weights import TrainedShapeNetwork

SECTIONS = ("config",)  # of the configuration, by the rule's names, that :func:`run` is handed


def threads(config: Mapping[str, Any]) -> int:
    """Count the CPU threads of each training of :func:`run`, which a job fixes first."""
    return variant_config(SaxsAblationConfig(**config), BASE).threads


@dataclass(frozen=True)
class VariantScores:
    """Scores of one training."""

    variant: str
    training: int
    scores: ShapeScores


@dataclass(frozen=True)
class VariantRow:
    """Means over the trainings of a variant, with their standard errors."""

    variant: str
    trainings: int
    accuracy: tuple[float, float]
    accuracy_hidden: tuple[float, float]
    calibration_error: tuple[float, float]
    cube: tuple[float, float]  # area under the curve of cubes as foreigners
    mixture: tuple[float, float]

    def flat(self) -> dict[str, str | int | float]:
        """Cells of a table: each mean with its standard error behind it."""
        cells: dict[str, str | int | float] = {"variant": self.variant, "trainings": self.trainings}
        for name in ("accuracy", "accuracy_hidden", "calibration_error", "cube", "mixture"):
            cells[name], cells[f"{name} error"] = getattr(self, name)
        return cells


def run(
    config: Mapping[str, Any], *, variant: str, training: int, seed: int, code: str
) -> tuple[TrainedShapeNetwork, VariantScores]:
    """Train and score a variant as the workflow does: a section of the configuration in plain values."""
    section = SaxsAblationConfig(**config)
    own = variant_config(section, variant)
    conditions = SaxsEvaluateConfig(curves=section.compared)
    return trained_and_scored(
        "saxs",
        variant,
        training,
        seed,
        lambda generator: train_and_keep(own, generator, code=code)[0],
        lambda trained: VariantScores(variant, training, evaluate(trained, conditions, seed)),
    )


def variant_config(config: SaxsAblationConfig, variant: str) -> SaxsTrainConfig:
    """Give the training of a variant: what all share, but for one thing."""
    return config.train.model_copy(update=VARIANTS[variant])


def table(runs: Sequence[VariantScores]) -> list[VariantRow]:
    """Give the table, the most accurate first, from the scores of every training."""
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        own = [run.scores for run in runs if run.variant == variant]
        rows.append(
            VariantRow(
                variant=variant,
                trainings=len(own),
                accuracy=mean_with_error([one.accuracy for one in own]),
                accuracy_hidden=mean_with_error([one.accuracy_hidden for one in own]),
                calibration_error=mean_with_error([one.calibration_error for one in own]),
                cube=mean_with_error([one.foreign["cube"] for one in own]),
                mixture=mean_with_error([one.foreign["mixture"] for one in own]),
            )
        )
    return sorted(rows, key=lambda row: -row.accuracy[0])
