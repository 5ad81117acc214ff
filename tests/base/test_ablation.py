"""A training of an ablation is drawn by a generator of its own name."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from madpipe.base.ablation import trained_and_scored
from madpipe.base.runtime import generator_for
from madpipe.base.training_config import TrainingConfig


@dataclass(frozen=True)
class Kept:
    """A network that is one number."""

    number: int
    config: TrainingConfig

    def network(self):
        return nn.Identity()


def drawn(generator):
    config = TrainingConfig(batch=1, steps=1, validate_every=1)
    return Kept(int(torch.randint(1 << 40, (), generator=generator)), config)


def ablated(study="x", variant="none", training=0, seed=0):
    return trained_and_scored(study, variant, training, seed, drawn, lambda kept: {"score": kept.number})


def test_scores_are_headed_by_the_variant_and_the_training_s_number():
    trained, scores = ablated(variant="wide", training=2)
    assert scores == {"variant": "wide", "seed": 2, "score": trained.number}


@pytest.mark.parametrize("other", [{"study": "y"}, {"variant": "wide"}, {"training": 1}, {"seed": 1}])
def test_no_two_trainings_share_a_generator(other):
    assert ablated()[0].number == ablated()[0].number
    assert ablated(**other)[0].number != ablated()[0].number


def test_the_generator_is_named_after_study_variant_and_training():
    """Results of released versions depend on the name."""
    assert ablated("mad", "wide", 1, 7)[0] == drawn(generator_for(7, "mad_ablation", "wide", "1"))
