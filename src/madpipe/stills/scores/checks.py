"""Checks of a set of still images."""

from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.stills.scores.records import StillsScores


def checks_of_file(path: str | Path) -> list[Check]:
    """List every check of the set whose scores.json this is; its name is its folder's."""
    scores, sample = read_json(path, StillsScores), Path(path).parent.name
    return [check_of("stills", sample, "images", name, made) for name, made in scores.verdicts.items()]


def said_of_file(path: str | Path) -> list[Said]:
    """List what is warned of, and which images failed."""
    scores, sample = read_json(path, StillsScores), Path(path).parent.name
    lines = [*scores.warnings, *(f"{image}: {why}" for image, why in scores.failed.items())]
    return [Said("stills", sample, line) for line in lines]
