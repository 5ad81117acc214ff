"""Which loss and which design: trainings that differ in one thing, compared on the same measurements."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from madpipe.base.ablation import trained_and_scored
from madpipe.base.runtime import generator_for, progress
from madpipe.mad.config import AblationConfig, PriorConfig, TrainConfig
from madpipe.mad.network.design.committee import Committee
from madpipe.mad.network.train import train
from madpipe.mad.network.train.calibrate import measured_particle, scores_of
from madpipe.mad.network.train.scenes import draw_frames
from madpipe.mad.network.variants import BASE, VARIANTS
from madpipe.mad.network.weights import TrainedNetwork

_COMMITTEES = ("ensemble", "Monte-Carlo dropout")
_PASSES = 8  # of Monte-Carlo dropout
SECTIONS = ("config",)  # of the configuration, by the rule's names, that :func:`run` is handed
Scores = dict[str, Any]


def threads(config: Mapping[str, Any]) -> int:
    """Count the CPU threads of each training of :func:`run`, which a job fixes first."""
    return variant_config(AblationConfig(**config), BASE).threads


def run(
    config: Mapping[str, Any], *, variant: str, training: int, seed: int, code: str
) -> tuple[TrainedNetwork, Scores]:
    """Train a variant and score it as the workflow does, from a section of the configuration in plain values."""
    section = AblationConfig(**config)
    own = variant_config(section, variant)
    about = {"variant": variant, "seed": training}
    return trained_and_scored(
        "mad",
        variant,
        training,
        seed,
        lambda generator: train(own, generator, code=code)[0],
        lambda trained: about | compare_on_particles(trained.network(), section, seed),
    )


def variant_config(config: AblationConfig, variant: str) -> TrainConfig:
    """Give the training of a variant: what all share, but for one thing."""
    shared = TrainConfig(
        prior=PriorConfig(grid=config.grid),
        width=48,
        particles=config.particles,
        volumes=0,
        validation_particles=16,
        validation_volumes=0,
        steps=config.steps,
        predicted=0.3,
        curriculum=0.0,
        precision=config.precision,
        threads=1,
    )
    return shared.model_copy(update=VARIANTS[variant])


def compare_on_particles(network: nn.Module, config: AblationConfig, seed: int) -> Scores:
    """Score a network on the ablation's particles: the same measurements for every network.

    Returns
    -------
    :
        For prediction and refined answer: relative rms errors of |F_A| and |F_N| by shell, and the share of points of
        each quantity within one claimed error, which is not calibrated here.
    """
    generator = generator_for(seed, "mad_ablation", "particles")
    train = variant_config(config, BASE)
    prior = train.prior.model_copy(update={"disturbed": 0.0, "gap_share": 0.0})
    clean = train.model_copy(update={"prior": prior})
    scenes = draw_frames(prior, range(config.compared), generator, "particles")
    torch.manual_seed(seed)  # of Monte-Carlo dropout, the one thing that draws from torch's own generator
    samples = [
        measured_particle(network, clean, scenes, number, generator, kept=0)
        for number in progress(range(len(scenes)), "comparison")
    ]
    means = [sample.mean for sample in samples]
    result = {}
    for number, name in enumerate(("predicted", "refined")):
        found = [sample.answers[number] for sample in samples]
        inside = torch.cat([one.deviations["f_normal"] for one in found]).abs() < 1
        result[name] = {"shells": scores_of(found, means), "coverage_68": float(inside.double().mean())}
    return result


def committees(base: Sequence[TrainedNetwork], dropped: TrainedNetwork) -> dict[str, nn.Module]:
    """Form the committees that the single networks are compared with: an ensemble of seeds, and Monte-Carlo dropout."""
    noisy = dropped.network().train()
    members = ([trained.network() for trained in base], [noisy] * _PASSES)
    return {name: Committee(each) for name, each in zip(_COMMITTEES, members, strict=True)}


def table(runs: Sequence[Mapping[str, Any]], refined: bool = True) -> list[dict[str, Any]]:
    """Give the table: for each variant and shell the rms error of |F_N| and |F_A| over the base's, with standard error.

    Parameters
    ----------
    runs:
        Scores of every training with its ``variant`` and ``seed``.
    refined:
        Of the refined answers, else of the predictions.
    """
    which = "refined" if refined else "predicted"
    names = list(dict.fromkeys(run["variant"] for run in runs))
    base = [run for run in runs if run["variant"] == BASE]
    rows = []
    for name in names:
        own = [run for run in runs if run["variant"] == name]
        row: dict[str, Any] = {"variant": name, "trainings": len(own)}
        row["coverage_68"] = _mean([run[which]["coverage_68"] for run in own])[0]
        overall = []
        for shell, values in base[0][which]["shells"].items():
            for quantity in values:
                usual = _mean([math.log(run[which]["shells"][shell][quantity]) for run in base])[0]
                ratios = [math.log(run[which]["shells"][shell][quantity]) - usual for run in own]
                mean, error = _mean(ratios)
                row[f"{quantity} {shell}"], row[f"{quantity} {shell} error"] = math.exp(mean), math.exp(mean) * error
                overall.append(ratios)
        mean, error = _mean([sum(each) / len(each) for each in zip(*overall, strict=True)])
        row["overall"], row["overall error"] = math.exp(mean), math.exp(mean) * error
        rows.append(row)
    return sorted(rows, key=lambda row: row["overall"])


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; the error of a single value is not known, and given as zero."""
    number = len(values)
    mean = sum(values) / number
    if number < 2:
        return mean, 0.0
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (number * (number - 1)))
