"""Which remedy helps: trainings that differ in one thing, compared on the same held-out curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from madpipe.base.ablation import trained_and_scored
from madpipe.base.metrics import mean_with_error
from madpipe.rocking.config import (
    RockingAblationConfig,
    RockingEvaluateConfig,
    RockingFitConfig,
    RockingInferConfig,
    RockingTrainConfig,
)
from madpipe.rocking.network.evaluate import evaluate
from madpipe.rocking.network.infer import Predictor
from madpipe.rocking.network.train import train_and_keep
from madpipe.rocking.network.variants import BASE, VARIANTS
from madpipe.rocking.network.weights import TrainedCurveNetwork
from madpipe.rocking.prior import NAMES
from madpipe.rocking.scores.records import AblationRow, HeldOutScores, Mean, ParameterErrors, TrainingScores

SECTIONS = ("config", "infer", "fit")  # of the configuration, by the rule's names, that :func:`run` is handed


def threads(config: Mapping[str, Any]) -> int:
    """Count the CPU threads of each training of :func:`run`, which a job fixes first."""
    return variant_config(RockingAblationConfig(**config), BASE).threads


def run(
    config: Mapping[str, Any],
    infer: Mapping[str, Any],
    fit: Mapping[str, Any],
    *,
    variant: str,
    training: int,
    seed: int,
    code: str,
) -> tuple[TrainedCurveNetwork, TrainingScores]:
    """Train a variant and score it as the workflow does, from sections of the configuration in plain values."""
    section = RockingAblationConfig(**config)
    own = variant_config(section, variant)
    how = RockingInferConfig(**infer), RockingFitConfig(**fit)
    return trained_and_scored(
        "rocking",
        variant,
        training,
        seed,
        lambda generator: train_and_keep(own, generator, code=code)[0],
        lambda trained: training_scores(variant, training, compare(trained, section, *how, seed)),
    )


def variant_config(config: RockingAblationConfig, variant: str) -> RockingTrainConfig:
    """Give the training of a variant: what all share, but for one thing."""
    return config.train.model_copy(update=VARIANTS[variant])


def compare(
    trained: TrainedCurveNetwork,
    config: RockingAblationConfig,
    infer: RockingInferConfig,
    fit: RockingFitConfig,
    seed: int,
) -> HeldOutScores:
    """Score a network on the ablation's curves, the same for every network, alone and refined (remedy 4)."""
    conditions = RockingEvaluateConfig(curves=config.compared)
    return evaluate(Predictor(trained), conditions, infer, fit.model_copy(update={"samples": 0}), seed)


def training_scores(variant: str, seed: int, scores: HeldOutScores) -> TrainingScores:
    """Keep of a training's scores what the table needs."""
    return TrainingScores(variant, seed, scores.network, scores.refined, scores.good_share, scores.network_log_rms)


def table(runs: Sequence[TrainingScores]) -> list[AblationRow]:
    """Give the table, the least mean error of the network first, from the scores of every training."""
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        own = [run for run in runs if run.variant == variant]
        rows.append(
            AblationRow(
                variant=variant,
                trainings=len(own),
                network=_means([run.network for run in own]),
                refined=_means([run.refined for run in own]),
                network_log_rms=_mean([run.network_log_rms for run in own]),
                good_share=_mean([run.good_share for run in own]),
                over_none=math.nan,
            )
        )
    usual = next((row.network["mean"].value for row in rows if row.variant == BASE), math.nan)
    rows = [replace(row, over_none=row.network["mean"].value / usual) for row in rows]
    return sorted(rows, key=lambda row: row.network["mean"].value)


def _means(errors: Sequence[ParameterErrors]) -> dict[str, Mean]:
    """Errors of each parameter and of all, over trainings."""
    each: dict[str, Mean] = {name: _mean([one.each[name].value for one in errors]) for name in NAMES}
    return {**each, "mean": _mean([one.mean.value for one in errors])}


def _mean(values: Sequence[float]) -> Mean:
    """Mean and its standard error; that of a single value is not known, and given as zero."""
    return Mean(*mean_with_error(values))
