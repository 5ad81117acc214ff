"""A check: a number, its limit, whether it passes, and what it means."""

import json
import math
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


def limit_in_words(value: float | None, limit: float, passed: bool) -> str:
    """The limit and on which side of it the value must lie, which the verdict tells."""
    if value is None or math.isnan(value):
        return f"{limit:.4g}"
    return f"{'at most' if (value <= limit) == passed else 'at least'} {limit:.4g}"


def in_words(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Write a line for each verdict: its name, whether it passed, value, limit and meaning; what failed comes first."""
    return [
        f"{'passed' if one.passed else 'failed'}: {name.replace('_', ' ')} "
        f"{'no number' if one.value is None else f'{one.value:.4g}'} "
        f"({limit_in_words(one.value, one.limit, one.passed)}): {one.meaning}"
        for name, one in sorted(verdicts.items(), key=lambda item: item[1].passed)
    ]


def failed(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Give those that did not pass."""
    return {name: one for name, one in verdicts.items() if not one.passed}


def text_of(verdicts: Mapping[str, Verdict]) -> str:
    """Write verdicts as the JSON that a record keeps."""
    return json.dumps(to_plain(verdicts))


def verdicts_in(text: str) -> dict[str, Verdict]:
    """Read what :func:`text_of` wrote."""
    return {name: from_plain(Verdict, one, name) for name, one in json.loads(text).items()}
