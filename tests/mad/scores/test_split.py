"""Scores of split counts: roots of unbiased squares, the true error beside them, a check on either side, words."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from split_record import PHOTONS, made

from madpipe.base import store
from madpipe.base.plain import from_plain, to_plain
from madpipe.base.tables import read_csv, write_csv
from madpipe.commands.about import about
from madpipe.mad import limits
from madpipe.mad.config import FitConfig, SimulatedSample, ValidateConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.scores.checks import checks
from madpipe.mad.scores.records import SampleScores
from madpipe.mad.scores.split import factor_of, in_words, root_of, split_scores, split_verdict, true_squares
from madpipe.mad.scores.tables import SPLIT, split_table
from madpipe.mad.scores.validate import score, truth_columns
from madpipe.mad.simulate.sample import simulate

NONE_WIDENED = {"widened": np.ones(4), "usual": math.nan}


@pytest.fixture(scope="module")
def case():
    torch.set_default_dtype(torch.float64)
    stack = simulate(SimulatedSample(dimensions=2, grid=48, photons=1e6), torch.Generator().manual_seed(5))
    return stack, replace(fit_stack(stack, FitConfig()), split=made(), method="network, refined")


def truth_as_answer(stack, fit):
    columns = truth_columns(stack)
    names = ("f_total", "f_resonant", "delta_phi", "f_normal", "delta_phi_na")
    return replace(fit, **{name: columns[name] for name in names})


def row_of(scores, quantity, low):
    (row,) = [row for row in scores.rows if (row.quantity, row.shell_low) == (quantity, low)]
    return row


# errors


def test_roots_of_squares_with_their_errors_upwards():
    assert root_of(0.09, 0.07) == (pytest.approx(0.3), pytest.approx(0.1))
    assert root_of(4.0, 0.004) == (2.0, pytest.approx(0.001, rel=1e-3))  # sigma over twice the root
    assert root_of(-0.5, 0.16) == (0.0, pytest.approx(0.4))


def test_rows_are_the_record_s_roots():
    scores = split_scores(made())
    assert [(row.quantity, row.shell_low) for row in scores.rows] == [
        (quantity, low) for quantity in ("F_T", "F_A", "F_N") for low in PHOTONS[:, 0]
    ]
    first, second, last = (row_of(scores, "F_A", low) for low in (10.0, 30.0, 300.0))
    assert first.rms_error == pytest.approx(math.sqrt(4 * 0.16))
    assert (first.stated_rms, first.fit_rms) == (pytest.approx(0.4), pytest.approx(math.sqrt(5 * 0.16)))
    assert (first.points, first.widened, first.true_rms_error) == (4000, 3.3, None)
    assert (second.rms_error, second.rms_error_standard_error) == (0.0, pytest.approx(math.sqrt(0.7 * 0.36)))
    assert last.shell_high is None
    assert (scores.r_unseen, scores.r_unseen_noise, scores.usual) == (0.21, 0.2, 0.013)
    assert split_scores(made(usual=math.nan)).usual is None


def test_the_truth_itself_has_no_error_and_a_turned_phase_a_chord(case):
    stack, fit = case
    exact = truth_as_answer(stack, fit)
    assert true_squares(exact, stack).max() < 1e-12 * np.abs(stack.truth.f_total).max() ** 2
    off = 0.3
    turned = replace(exact, delta_phi=exact.delta_phi + off, delta_phi_na=exact.delta_phi_na + off)
    squares = true_squares(turned, stack)
    chord = 4 * np.sin(off / 2) ** 2 * np.abs(stack.truth.f_resonant) ** 2
    assert np.allclose(squares[1], chord, rtol=1e-9, atol=1e-12)
    assert np.allclose(squares[[0, 2]], 0, atol=1e-12 * np.abs(stack.truth.f_total).max() ** 2)
    larger = replace(exact, f_total=exact.f_total + 2.0)
    assert np.allclose(true_squares(larger, stack)[0], 4.0)


def test_the_true_error_is_of_points_whose_half_is_in_the_shell(case):
    stack, fit = case
    shells = np.array([[1.0, 3.0], [3.0, 10.0], [10.0, 30.0], [1e8, math.inf]])
    dark = np.arange(8)[:, None, None] < 5  # three energies are left in some points, which halves cannot judge
    mask = (dark & (np.arange(48) < 24)).astype(np.uint32) * np.ones((8, 48, 48), dtype=np.uint32)
    scores = split_scores(made(photons=shells), fit, replace(stack, mask=mask))
    truth, off = stack.truth, np.zeros((48, 48))
    off[:] = np.abs(
        fit.f_resonant * np.exp(-1j * fit.delta_phi) - truth.f_resonant * np.exp(-1j * np.angle(truth.f_total))
    )
    half = truth.expected.mean(axis=0) / 2
    for low, high in shells[:3]:
        inside = (half >= low) & (half < high) & (np.arange(48) >= 24)
        assert row_of(scores, "F_A", low).true_rms_error == pytest.approx(np.sqrt(np.mean(off[inside] ** 2)))
    assert row_of(scores, "F_A", 1e8).true_rms_error is None


# the check


def test_stated_and_found_may_differ_by_what_their_errors_leave():
    scores = split_scores(made())
    row = replace(row_of(scores, "F_A", 10.0), rms_error=0.6, rms_error_standard_error=math.sqrt(0.40) - 0.6)
    # squares: 0.36 with error 0.04, hence 0.28 to 0.44
    assert factor_of(replace(row, stated_rms=0.2)) == pytest.approx(math.sqrt(0.28) / 0.2)
    assert factor_of(replace(row, stated_rms=1.2)) == pytest.approx(1.2 / math.sqrt(0.44))
    assert factor_of(replace(row, stated_rms=0.0)) == math.inf
    unknown = replace(row, rms_error=0.0, rms_error_standard_error=0.5)
    assert factor_of(replace(unknown, stated_rms=0.1)) < 1


@pytest.mark.parametrize(("factor", "passed"), [(0.5, False), (0.8, True), (1.0, True), (1.25, True), (2.0, False)])
def test_the_check_fails_on_either_side_in_one_shell(factor, passed):
    stated = made().stated
    found = stated.copy()
    found[2, 1] *= factor**2
    verdict = split_verdict(split_scores(made(squared_error=found, squared_error_errors=1e-6 * stated)))
    assert verdict.value == pytest.approx(max(factor, 1 / factor), rel=1e-4)
    assert (verdict.limit, verdict.passed) == (limits.STATED_BY_SPLIT, passed)
    assert factor == 1.0 or "F_A at 100-300 photons" in verdict.meaning


def test_shells_of_few_points_do_not_decide():
    wrong = made().stated * np.array([1.0, 1.0, 1.0, 100.0])[:, None]
    sure = {"squared_error": wrong, "squared_error_errors": 1e-6 * wrong}
    few = np.array([4000, 2000, 1000, limits.CELL - 1])
    assert split_verdict(split_scores(made(**sure, points=few))).passed
    assert not split_verdict(split_scores(made(**sure, points=few + 1))).passed
    assert split_verdict(split_scores(made(points=np.full(4, 60)))) is None


def test_shells_of_few_photons_do_not_decide():
    low = limits.SPLIT_FROM * np.array([1e-2, 1e-1, 1.0, 10.0])
    first_wrong = made().stated * np.array([1.0, 9.0, 1.0, 1.0])[:, None]
    sure = {"squared_error": first_wrong, "squared_error_errors": 1e-6 * first_wrong}
    many = {"points": np.full(4, 1000)}
    for shift, passed in ((0.99, True), (10.0, False)):
        photons = shift * np.stack([low, 10 * low], 1)
        assert split_verdict(split_scores(made(**sure, **many, photons=photons))).passed == passed


# scores, table, words


def test_scores_check_and_table_of_a_sample_with_and_without_truth(case, rng, tmp_path):
    stack, fit = case
    for given in (stack, replace(stack, truth=None)):
        answers = {"fit": replace(fit, split=None, method="exact"), "network": fit}
        found = score(given, answers, {}, ValidateConfig(noise_draws=2), rng)
        found = from_plain(SampleScores, json.loads(json.dumps(to_plain(found), allow_nan=False)))
        assert found.answers["fit"].split is None
        known = [row.true_rms_error is not None for row in found.answers["network"].split.rows]
        assert any(known) == (given.truth is not None)
        table = split_table(found)
        write_csv(tmp_path / "split.csv", table, SPLIT)
        assert read_csv(tmp_path / "split.csv", SPLIT).equals(table)
        assert (len(table), set(table["answer"]), set(table["r_unseen"])) == (12, {"network"}, {0.21})
        made_checks = {(check.of, check.name): check for check in checks(found)}
        assert not made_checks["network", "split"].passed  # the first shell states half of what is found
        assert ("fit", "split") not in made_checks
    none = replace(found, answers={"fit": found.answers["fit"]})
    write_csv(tmp_path / "none.csv", split_table(none), SPLIT)
    with (tmp_path / "none.csv").open() as file:
        assert list(csv.reader(file)) == [SPLIT.names]


def test_words_say_how_far_the_network_is_trusted():
    words = in_words(split_scores(made()))
    assert words.startswith(
        "the network knew less here than it stated: predictions widened up to 3.3 times, set aside in 1 of 4 shells of "
        "photons, where the counts alone answer, as 1.3 % of particles like the training's need or more; rms error of "
    )
    assert "at 10-30 photons" in words
    assert "(stated 0.2, a fit's 0.447)" in words
    assert words.endswith("R on unseen counts 0.21 (noise 0.2)")
    plain = in_words(split_scores(made(**NONE_WIDENED, points=np.full(4, 60))))
    assert plain == "no prediction had to be widened; R on unseen counts 0.21 (noise 0.2)"


def test_info_has_a_line_of_split_counts(case, tmp_path):
    _, fit = case
    for name, answer in (("inferred.h5", fit), ("fit.h5", replace(fit, split=None))):
        store.write(tmp_path / name, answer)
        lines = [line for line in about(tmp_path / name) if line.startswith("split counts: ")]
        assert lines == ([f"split counts: {in_words(split_scores(made()))}"] if answer.split else [])
