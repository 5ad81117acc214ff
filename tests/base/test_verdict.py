"""Verdicts in words, and those that failed."""

import math

import pytest

from madpipe.base.verdict import Verdict, failed, in_words, limit_in_words, text_of, verdict, verdicts_in

MADE = {
    "r_factor": verdict(0.97, 1.05, True, "R over its noise floor"),
    "hand": verdict(12.0, 50.0, False, "ln of how much likelier"),
    "support": verdict(1.0, 0.25, True, "share of the frame"),
}


def test_a_line_names_value_limit_and_meaning_and_what_failed_comes_first():
    assert in_words(MADE) == [
        "failed: hand 12 (at least 50): ln of how much likelier",
        "failed: support 1 (at most 0.25): share of the frame",
        "passed: r factor 0.97 (at most 1.05): R over its noise floor",
    ]
    assert list(failed(MADE)) == ["hand", "support"]


@pytest.mark.parametrize("value", [None, math.nan])
def test_no_number_has_no_side(value):
    assert limit_in_words(value, 0.5, False) == "0.5"


def test_what_a_file_holds_is_read_back():
    assert verdicts_in(text_of(MADE)) == MADE
    assert in_words({"profile": Verdict(None, 0.5, False, "m")}) == ["failed: profile no number (0.5): m"]
