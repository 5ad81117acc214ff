"""What every benchmark records beside its time: device, threads, commit."""

import json
import subprocess
import sys

import pytest
import torch

from madpipe.base import provenance, runtime


@pytest.fixture
def record(benchmark):
    """Run a call and keep its throughput in items per second."""
    torch.set_default_dtype(torch.float64)
    runtime.fix_threads(2)

    def measure(call, items, unit, rounds=3):
        benchmark.pedantic(call, rounds=rounds, warmup_rounds=1)
        benchmark.extra_info[f"{unit} per second"] = items / benchmark.stats.stats.min
        benchmark.extra_info["device"] = str(runtime.device())
        benchmark.extra_info["threads"] = torch.get_num_threads()
        benchmark.extra_info["commit"] = provenance.git_commit()

    return measure


@pytest.fixture
def record_apart(record, benchmark):
    """Run a program in a process of its own, that prints its seconds and peak_mb last; its last word is the threads."""

    def measure(program, words, folder, points):
        command = [sys.executable, "-c", program, *words, str(torch.get_num_threads())]
        answers = []

        def call():
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            answers.append(json.loads(done.stdout.splitlines()[-1]))

        record(call, points, "points, start of the process included,", rounds=1)
        benchmark.extra_info["seconds"] = min(answer["seconds"] for answer in answers)
        benchmark.extra_info["peak memory [MB]"] = max(answer["peak_mb"] for answer in answers)

    return measure
