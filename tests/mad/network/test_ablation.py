"""The ablation's table by hand, and what its variants change."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from madpipe.base.plain import from_plain, to_plain
from madpipe.base.runtime import generator_for
from madpipe.base.tables import frame, read_csv, records, write_csv
from madpipe.mad.config import AblationConfig, TrainConfig
from madpipe.mad.fit.belief import Belief
from madpipe.mad.network.ablation import (
    SECTIONS,
    committees,
    compare_on_particles,
    table,
    threads,
    variant_config,
)
from madpipe.mad.network.ablation import (
    run as run_ablation,
)
from madpipe.mad.network.design import build
from madpipe.mad.network.design.committee import Committee
from madpipe.mad.network.design.sums import Seen
from madpipe.mad.network.train import train
from madpipe.mad.network.variants import BASE, DROPPED, VARIANTS
from madpipe.mad.network.weights import TrainedNetwork
from madpipe.mad.scores.records import Ablation, ShellErrors, TrainingScores
from madpipe.mad.scores.tables import ablation_schema

TINY = TrainConfig(width=8, dilations=(1, 2))
SMALL = AblationConfig(grid=16, compared=4)


def run(variant, seed, errors, coverage=0.6):
    """Scores of a training: an error per quantity and shell; predictions twice as bad."""
    shells = {shell: {"f_resonant": first, "f_normal": second} for shell, (first, second) in errors.items()}
    worse = {shell: {name: 2 * value**2 for name, value in each.items()} for shell, each in shells.items()}
    return TrainingScores(
        variant, seed, predicted=ShellErrors(worse, coverage / 2), refined=ShellErrors(shells, coverage)
    )


RUNS = [
    run(BASE, 0, {"1-10": (0.1, 0.2), "10-100": (0.05, 0.1)}),
    run(BASE, 1, {"1-10": (0.2, 0.2), "10-100": (0.05, 0.1)}, coverage=0.8),
    run("worse", 0, {"1-10": (0.2, 0.4), "10-100": (0.1, 0.2)}),
    run("worse", 1, {"1-10": (0.4, 0.4), "10-100": (0.1, 0.2)}),
    run("better", 0, {"1-10": (0.05, 0.1), "10-100": (0.025, 0.05)}),
]


def test_table_is_that_of_hand():
    rows = {row.variant: row for row in table(RUNS)}
    base = rows[BASE]
    assert all(
        base.ratios[f"{name} {shell}"] == pytest.approx(1) for name in ("f_resonant", "f_normal") for shell in ("1-10",)
    )
    assert base.overall == pytest.approx(1)
    # logarithms of the two are half of ln 2 to either side: their mean's standard error is that too
    assert base.ratios["f_resonant 1-10 error"] == pytest.approx(math.log(2) / 2)
    assert base.ratios["f_normal 1-10 error"] == 0
    assert base.overall_error == pytest.approx(math.log(2) / 8)
    assert (base.trainings, base.coverage_68) == (2, pytest.approx(0.7))
    assert rows["worse"].ratios["f_resonant 1-10"] == pytest.approx(2)
    assert rows["worse"].ratios["f_resonant 1-10 error"] == pytest.approx(2 * math.log(2) / 2)
    assert rows["worse"].overall == pytest.approx(2)
    assert rows["better"].ratios["f_resonant 1-10"] == pytest.approx(0.05 / math.sqrt(0.1 * 0.2))
    assert rows["better"].overall_error == 0


def test_table_is_sorted_with_the_best_first():
    assert [row.variant for row in table(RUNS)] == ["better", BASE, "worse"]


def test_the_table_is_written_and_read_as_it_is(tmp_path):
    rows = table(RUNS)
    schema = ablation_schema(rows)
    assert schema.names == [*to_plain(rows[0])]
    write_csv(tmp_path / "x.csv", frame(schema, rows), schema)
    assert records(read_csv(tmp_path / "x.csv", schema)) == [to_plain(row) for row in rows]
    assert from_plain(Ablation, to_plain(Ablation(tuple(rows)))).rows == tuple(rows)


def test_table_of_predictions_is_another():
    rows = {row.variant: row for row in table(RUNS, refined=False)}
    assert rows["worse"].ratios["f_normal 10-100"] == pytest.approx(4)  # twice the square: a ratio of two becomes four
    assert rows[BASE].coverage_68 == pytest.approx(0.35)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_variant_changes_what_it_says_and_nothing_else(variant):
    changed, plain = (variant_config(SMALL, name).model_dump() for name in (variant, BASE))
    found = {name: value for name, value in changed.items() if value != plain[name]}
    assert found == {name: value for name, value in VARIANTS[variant].items() if value != plain[name]}
    TrainConfig(**changed)  # copying does not check: what came out must be a valid training


def test_the_ablation_s_budget_is_every_variant_s():
    config = AblationConfig(grid=32, particles=17, steps=9, precision="full")
    for variant in VARIANTS:
        made = variant_config(config, variant)
        assert (made.prior.grid, made.particles, made.steps, made.precision) == (32, 17, 9, "full")
        assert made.volumes == made.validation_volumes == 0


def test_every_variant_differs_from_the_base_and_from_each_other():
    configs = [variant_config(AblationConfig(), variant).model_dump_json() for variant in VARIANTS]
    assert len(set(configs)) == len(VARIANTS)
    assert VARIANTS[BASE] == {}
    assert VARIANTS[DROPPED]["dropout"] > 0


def trained(seed=1, **changes):
    config = TINY.model_copy(update=changes)
    network = build(config, torch.Generator().manual_seed(seed))
    for name in ("z_root", "root"):
        getattr(network, name).copy_(torch.eye(len(getattr(network, name))))
    network.mean.copy_(torch.tensor([1.0, 0.7, 0.0]))
    return TrainedNetwork.of(network, config, "")


def test_comparison_is_on_the_same_measurements_whatever_the_network():
    first, again, other = (
        compare_on_particles(trained(seed, width=width).network(), SMALL, 7, BASE)
        for seed, width in ((1, 8), (1, 8), (2, 12))
    )
    assert first == again
    # untrained, both answer the prior: the same scores, for the same measurements, but for rounding
    for mine, others in ((first.predicted, other.predicted), (first.refined, other.refined)):
        assert mine.shells
        for shell, values in mine.shells.items():
            assert others.shells[shell] == pytest.approx(values, rel=1e-3)
    elsewhere = compare_on_particles(trained().network(), SMALL, 8, BASE)
    assert elsewhere != first


def test_a_job_trains_and_scores_its_variant_by_a_generator_of_its_name():
    """The name is part of the numbers."""
    config = SMALL.model_copy(update={"particles": 4, "steps": 2, "precision": "full"})
    values = {"config": config.model_dump(mode="json")}
    assert set(values) == set(SECTIONS)
    found, scores = run_ablation(**values, variant="curriculum", training=2, seed=5, code="abc")
    own = variant_config(config, "curriculum")
    right, _ = train(own, generator_for(5, "mad_ablation", "curriculum", "2"), code="abc")
    assert (found.config, found.fingerprint, threads(values["config"])) == (own, "abc", own.threads)
    assert all(torch.equal(found.state[name], tensor) for name, tensor in right.state.items())
    assert scores == compare_on_particles(right.network(), config, 5, "curriculum", 2)


def test_committees_are_of_the_seeds_and_of_the_dropped_one():
    found = committees([trained(1), trained(2)], trained(3, dropout=0.5))
    ensemble, dropout = found["ensemble"], found["Monte-Carlo dropout"]
    assert [member.training for member in ensemble.members] == [False, False]
    assert len(dropout.members) == 8
    assert all(member.training for member in dropout.members)


class Fixed(nn.Module):
    """A member that always says the same."""

    reach = 0

    def __init__(self, prediction):
        super().__init__()
        self.prediction = prediction

    def forward(self, seen):
        return [(self.prediction, seen.sums[0][:, 0])]


def six(matrices):
    """Entries of symmetric matrices."""
    return torch.stack([matrices[:, i, j] for i in range(3) for j in range(i, 3)])


def test_a_committee_s_error_is_its_members_and_their_spread(rng):
    root = torch.randn(3, 20, 3, 3, generator=rng)
    precision, means = root @ root.mT + 0.5 * torch.eye(3), torch.randn(3, 3, 20, generator=rng)
    members = [Fixed(Belief(mean, six(each))) for mean, each in zip(means, precision, strict=True)]
    seen = Seen((torch.ones(1, 6, 4, 5),), torch.eye(4)[None], volume=False)
    found = Committee(members)(seen)[-1][0]
    spread = torch.stack([torch.cov(means[:, :, point].T, correction=0) for point in range(20)])
    expected = torch.linalg.inv(torch.linalg.inv(precision).mean(0) + spread)
    assert_close(found.mean, means.mean(0), rtol=1e-10, atol=1e-12)
    assert_close(found.precision, six(expected), rtol=1e-9, atol=1e-9)
    twice = Committee([members[0], members[0]])(seen)[-1][0]
    assert_close(twice.mean, means[0], rtol=1e-12, atol=0)
    assert_close(twice.precision, six(precision[0]), rtol=1e-9, atol=1e-9)
