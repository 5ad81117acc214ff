"""All comparisons of the study in one file: what figures and pages quote."""

from itertools import product

from madpipe.base.runtime import progress
from madpipe.stills.config import StillsEvaluateConfig
from madpipe.stills.scores.integration import integration
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


def evaluate(config: StillsEvaluateConfig, seed: int) -> Evaluation:
    """Score each method of recovery on images whose truth is known.

    Parameters
    ----------
    config:
        Methods, offsets, and how many trials.
    seed:
        Of directions, domains and noise.
    """
    jobs = list(product(config.offset_methods, config.offsets))
    numbers = list(range(config.pulls))
    noisy = [
        mosaic_score(number, seed, config.photons, config.background) for number in progress(numbers, "noisy images")
    ]
    return Evaluation(
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
    )
