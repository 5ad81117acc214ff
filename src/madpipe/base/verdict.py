"""A check: a number, its limit, whether it passes, and what it means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from madpipe.base.plain import from_plain, to_plain


@dataclass(frozen=True)
class Verdict:
    """One check."""

    value: float | None  # None where JSON cannot hold it
    limit: float
    passed: bool
    meaning: str


def verdict(value: float, limit: float, at_most: bool, meaning: str) -> Verdict:
    """Make a verdict: passed when the value is at most, or at least, the limit; NaN never passes."""
    passed = value <= limit if at_most else value >= limit
    return Verdict(value=float(value), limit=float(limit), passed=bool(passed), meaning=meaning)


def text_of(verdicts: Mapping[str, Verdict]) -> str:
    """Write verdicts as the JSON that a record keeps."""
    return json.dumps(to_plain(verdicts))


def verdicts_in(text: str) -> dict[str, Verdict]:
    """Read what :func:`text_of` wrote."""
    return {name: from_plain(Verdict, one, name) for name, one in json.loads(text).items()}
