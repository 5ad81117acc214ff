"""What jobs cost: time and memory from Snakemake's benchmark files, by job and by rule."""

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, told
from madpipe.base.tables import Cell, Column, Schema, columns_of, frame, read_cells, read_csv, records

_COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory_mb"}


@dataclass(frozen=True)
class Cost:
    """What one job took; None where Snakemake could not measure it, as of a job shorter than its sampling."""

    rule: str
    kind: str = told("the rule, and its wildcards that are words but no sample's: such jobs differ in their data only")
    sample: str
    size: int | None = told("of the data")
    seconds: float = told("wall time", "second")
    cpu_seconds: float | None = told("time of processors", "second")
    memory_mb: float | None = told("largest resident memory", "MiB")


JOBS = Schema("the costs of a run's jobs", columns_of(Cost))
RUNTIMES = Schema(
    "what the rules took",
    (
        Column("rule", "text"),
        Column("jobs", "whole"),
        Column("seconds", "real", "second", "wall time of all jobs"),
        Column("longest (s)", "real", "second", "wall time of one job"),
        Column("CPU seconds", "real", "second", "of all jobs that were measured", optional=True),
        Column("peak memory (MiB)", "real", "MiB", "of any job that was measured", optional=True),
    ),
)


Sizes = Mapping[str, Mapping[str, int]]  # of what there is to do, by study, then by sample or by rule


def machine() -> str:
    """Name this machine's processor, its CPUs, and its GPU if there is one."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    processor = named[1] if named else platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} CPUs ({processor}), {gpu}"


def kind_of(rule: str, wildcards: Mapping[str, str]) -> str:
    """Name the jobs that differ in their data only: one method of a comparison, one design of a network."""
    words = (value for name, value in sorted(wildcards.items()) if name != "sample")
    return " ".join([rule, *(word.strip("_") for word in words if word and not word.isdigit())])


def size_of(sizes: Sizes, rule: str, sample: str) -> int | None:
    """Say how much a job has to do: as much as its sample's data are, or else as its rule; None where nobody knows."""
    of_study = sizes.get(rule.partition("_")[0], {})
    return of_study.get(sample, of_study.get(rule))


def read_costs(folder: str | Path, patterns: Mapping[str, str], sizes: Sizes) -> list[Cost]:
    """Read every benchmark file below a folder that some rule writes.

    Parameters
    ----------
    folder:
        The logs; absent, nothing is found.
    patterns:
        Regular expression of each rule's benchmark files, with groups for its wildcards.
    sizes:
        What there is to do, by study, then by sample or by rule.

    Raises
    ------
    InputError
        A file lacks a column, or its line of numbers.
    """
    # a pattern without wildcards goes first: the others may match its file too
    known = sorted(((rule, re.compile(pattern)) for rule, pattern in patterns.items()), key=lambda one: one[1].groups)
    found = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        matches = ((rule, pattern.fullmatch(str(path))) for rule, pattern in known)
        rule, match = next((one for one in matches if one[1]), ("", None))
        if match is not None:
            sample = match.groupdict().get("sample", "")
            size = size_of(sizes, rule, sample)
            found.append(Cost(rule, kind_of(rule, match.groupdict()), sample, size, **_measured(path)))
    return found


def _measured(path: Path) -> dict[str, Any]:
    """Seconds and memory of one benchmark file, of its last line."""
    cells = read_cells(path, "benchmarks", "\t")
    rows = records(cells) if set(_COLUMNS) <= set(cells.columns) else []
    if not rows or _number(rows[-1]["s"]) is None:
        raise InputError(
            f"{path}: a benchmark file of Snakemake with the columns {', '.join(_COLUMNS)} is required; "
            "this one has not all of them, or no line; remove it, and run its job again."
        )
    return {name: _number(rows[-1][column]) for column, name in _COLUMNS.items()}


def _number(text: Cell) -> float | None:
    """A number, or None for Snakemake's NA and -."""
    try:
        return float(text or "")
    except ValueError:
        return None


def costs_from_csv(path: str | Path) -> list[Cost]:
    """Read the costs of a run's jobs: the file ``jobs.csv`` of the rule ``runtimes``.

    Raises
    ------
    InputError
        No such file, or another table.
    """
    return [from_plain(Cost, row, str(path)) for row in records(read_csv(path, JOBS))]


def by_rule(costs: Iterable[Cost]) -> pd.DataFrame:
    """Sum jobs by rule, the dearest first: a table of RUNTIMES."""
    groups = frame(JOBS, costs).groupby("rule", sort=False)
    sums = groups.agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        longest=("seconds", "max"),
        busy=("cpu_seconds", lambda seconds: seconds.sum(min_count=1)),
        memory=("memory_mb", "max"),
    )
    table = sums.reset_index().set_axis(RUNTIMES.names, axis="columns")
    return table.sort_values("seconds", ascending=False, kind="stable", ignore_index=True)
