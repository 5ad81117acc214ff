"""Scores: R meets its floor, wrong answers are seen, what cannot be known is left open."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, to_plain
from madpipe.mad.config import FitConfig, SimulatedSample, ValidateConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.measurement import calculated_photons, condition_number
from madpipe.mad.scores.records import SampleScores
from madpipe.mad.scores.tables import SHELLS, shells_table
from madpipe.mad.scores.validate import score, truth_columns
from madpipe.mad.simulate.sample import simulate

CONFIG = ValidateConfig(noise_draws=4)


@pytest.fixture(scope="module")
def case():
    torch.set_default_dtype(torch.float64)
    sample = SimulatedSample(dimensions=2, grid=48, photons=3e8, nonresonant_dispersion="mean")
    stack = simulate(sample, torch.Generator().manual_seed(5))
    return stack, fit_stack(stack, FitConfig())


def scores_of(stack, rng, **answers):
    return score(stack, answers, {}, CONFIG, rng)


def row(scores, quantity, low, answer="fit"):
    found = [r for r in scores.answers[answer].shells if r.quantity == quantity and r.shell_low == low]
    return found[0]


def test_the_truth_itself_scores_r_noise(case, rng):
    """With the truth as the answer R is a draw from its own noise floor."""
    stack, fit = case
    columns = truth_columns(stack)
    truth = replace(fit, **{name: columns[name] for name in ("f_total", "f_resonant", "delta_phi", "f_normal")})
    answer = scores_of(stack, rng, fit=truth).answers["fit"]
    draws = answer.r_noise_standard_error * CONFIG.noise_draws**0.5
    assert abs(answer.r_factor - answer.r_noise) < 5 * draws * (1 + 1 / CONFIG.noise_draws) ** 0.5


def test_fit_lies_below_its_noise_floor_by_the_parameters_it_took(case, rng):
    answer = scores_of(case[0], rng, fit=case[1]).answers["fit"]
    # 3 of 8 degrees of freedom per point are fitted: residuals shrink by sqrt(5/8) = 0.79
    assert answer.r_factor / answer.r_noise == pytest.approx((5 / 8) ** 0.5, rel=0.06)
    assert answer.chi2_per_dof == pytest.approx(1, abs=0.1)


def test_bright_shells_meet_the_bound_and_are_calibrated(case, rng):
    scores = scores_of(case[0], rng, fit=case[1])
    for quantity in ("F_T", "F_A", "delta_phi"):
        found = row(scores, quantity, 1e4)
        spread = 4 / (2 * found.points) ** 0.5
        assert found.efficiency == pytest.approx(1, abs=spread + 0.02)
        assert found.coverage_68 == pytest.approx(0.683, abs=4 * (0.683 * 0.317 / found.points) ** 0.5 + 0.01)


def test_a_wrong_answer_is_seen_by_truth_and_by_r(case, rng):
    stack, fit = case
    wrong = replace(fit, f_resonant=1.3 * fit.f_resonant)
    good, bad = (scores_of(stack, rng, fit=one) for one in (fit, wrong))
    assert row(bad, "F_A", 1e4).relative_rms > 5 * row(good, "F_A", 1e4).relative_rms
    assert bad.answers["fit"].r_factor > 2 * bad.answers["fit"].r_noise


def test_without_truth_the_network_is_held_against_the_fit(case, rng):
    stack, fit = case
    blind = replace(stack, truth=None)
    scores = scores_of(blind, rng, fit=fit, network=replace(fit, f_resonant=1.1 * fit.f_resonant, method="network"))
    assert scores.answers["fit"].shells == ()
    assert scores.network_against_fit["F_A"].relative_l1 == pytest.approx(0.1)
    assert scores.network_against_fit["F_T"].relative_l1 == 0


def test_scores_are_plain_json_and_the_table_flat(case, rng):
    scores = scores_of(case[0], rng, fit=case[1])
    plain = json.loads(json.dumps(to_plain(scores), allow_nan=False))
    assert from_plain(SampleScores, plain) == scores
    table = shells_table(scores)
    assert list(table.columns) == SHELLS.names
    assert table["points"][table["quantity"] == "F_T"].sum() == case[0].data[0].size
    assert set(table["sample"]) == {scores.sample}


def test_masked_points_do_not_score(case, rng):
    stack, fit = case
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[20:30, 20:30] = 1
    spoiled = replace(stack, mask=mask, data=np.where(mask, 10**6, stack.data).astype(np.uint32))
    clean = scores_of(replace(stack, mask=mask), rng, fit=fit).answers["fit"].r_factor
    assert scores_of(spoiled, rng, fit=fit).answers["fit"].r_factor == clean


def test_calculated_photons_of_the_truth_are_the_expected_ones(case):
    stack, fit = case
    columns = truth_columns(stack)
    truth = replace(fit, **{name: columns[name] for name in ("f_total", "f_resonant", "delta_phi")})
    assert np.allclose(calculated_photons(stack, truth), stack.truth.expected, rtol=1e-10, atol=1e-10)


def test_condition_number_sees_poor_energies(case):
    stack, _ = case
    narrow = replace(stack, f_prime=-6 + 0.01 * np.arange(8.0), f_double_prime=0.5 + 0.001 * np.arange(8.0) ** 1.5)
    assert condition_number(narrow) > 10 * condition_number(stack)


def test_thirds_by_the_stated_error_show_where_an_answer_claims_too_much(case, rng):
    """Errors a hundred times too small in the points that are surest: those alone are not covered."""
    stack, fit = case
    columns = truth_columns(stack)
    bright = columns["f_total"]
    surest = np.random.default_rng(3).random(stack.shape) < 0.4  # more than a third of every shell
    off = replace(fit, f_total=bright + 0.5, f_total_errors=np.where(surest, 0.005, 1.0))
    shares = scores_of(stack, rng, fit=off).answers["fit"].by_stated_error["F_T"]
    assert shares[0] == 0.0
    assert shares[1] > 0.7
    assert shares[2] == 1.0


def test_an_answer_to_another_stack_is_refused(case, rng):
    stack, fit = case
    smaller = replace(fit, f_total=fit.f_total[:40, :40])
    with pytest.raises(InputError, match=r"of \(48, 48\) points; the network has \(40, 40\)"):
        scores_of(stack, rng, network=smaller)
