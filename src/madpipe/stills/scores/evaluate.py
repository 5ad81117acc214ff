"""All comparisons of the study in one file: what figures and pages quote."""

from dataclasses import fields, is_dataclass, replace
from itertools import product
from typing import Any

from madpipe.base.runtime import progress
from madpipe.stills.config import StillsEvaluateConfig
from madpipe.stills.network.evaluate import network_score, start_scores
from madpipe.stills.network.infer import Predictor
from madpipe.stills.scores.integration import integration
from madpipe.stills.scores.learned_partiality import learned_partialities
from madpipe.stills.scores.records import Evaluation
from madpipe.stills.scores.recovery import (
    START_MISSET,
    START_SPREAD,
    method_scores,
    mosaic_score,
    pull_score,
    radius_score,
)
from madpipe.stills.scores.traces import SHOWN, trace

_DOMAINS = 5  # random ones that both make and explain the data, as the published demo does

_BRIGHTNESSES = ((1e4, 1.0), (1e5, 1.0), (1e6, 0.1))  # Bragg photons of an image, background [photon/pixel]


def evaluate(config: StillsEvaluateConfig, seed: int, predictor: Predictor) -> Evaluation:
    """Score each method of recovery on images whose truth is known.

    Parameters
    ----------
    config:
        Methods, offsets, and how many trials.
    seed:
        Of directions, domains and noise.
    predictor:
        The network.
    """
    jobs = list(product(config.offset_methods, config.offsets))
    numbers = list(range(config.pulls))
    noisy = [
        mosaic_score(number, seed, config.photons, config.background) for number in progress(numbers, "noisy images")
    ]
    found = Evaluation(
        methods=tuple(method_scores(config.offset_methods, seed)),
        same_domains=tuple(method_scores(config.methods, seed, _DOMAINS)),
        radii=tuple(
            radius_score(method, offset, config.trials, seed) for method, offset in progress(jobs, "offsets of starts")
        ),
        trials=tuple(mosaic_score(number, seed) for number in progress(numbers, "images without noise")),
        noisy=tuple(noisy),
        pulls=pull_score(noisy),
        traces=tuple(trace(method, seed, START_MISSET, START_SPREAD) for method in SHOWN),
        integration=integration(config.integration, seed),
        starts=tuple(start_scores(predictor, config.offsets, config.trials, seed, config.beginnings)),
        network=tuple(
            network_score(predictor, config.network_images, photons, background, seed)
            for photons, background in _BRIGHTNESSES
        ),
        partialities=tuple(learned_partialities(config.partialities, seed)),
    )
    return found if config.timed else _without_seconds(found)


def _without_seconds(record: Any) -> Any:
    """The same record, and all in it, without seconds, which are others each time."""
    if isinstance(record, tuple):
        return tuple(_without_seconds(one) for one in record)
    if not is_dataclass(record) or isinstance(record, type):
        return record
    values = {field.name: _without_seconds(getattr(record, field.name)) for field in fields(record)}
    return replace(record, **{**values, **({"seconds": None} if "seconds" in values else {})})
