"""Every check of every sample on one page: what its value is, what it may be, whether it passes, what it means.

Each study lists its own with ``checks(scores)`` in its module ``scores.checks``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from madpipe.base.metrics import finite
from madpipe.base.page import columns, folded, heading, paragraph, table
from madpipe.base.plain import read_json, to_plain, told
from madpipe.base.tables import Schema, columns_of
from madpipe.base.verdict import Verdict, limit_in_words

_HEAD = ("study", "sample", "of", "check", "value", "limit", "verdict", "meaning")


@dataclass(frozen=True)
class Check:
    """One check of a sample; its value and limit are in the unit that its meaning says, 1 where it says none."""

    study: str
    sample: str
    of: str = told("what is checked: the fit, the network's answer, an object by a route")
    name: str = told(key="check")
    value: float | None = told("None where it is no number")
    limit: float = told("at most or at least, as passed tells")
    passed: bool
    meaning: str
    compared: bool = told("of an answer that only stands beside another one; not counted")


@dataclass(frozen=True)
class Said:
    """What is warned of in a sample's data or answers."""

    study: str
    sample: str
    warning: str


@dataclass(frozen=True)
class Listed:
    """All that overview.json holds."""

    checks: tuple[Check, ...]
    warnings: tuple[Said, ...] = ()


CHECKS = Schema("checks", columns_of(Check))


def check_of(study: str, sample: str, of: str, name: str, made: Verdict, compared: bool = False) -> Check:
    """Give a verdict its place; a value that is no number is None, and does not pass."""
    value = None if made.value is None else finite(made.value)
    return Check(study, sample, of, name, value, made.limit, made.passed, made.meaning, compared)


def page(found: Sequence[Check], said: Sequence[Said] = ()) -> list[str]:
    """Draw up the page: how many pass, which do not, what is warned of, each sample's, then all of them."""
    own = [check for check in found if not check.compared]
    beside = [check for check in found if check.compared]
    failed = [check for check in own if not check.passed]
    parts = [paragraph(f"{'failed' if failed else 'passed'}: {_count(own)}")]
    if said:
        parts.append(paragraph(f"failed: {len(said)} warnings"))
    if beside:
        parts.append(paragraph(f"Answers that others are only compared with, not counted in it: {_count(beside)}"))
    if failed:
        parts += [heading("Checks that fail"), table(_HEAD, _rows(_by_name(failed)))]
    if said:
        names = ("study", "sample", "warning")
        rows = sorted(said, key=lambda one: (one.study, one.sample))
        parts += [heading("Warnings"), table(names, columns([to_plain(one) for one in rows], names))]
    parts.append(heading("By sample"))
    for study in dict.fromkeys(check.study for check in found):
        parts.append(table(*_by_sample([check for check in found if check.study == study])))
    parts.append(folded(f"All {len(own)} checks", table(_HEAD, _rows(own))))
    if beside:
        title = f"All {len(beside)} checks for comparison"
        parts.append(folded(title, table(_HEAD, _rows(beside))))
    return parts


def in_words(path: str | Path) -> list[str]:
    """Say on a terminal what an overview.json found: how many checks pass, which fail, what is warned of.

    Raises
    ------
    InputError
        No overview.json.
    """
    listed = read_json(path, Listed)
    own = [check for check in listed.checks if not check.compared]
    failed = _by_name([check for check in own if not check.passed])
    names = [f"{one.study} {one.sample} {one.of} {one.name} {_shown(one.value)} ({_limit(one)})" for one in failed]
    counted = f"{len(own) - len(failed)} of {len(own)} checks pass"
    lines = [counted + (f"; failing: {'; '.join(names)}" if names else "")]
    return lines + [f"warning: {one.study} {one.sample}: {one.warning}" for one in listed.warnings]


def _limit(check: Check) -> str:
    """The limit and on which side of it the value must lie."""
    return limit_in_words(check.value, check.limit, check.passed)


def _by_name(found: Sequence[Check]) -> list[Check]:
    """By study and sample."""
    return sorted(found, key=lambda check: (check.study, check.sample))


def _shown(value: float | None) -> str:
    """A value with three digits."""
    return "no number" if value is None else f"{value:.3g}"


def _count(found: Sequence[Check]) -> str:
    """How many pass, in words."""
    passing = sum(check.passed for check in found)
    return f"{passing} of {len(found)} checks pass, {len(found) - passing} do not."


def _rows(found: Sequence[Check]) -> list[list[str | float | None]]:
    """Checks as rows of a table."""
    words = {True: "passed", False: "failed"}
    shown = [
        {
            **to_plain(check),
            "limit": _limit(check),
            "verdict": words[check.passed],
        }
        for check in found
    ]
    return columns(shown, _HEAD)


def _by_sample(found: Sequence[Check]) -> tuple[list[str], list[list[str]]]:
    """One line per sample, one column per thing checked: how many of its checks pass; those for comparison plain."""
    samples = list(dict.fromkeys((check.study, check.sample) for check in found))
    things = list(dict.fromkeys(check.of for check in found))
    every = Counter((check.sample, check.of) for check in found)
    passing = Counter((check.sample, check.of) for check in found if check.passed)
    beside = {check.of for check in found if check.compared}

    def cell(place: tuple[str, str]) -> str:
        word = "" if place[1] in beside else "passed " if passing[place] == every[place] else "failed "
        return f"{word}{passing[place]} of {every[place]}" if every[place] else "-"

    rows = [[study, sample, *(cell((sample, thing)) for thing in things)] for study, sample in samples]
    return ["study", "sample", *things], rows
