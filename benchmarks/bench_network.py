"""Points per second and peak memory of a prediction from disk to disk, in a process of its own."""

import pytest
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
def bench_network(record_apart, size, tmp_path):
    write_volume(tmp_path / "stack.h5", size)
    record_apart(PREDICT, ["stack.h5", "inferred.h5"], tmp_path, size**3)
