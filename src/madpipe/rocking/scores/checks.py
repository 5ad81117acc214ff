"""Checks of a rocking curve: its fit, or its network's answer, against their limits."""

from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.rocking.scores.records import CurveScores


def checks_of_file(path: str | Path) -> list[Check]:
    """List every check of the answer whose scores these are; the sample's name is its folder's."""
    return checks(read_json(path, CurveScores), Path(path).parent.name)


def said_of_file(path: str | Path) -> list[Said]:
    """List what is warned of in the answer whose scores these are."""
    return [Said("rocking", Path(path).parent.name, line) for line in read_json(path, CurveScores).warnings]


def checks(scores: CurveScores, sample: str) -> list[Check]:
    """List every check of one answer to a sample's curve."""
    of = "network" if scores.method.startswith("network") else "fit"
    return [check_of("rocking", sample, of, name, made) for name, made in scores.verdicts.items()]
