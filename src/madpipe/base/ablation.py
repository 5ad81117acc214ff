"""A training of an ablation, which differs from the others in one thing: drawn by its own name, and scored."""

from collections.abc import Callable
from typing import TypeVar

import torch

from madpipe.base.runtime import generator_for
from madpipe.base.weights import AnyTrained

AnyScores = TypeVar("AnyScores")


def trained_and_scored(
    study: str,
    variant: str,
    training: int,
    seed: int,
    train: Callable[[torch.Generator], AnyTrained],
    score: Callable[[AnyTrained], AnyScores],
) -> tuple[AnyTrained, AnyScores]:
    """Train a variant of a network, and score it.

    Parameters
    ----------
    study, variant, training, seed:
        Whose names, with the configuration's seed, the generator is made from: no two trainings share one.
    train:
        Trains with that generator.
    score:
        Scores what came out, on the same data for every network.

    Returns
    -------
    :
        The network and its scores.
    """
    trained = train(generator_for(seed, f"{study}_ablation", variant, str(training)))
    return trained, score(trained)
