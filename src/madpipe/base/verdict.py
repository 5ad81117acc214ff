"""A check: a number, its limit, whether it passes, and what it means."""

from typing import TypedDict


class Verdict(TypedDict):
    """One check."""

    value: float
    limit: float
    passed: bool
    meaning: str


def verdict(value: float, limit: float, at_most: bool, meaning: str) -> Verdict:
    """Make a verdict: passed when the value is at most, or at least, the limit; NaN never passes."""
    passed = value <= limit if at_most else value >= limit
    return Verdict(value=float(value), limit=float(limit), passed=bool(passed), meaning=meaning)
