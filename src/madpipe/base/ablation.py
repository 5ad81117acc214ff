"""A training of an ablation, which differs from the others in one thing: drawn by its own name, and scored."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from madpipe.base.runtime import generator_for
from madpipe.base.weights import AnyTrained


def trained_and_scored(
    study: str,
    variant: str,
    training: int,
    seed: int,
    train: Callable[[torch.Generator], AnyTrained],
    score: Callable[[AnyTrained], Mapping[str, Any]],
) -> tuple[AnyTrained, dict[str, Any]]:
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
        The network, and its scores headed by ``variant`` and ``seed``, the training's number.
    """
    trained = train(generator_for(seed, f"{study}_ablation", variant, str(training)))
    return trained, {"variant": variant, "seed": training, **score(trained)}
