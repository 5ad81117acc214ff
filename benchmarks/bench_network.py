"""Points per second and peak memory of a prediction from disk to disk, in a process of its own."""

import json
import subprocess
import sys

import pytest
import torch
from bench_volume import write_volume

PREDICT = """
import json, sys, time
from madpipe import cli

start = time.monotonic()
assert cli.main(["predict", sys.argv[1], "-o", sys.argv[2], "--threads", sys.argv[3]]) == 0
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss would count the parent too
print(json.dumps({"seconds": time.monotonic() - start, "peak_mb": int(status["VmHWM"].split()[0]) / 1e3}))
"""


@pytest.mark.parametrize("size", [48, 96, 128])
def bench_network(record, benchmark, size, tmp_path):
    write_volume(tmp_path / "stack.h5", size)
    words = [sys.executable, "-c", PREDICT, "stack.h5", "inferred.h5", str(torch.get_num_threads())]
    answers = []

    def predict():
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout.splitlines()[-1]))

    record(predict, size**3, "points of 8 energies, start of the process included,", rounds=1)
    benchmark.extra_info["seconds"] = min(answer["seconds"] for answer in answers)
    benchmark.extra_info["peak memory [MB]"] = max(answer["peak_mb"] for answer in answers)
