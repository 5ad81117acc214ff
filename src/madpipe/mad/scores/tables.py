"""Tables of the scores: their schemas, and how a record's rows go into them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from madpipe.base.plain import to_plain
from madpipe.base.tables import Column, Schema, columns_of, frame
from madpipe.mad.scores.records import (
    AblationRow,
    ComparedScore,
    CoverageScore,
    SampleScores,
    ShellScore,
    SplitScore,
    SuiteScores,
)

SHELLS = Schema(
    "scores by shell",
    (Column("sample", "text"), Column("answer", "text", meaning="fit or network"), *columns_of(ShellScore)),
)
SPLIT = Schema(
    "errors of a network's answer by split counts",
    (
        Column("sample", "text"),
        Column("answer", "text", meaning="network"),
        *columns_of(SplitScore),
        Column("r_unseen", "real", meaning="R of the half of the counts that the answer has not seen, all shells"),
        Column("r_unseen_noise", "real", meaning="what noise alone makes it"),
    ),
)
COMPARISON = Schema("methods beside the exact fit", columns_of(ComparedScore))
COVERAGE = Schema(
    "how often stated intervals hold the truth",
    (Column("method", "text"), Column("set", "text"), *columns_of(CoverageScore)),
)


def shells_table(scores: SampleScores) -> pd.DataFrame:
    """Put the shells of every answer into one table."""
    rows = [
        {"sample": scores.sample, "answer": name, **to_plain(shell)}
        for name, answer in scores.answers.items()
        for shell in answer.shells
    ]
    return frame(SHELLS, rows)


def split_table(scores: SampleScores) -> pd.DataFrame:
    """Put what split counts say of a sample's answers into one table; without rows where there are no such answers.

    Squared errors are estimated without bias and may come out below 0; their roots are then given as 0 with the
    standard error upwards (:class:`madpipe.mad.scores.records.SplitScore`).
    """
    rows = [
        {
            "sample": scores.sample,
            "answer": name,
            **to_plain(row),
            "r_unseen": answer.split.r_unseen,
            "r_unseen_noise": answer.split.r_unseen_noise,
        }
        for name, answer in scores.answers.items()
        if answer.split is not None
        for row in answer.split.rows
    ]
    return frame(SPLIT, rows)


def coverage_table(results: Mapping[str, SuiteScores]) -> pd.DataFrame:
    """Put the coverages of every method on every set of the test suite into one table."""
    rows = [
        {"method": method, "set": name, **to_plain(row)}
        for method, result in results.items()
        for name, scored in result.sets.items()
        for row in scored.coverage
    ]
    return frame(COVERAGE, rows)


def ablation_schema(rows: Sequence[AblationRow]) -> Schema:
    """Give the schema of the ablation's table: columns of the shells that there are between those of every row."""
    names = dict.fromkeys(name for row in rows for name in row.ratios)
    ratios = tuple(Column(name, "real", meaning="rms error over the base's, or its standard error") for name in names)
    first, last = columns_of(AblationRow)[:3], columns_of(AblationRow)[3:]
    return Schema("the ablation", (*first, *ratios, *last))
