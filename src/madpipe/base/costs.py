"""What jobs cost: time and memory from Snakemake's benchmark files, by job and by rule."""

import csv
import dataclasses
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from madpipe.base.errors import InputError
from madpipe.base.page import Cell

_COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory_mb"}
RUNTIME_HEAD = ("rule", "jobs", "seconds", "longest (s)", "CPU seconds", "peak memory (MiB)")


@dataclass(frozen=True)
class Cost:
    """What one job took; None where Snakemake could not measure it, as of a job shorter than its sampling."""

    rule: str
    kind: str  # the rule, and its wildcards that are words but no sample's: jobs of one kind differ in their data only
    sample: str
    size: int | None  # of the data
    seconds: float  # wall time
    cpu_seconds: float | None
    memory_mb: float | None  # largest resident memory [MiB]


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


def read_costs(folder: str | Path, patterns: Mapping[str, str], sizes: Mapping[str, int]) -> list[Cost]:
    """Read every benchmark file below a folder that some rule writes.

    Parameters
    ----------
    folder:
        The logs; absent, nothing is found.
    patterns:
        Regular expression of each rule's benchmark files, with groups for its wildcards.
    sizes:
        Size of the data, by sample or by rule.

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
            size = sizes.get(sample, sizes.get(rule))
            found.append(Cost(rule, kind_of(rule, match.groupdict()), sample, size, **_measured(path)))
    return found


def _measured(path: Path) -> dict[str, float | None]:
    """Seconds and memory of one benchmark file, of its last line."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not set(_COLUMNS) <= set(rows[-1]) or _number(rows[-1]["s"]) is None:
        raise InputError(
            f"{path}: a benchmark file of Snakemake with the columns {', '.join(_COLUMNS)} is required; "
            "this one has not all of them, or no line; remove it, and run its job again."
        )
    return {name: _number(rows[-1][column]) for column, name in _COLUMNS.items()}


def _number(text: str | None) -> float | None:
    """A number, or None for Snakemake's NA and -."""
    try:
        return float(text or "")
    except ValueError:
        return None


def rows_from_costs(costs: Iterable[Cost]) -> list[dict[str, Cell]]:
    """Turn costs into rows of a table that :func:`costs_from_csv` reads."""
    return [dataclasses.asdict(cost) for cost in costs]


def costs_from_csv(path: str | Path) -> list[Cost]:
    """Read the costs of a run's jobs: the file ``jobs.csv`` of the rule ``runtimes``.

    Raises
    ------
    InputError
        No such file, or another table.
    """
    names = [field.name for field in dataclasses.fields(Cost)]
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: the costs of a run's jobs are required; there is no such file; run the workflow.")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or []) != names:
            raise InputError(
                f"{path}: the columns {', '.join(names)} are required; got {reader.fieldnames}; run again."
            )
        return [_cost_from_row(row) for row in reader]


def _cost_from_row(row: Mapping[str, str]) -> Cost:
    """One job's costs from text."""
    numbers = {name: _number(row[name]) for name in ("seconds", "cpu_seconds", "memory_mb")}
    size = int(row["size"]) if row["size"] else None
    return Cost(row["rule"], row["kind"], row["sample"], size, **{**numbers, "seconds": numbers["seconds"] or 0.0})


def by_rule(costs: Iterable[Cost]) -> list[dict[str, Cell]]:
    """Sum jobs by rule, the dearest first; keys are RUNTIME_HEAD."""
    groups: dict[str, list[Cost]] = {}
    for cost in costs:
        groups.setdefault(cost.rule, []).append(cost)
    table = [_summed(rule, group) for rule, group in groups.items()]
    return sorted(table, key=lambda row: -float(row["seconds"] or 0.0))


def _summed(rule: str, group: list[Cost]) -> dict[str, Cell]:
    """One rule's line."""
    seconds = [cost.seconds for cost in group]
    busy = [cost.cpu_seconds for cost in group if cost.cpu_seconds is not None]
    memory = [cost.memory_mb for cost in group if cost.memory_mb is not None]
    numbers = (len(group), sum(seconds), max(seconds), sum(busy) if busy else None, max(memory, default=None))
    return dict(zip(RUNTIME_HEAD, (rule, *numbers), strict=True))
