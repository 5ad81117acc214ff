"""Tables of the scores: their schemas, and how a record's rows go into them."""

from collections.abc import Sequence

import pandas as pd

from madpipe.base.plain import to_plain
from madpipe.base.tables import Column, Schema, columns_of, frame
from madpipe.mad.scores.records import AblationRow, ComparedScore, SampleScores, ShellScore

SHELLS = Schema(
    "scores by shell",
    (Column("sample", "text"), Column("answer", "text", meaning="fit or network"), *columns_of(ShellScore)),
)
COMPARISON = Schema("methods beside the exact fit", columns_of(ComparedScore))


def shells_table(scores: SampleScores) -> pd.DataFrame:
    """Put the shells of every answer into one table."""
    rows = [
        {"sample": scores.sample, "answer": name, **to_plain(shell)}
        for name, answer in scores.answers.items()
        for shell in answer.shells
    ]
    return frame(SHELLS, rows)


def ablation_schema(rows: Sequence[AblationRow]) -> Schema:
    """Give the schema of the ablation's table: columns of the shells that there are between those of every row."""
    names = dict.fromkeys(name for row in rows for name in row.ratios)
    ratios = tuple(Column(name, "real", meaning="rms error over the base's, or its standard error") for name in names)
    first, last = columns_of(AblationRow)[:3], columns_of(AblationRow)[3:]
    return Schema("the ablation", (*first, *ratios, *last))
