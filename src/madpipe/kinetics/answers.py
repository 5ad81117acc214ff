"""Everything that was made of one series, read from its files."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from madpipe.base import store
from madpipe.base.curves.records import Curves
from madpipe.base.plain import read_json
from madpipe.kinetics.records import Events, Parts, Rates, Truth


class Answers(NamedTuple):
    """A series, its answers and its truth, None where there is none."""

    curves: Curves
    parts: Parts | None
    rates: Rates | None
    events: Events | None
    truth: Truth | None


def read_answers(files: Mapping[str, str | Sequence[str]]) -> Answers:
    """Read the files of a series by the names of the steps that made them; no truth is an empty list."""
    one = {name: file if isinstance(file, str) else file[0] for name, file in files.items() if file}
    return Answers(
        curves=store.read(one["curves"], Curves),
        parts=store.read(one["decompose"], Parts) if "decompose" in one else None,
        rates=store.read(one["rates"], Rates) if "rates" in one else None,
        events=read_json(one["events"], Events) if "events" in one else None,
        truth=store.read(one["truth"], Truth) if "truth" in one else None,
    )
