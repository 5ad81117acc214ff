"""What is warned of: said once, kept in the result, heard by whoever listens."""

import warnings
from dataclasses import dataclass

import pytest

from madpipe.base.warned import DataWarning, heard, keeping, kept, warn


@dataclass(frozen=True)
class _Made:
    value: int
    warnings: str | None = None


def test_a_line_is_said_and_kept_once():
    with heard() as said, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            warn("the hand is undetermined")
    assert said == ["the hand is undetermined"]
    assert [one.category for one in caught] == [DataWarning]


def test_who_listens_outside_hears_what_is_said_inside():
    with warnings.catch_warnings(), heard() as outside:
        warnings.simplefilter("ignore")
        warn("one")
        with heard() as inside:
            warn("two")
    assert inside == ["two"]
    assert outside == ["one", "two"]


def test_a_record_keeps_what_its_making_said_after_what_it_had():
    @keeping
    def make(says):
        if says:
            warn("new")
        return _Made(1, "old")

    with pytest.warns(DataWarning):
        assert make(True).warnings == "old\nnew"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make(False).warnings == "old"


def test_lines_of_several_sources_are_kept_once_and_none_is_none():
    assert kept("a\nb", None, ["b", "c"]) == "a\nb\nc"
    assert kept(None, ()) is None
