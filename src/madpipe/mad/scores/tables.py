"""Tables of the scores: their schemas, and how a record's rows go into them."""

import pandas as pd

from madpipe.base.plain import to_plain
from madpipe.base.tables import Column, Schema, columns_of, frame
from madpipe.mad.scores.records import SampleScores, ShellScore

SHELLS = Schema(
    "scores by shell",
    (Column("sample", "text"), Column("answer", "text", meaning="fit or network"), *columns_of(ShellScore)),
)


def shells_table(scores: SampleScores) -> pd.DataFrame:
    """Put the shells of every answer into one table."""
    rows = [
        {"sample": scores.sample, "answer": name, **to_plain(shell)}
        for name, answer in scores.answers.items()
        for shell in answer.shells
    ]
    return frame(SHELLS, rows)
