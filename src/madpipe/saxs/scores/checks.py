"""Checks of a sample's curves: each answer against its limits."""

from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.saxs.scores.records import SaxsScores


def checks_of_file(path: str | Path) -> list[Check]:
    """List every check of the sample whose scores.json this is; its name is its folder's."""
    scores, sample = read_json(path, SaxsScores), Path(path).parent.name
    return [check_of("saxs", sample, name.split("_")[0], name, made) for name, made in scores.verdicts.items()]


def said_of_file(path: str | Path) -> list[Said]:
    """List what is warned of, and what was said of fits that do not explain their curves."""
    scores, sample = read_json(path, SaxsScores), Path(path).parent.name
    lines = [*scores.warnings, *(one.verdict for one in scores.guinier if one.verdict)]
    return [Said("saxs", sample, line) for line in dict.fromkeys(lines)]
