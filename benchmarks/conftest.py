"""What every benchmark records beside its time: device, threads, commit."""

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
