"""Checks of a series' answers."""

from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.kinetics.scores.records import SeriesScores


def checks_of_file(path: str | Path) -> list[Check]:
    """List every check of the series whose scores.json this is; its name is its folder's."""
    scores, sample = read_json(path, SeriesScores), Path(path).parent.name
    found = []
    for key, made in scores.verdicts.items():
        of, _, name = key.partition(".")
        found.append(check_of("kinetics", sample, of, name, made))
    return found


def said_of_file(path: str | Path) -> list[Said]:
    """List what is warned of in the series whose scores.json this is."""
    scores = read_json(path, SeriesScores)
    return [Said("kinetics", Path(path).parent.name, line) for line in scores.warnings]
