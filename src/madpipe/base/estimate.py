"""What a run would take that was not made: its jobs from a dry run, each scaled from measured jobs of its kind."""

import heapq
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from madpipe.base.costs import Cost, Sizes, kind_of, size_of
from madpipe.base.errors import InputError
from madpipe.base.plain import to_plain, told
from madpipe.base.tables import Column, Schema, columns_of, frame

How = Literal["told", "measured", "scaled", "unknown"]
_JOB = re.compile(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A job that a dry run lists."""

    rule: str
    kind: str
    sample: str
    size: int | None  # of the data
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """What a job is expected to take, and how that is known."""

    seconds: float = told("on one core, or on the GPU where told", "second")
    memory_mb: float | None = told("largest resident memory", "MiB")
    how: How = told("where the numbers come from")


ESTIMATES = Schema("what jobs would take", (Column("rule", "text"), Column("kind", "text"), *columns_of(Estimate)))


def jobs_from_dry_run(listing: str, sizes: Sizes) -> list[Job]:
    """Read the jobs from what ``snakemake --dry-run`` prints.

    Parameters
    ----------
    listing:
        All of it.
    sizes:
        What there is to do, by study, then by sample or by rule.

    Raises
    ------
    InputError
        There is no job in it.
    """
    jobs = [_job(rule, body, sizes) for rule, body in _JOB.findall(listing)]
    if not jobs:
        raise InputError("the listing of `snakemake --dry-run --forceall` is required; no job is in it; look at it.")
    return jobs


def _job(rule: str, body: str, sizes: Sizes) -> Job:
    """One job from its block of lines."""
    told = dict(re.findall(r"^ {4}(\w+): (.*)$", body, re.MULTILINE))
    wildcards = dict(re.findall(r"(\w+)=([^,]*)", told.get("wildcards", "")))
    sample = wildcards.get("sample", "")
    inputs, outputs = (tuple(filter(None, told.get(name, "").split(", "))) for name in ("input", "output"))
    return Job(rule, kind_of(rule, wildcards), sample, size_of(sizes, rule, sample), inputs, outputs)


def estimate(job: Job, costs: Sequence[Cost], told: Mapping[str, float]) -> Estimate:
    """Estimate a job from measured jobs of its kind, by the size of its data.

    Between measured sizes seconds and memory are interpolated, both as powers of the size; beyond the largest they
    grow in proportion to it, below the smallest they stay.

    Parameters
    ----------
    job:
        What to estimate.
    costs:
        Of measured jobs; CPU seconds are taken, which other work on the machine changes least.
    told:
        Seconds that are known otherwise, by kind.
    """
    if job.kind in told:
        return Estimate(told[job.kind], None, "told")
    alike = [cost for cost in costs if cost.kind == job.kind] or [cost for cost in costs if cost.rule == job.rule]
    if not alike:
        return Estimate(0.0, None, "unknown")
    largest = max((cost.size for cost in alike if cost.size), default=None)
    scaled = job.size is not None and (largest is None or job.size > largest)
    seconds = _at(job.size, [(cost.size, cost.cpu_seconds or cost.seconds) for cost in alike])
    # a training or a comparison takes its frames one after another: more of them need no more memory
    size = job.size if job.sample else None
    memory = _at(size, [(cost.size, cost.memory_mb) for cost in alike if cost.memory_mb])
    return Estimate(seconds or 0.0, memory, "scaled" if scaled else "measured")


def estimates_table(jobs: Sequence[Job], estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Put jobs and their estimates into a table of ESTIMATES."""
    pairs = zip(jobs, estimates, strict=True)
    return frame(ESTIMATES, [{"rule": job.rule, "kind": job.kind, **to_plain(one)} for job, one in pairs])


def _at(size: int | None, points: Sequence[tuple[int | None, float]]) -> float | None:
    """A quantity at a size, from its values at others; where a size is missing their mean."""
    if not points:
        return None
    values: dict[int, list[float]] = {}
    for known, value in points:
        values.setdefault(known or 0, []).append(value)
    if size is None or 0 in values:
        return float(np.mean([value for _, value in points]))
    sizes = sorted(values)
    means = [float(np.mean(values[known])) for known in sizes]
    beyond = max(1.0, size / sizes[-1])
    return beyond * math.exp(float(np.interp(math.log(size), np.log(sizes), np.log(means))))


def followers(jobs: Sequence[Job]) -> list[list[int]]:
    """Number, for each job, those that need one of its files."""
    maker = {output: number for number, job in enumerate(jobs) for output in job.outputs}
    after: list[list[int]] = [[] for _ in jobs]
    for number, job in enumerate(jobs):
        for one in {maker[file] for file in job.inputs if file in maker}:
            after[one].append(number)
    return after


def tails(seconds: Sequence[float], after: Sequence[Sequence[int]]) -> list[float]:
    """Give the longest chain of jobs from each job's start to the end of the run [second]."""
    found: dict[int, float] = {}
    stack = list(range(len(seconds)))
    while stack:
        number = stack[-1]
        waiting = [one for one in after[number] if one not in found]
        stack.extend(waiting)
        if not waiting:
            found[stack.pop()] = seconds[number] + max((found[one] for one in after[number]), default=0.0)
    return [found[number] for number in range(len(seconds))]


def makespan(
    jobs: Sequence[Job], seconds: Sequence[float], slots: int, on_gpu: Collection[int] = (), gpus: int = 1
) -> float:
    """Play the run through: whatever is ready starts, that with the longest tail first [second].

    Parameters
    ----------
    jobs, seconds:
        What to run, and how long each takes.
    slots:
        Jobs at once.
    on_gpu, gpus:
        Numbers of the jobs that need a GPU, and how many GPUs there are.
    """
    after = followers(jobs)
    tail = tails(seconds, after)
    missing = [0] * len(jobs)
    for one in (one for ones in after for one in ones):
        missing[one] += 1
    ready = [number for number in range(len(jobs)) if not missing[number]]
    running: list[tuple[float, int]] = []
    now, free, free_gpus = 0.0, slots, gpus
    while ready or running:
        for number in sorted(ready, key=lambda one: -tail[one]):
            if free and (free_gpus or number not in on_gpu):
                ready.remove(number)
                heapq.heappush(running, (now + seconds[number], number))
                free, free_gpus = free - 1, free_gpus - (number in on_gpu)
        now, done = heapq.heappop(running)
        free, free_gpus = free + 1, free_gpus + (done in on_gpu)
        for one in after[done]:
            missing[one] -= 1
            ready += [one] * (not missing[one])
    return now
