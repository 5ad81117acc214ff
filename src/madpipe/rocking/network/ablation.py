"""Which remedy helps: trainings that differ in one thing, compared on the same held-out curves."""

import math
from collections.abc import Mapping, Sequence
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
from madpipe.rocking.network.infer import Predictor
from madpipe.rocking.network.train import train_and_keep
from madpipe.rocking.network.variants import BASE, VARIANTS
from madpipe.rocking.network.weights import TrainedCurveNetwork
from madpipe.rocking.prior import NAMES
from madpipe.rocking.scores.evaluate import Scores, evaluate

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
) -> tuple[TrainedCurveNetwork, Scores]:
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
        lambda trained: compare(trained, section, *how, seed),
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
) -> Scores:
    """Score a network on the ablation's curves, the same for every network, alone and refined (remedy 4)."""
    conditions = RockingEvaluateConfig(curves=config.compared)
    scores = evaluate(Predictor(trained), conditions, infer, fit.model_copy(update={"samples": 0}), seed)
    return {name: scores[name] for name in ("network", "refined", "good_share", "network_log_rms")}


def table(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give the table: mean absolute errors in percent of the ranges of each variant, with standard errors of the seeds.

    Parameters
    ----------
    runs:
        Scores of every training with its ``variant`` and ``seed``.
    """
    rows = []
    for variant in dict.fromkeys(run["variant"] for run in runs):
        own = [run for run in runs if run["variant"] == variant]
        row: dict[str, Any] = {"variant": variant, "trainings": len(own)}
        for answer in ("network", "refined"):
            for name in (*NAMES, "mean"):
                key = f"{answer} {name}"
                row[key], row[f"{key} error"] = mean_with_error([run[answer][name]["value"] for run in own])
        for name in ("network_log_rms", "good_share"):
            row[name], row[f"{name} error"] = mean_with_error([run[name] for run in own])
        rows.append(row)
    usual = next((row["network mean"] for row in rows if row["variant"] == BASE), math.nan)
    for row in rows:
        row["over none"] = row["network mean"] / usual
    return sorted(rows, key=lambda row: row["network mean"])
