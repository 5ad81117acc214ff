"""Shares within stated intervals: of the widths that the answer states, and the worst shell beside the mean."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from madpipe.base import store
from madpipe.base.tables import read_csv, write_csv
from madpipe.mad.config import FitConfig, SimulatedSample, ValidateConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.limits import CELL
from madpipe.mad.records import QUANTITIES
from madpipe.mad.scores.coverage import DUE, coverage_scores, half_width, photons_in_words, worst_of
from madpipe.mad.scores.records import PooledScore, ShellScore
from madpipe.mad.scores.suite.scores import LEVELS, score_suite
from madpipe.mad.scores.tables import COVERAGE, coverage_table
from madpipe.mad.scores.validate import score, truth_columns
from madpipe.mad.simulate.sample import simulate

CONFIG = ValidateConfig(noise_draws=2)


@pytest.fixture(scope="module")
def stack():
    torch.set_default_dtype(torch.float64)
    sample = SimulatedSample(dimensions=2, grid=48, photons=1e7)
    return simulate(sample, torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def stated(stack):
    """An answer that states 95 % intervals of its own, three standard errors to either side."""
    fit = fit_stack(stack, FitConfig())
    return replace(fit, **{f"{name}_errors_95": 3 * getattr(fit, f"{name}_errors") for name in QUANTITIES.values()})


def of(record, **values):
    return record(**{**{field.name: None for field in fields(record)}, "shell_low": 1.0, "shell_high": 10.0, **values})


def by_hand(stack, fit, field, low, half):
    """Points of a shell, and how many of them lie within a half width of the truth."""
    photons = stack.truth.expected.mean(axis=0)
    points = (photons >= low) & (photons < 10 * low)
    error = (getattr(fit, field) - truth_columns(stack)[field])[points]
    error = np.angle(np.exp(1j * error)) if field == "delta_phi" else error
    return int(points.sum()), float((np.abs(error) < half[points]).mean())


# widths


def test_between_the_stated_widths_lies_a_straight_line_and_a_normal_error_is_itself():
    sigma, half_95 = np.array([0.5, 2.0]), np.array([3.0, 1.96 * 2.0])
    for level in LEVELS:
        assert half_width(level, sigma, half_95)[1] == pytest.approx(2 * level)
    assert half_width(0.5, sigma, half_95)[0] == 0.25
    assert half_width(1.0, sigma, half_95)[0] == 0.5
    assert half_width(1.48, sigma, half_95)[0] == pytest.approx((0.5 + 3.0) / 2)
    assert half_width(1.96, sigma, half_95)[0] == pytest.approx(3.0)


@pytest.mark.parametrize("quantity", ["F_A", "delta_phi", "F_N"])
def test_an_answer_s_own_95_percent_interval_is_the_one_that_is_counted(stack, stated, rng, quantity):
    field = QUANTITIES[quantity]
    sigma = getattr(stated, f"{field}_errors")
    plain = replace(stated, **{f"{name}_errors_95": None for name in QUANTITIES.values()})
    for answer, half in ((stated, 3 * sigma), (plain, 1.96 * sigma)):
        scores = score(stack, {"network": answer}, {}, CONFIG, rng).answers["network"]
        low = 10.0
        points, share = by_hand(stack, answer, field, low, half)
        (row,) = [row for row in scores.shells if (row.quantity, row.shell_low) == (quantity, low)]
        assert (row.points, row.coverage_95) == (points, pytest.approx(share))
        assert row.coverage_68 == pytest.approx(by_hand(stack, answer, field, low, sigma)[1])


def test_the_suite_counts_the_same_intervals_and_lines_between_them(stack, stated, tmp_path):
    store.write(tmp_path / "one.h5", stack)
    scored = score_suite([("reference", "one", tmp_path / "one.h5")], lambda _: stated, "network", CONFIG)
    of_set = scored.sets["reference"]
    (row,) = [row for row in of_set.rows if (row.quantity, row.shell_low) == ("F_A", 10.0)]
    (line,) = [line for line in of_set.reliability if (line.quantity, line.shell_low) == ("F_A", 10.0)]
    sigma = stated.f_resonant_errors
    assert row.coverage_95 == pytest.approx(by_hand(stack, stated, "f_resonant", 10.0, 3 * sigma)[1])
    for level, share in zip(line.levels, line.shares, strict=True):
        wide = level if level <= 1 else 1 + (level - 1) / 0.96 * 2
        assert share == pytest.approx(by_hand(stack, stated, "f_resonant", 10.0, wide * sigma)[1]), level
    table = coverage_table({"network": scored})
    write_csv(tmp_path / "coverage.csv", table, COVERAGE)
    assert read_csv(tmp_path / "coverage.csv", COVERAGE).equals(table)
    found = {(row.quantity, row.interval): row for row in of_set.coverage}
    assert found["F_A", "coverage_95"].worst_points >= CELL


def test_a_missing_modulus_is_held_against_the_interval_that_is_stated(rng, tmp_path):
    sample = SimulatedSample(dimensions=2, grid=48, photons=1e7, composition="pure_resonant")
    stack = simulate(sample, torch.Generator().manual_seed(6))
    fit = fit_stack(stack, FitConfig())
    narrow = replace(fit, f_normal_errors_95=0.5 * fit.f_normal_errors)
    store.write(tmp_path / "one.h5", stack)
    for answer, half in ((fit, 1.96 * fit.f_normal_errors), (narrow, 0.5 * fit.f_normal_errors)):
        scored = score_suite([("reference", "one", tmp_path / "one.h5")], lambda _, a=answer: a, "network", CONFIG)
        (row,) = [r for r in scored.sets["reference"].rows if r.control and r.shell_low == 10.0]
        photons = stack.truth.expected.mean(axis=0)
        points = (photons >= 10) & (photons < 100)
        assert row.zero_consistency == pytest.approx((fit.f_normal < half)[points].mean())


# the mean and the worst shell


def test_the_worst_shell_stands_beside_the_mean():
    shells = [
        of(ShellScore, quantity="F_A", points=CELL, coverage_68=0.60, coverage_95=0.99),
        of(ShellScore, quantity="F_A", points=3 * CELL, coverage_68=0.72, coverage_95=0.93, shell_low=10.0),
        of(ShellScore, quantity="F_A", points=CELL - 1, coverage_68=0.1, coverage_95=0.1, shell_low=100.0),
        of(ShellScore, quantity="F_T", points=5, coverage_68=1.0, coverage_95=None),
    ]
    found = {(row.quantity, row.interval): row for row in coverage_scores(shells)}
    assert found.keys() == {("F_A", "coverage_68"), ("F_A", "coverage_95"), ("F_T", "coverage_68")}
    wide = found["F_A", "coverage_95"]
    points = 5 * CELL - 1
    assert wide.share == pytest.approx((0.99 * CELL + 0.93 * 3 * CELL + 0.1 * (CELL - 1)) / points)
    assert (wide.points, wide.worst, wide.worst_shell_low, wide.worst_points) == (points, 0.99, 1.0, CELL)
    assert (found["F_A", "coverage_68"].worst, wide.worst_standard_error) == (0.60, None)
    few = found["F_T", "coverage_68"]
    assert (few.share, few.worst, few.worst_shell_low, few.worst_points) == (1.0, None, None, None)
    assert DUE["coverage_68"] == pytest.approx(0.6827, abs=5e-5)  # tables of the normal distribution
    assert DUE["coverage_95"] == pytest.approx(0.9500, abs=5e-5)


def test_of_a_zero_only_too_small_a_share_is_wrong():
    rows = [
        of(
            PooledScore,
            quantity="F_N",
            control=True,
            points=CELL,
            stacks=2,
            zero_consistency=share,
            zero_consistency_standard_error=0.01,
        )
        for share in (1.0, 0.93)
    ]
    (found,) = coverage_scores(rows)
    assert (found.interval, found.worst, found.worst_standard_error) == ("zero_consistency", 0.93, 0.01)
    assert worst_of(rows, "coverage_95") is None


@pytest.mark.parametrize(
    ("low", "high", "words"), [(0.3, 1.0, "0.3-1"), (300.0, 1e4, "300-1e4"), (1e5, None, "1e5 and more")]
)
def test_shells_in_words(low, high, words):
    assert photons_in_words(low, high) == words
    if high is None:
        assert photons_in_words(low, math.inf) == words
