"""Points per second and peak memory of the fit in slabs, in a process of its own: neither may depend on the size."""

import h5py
import hdf5plugin
import numpy as np
import pytest

ENERGIES = np.arange(8313.0, 8349.0, 5.0)
F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)  # Chantler, Ni K
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
FIT = """
import json, sys, time
import torch
from madpipe.base import runtime
from madpipe.mad.fit.files import fit_file
from madpipe.mad.config import FitConfig

torch.set_default_dtype(torch.float64)
runtime.fix_threads(int(sys.argv[3]))
start = time.monotonic()
fit_file(sys.argv[1], sys.argv[2], FitConfig())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss would count the parent too
peak = int(status["VmHWM"].split()[0]) / 1e3
print(json.dumps({"seconds": time.monotonic() - start, "peak_mb": peak}))
"""


def write_volume(path, size):
    """A Bragg peak on a weak background in float32, bitshuffled as detectors do, written plane by plane."""
    draw, q = np.random.default_rng(1), np.linspace(-1, 1, size)
    texts = {"anomalous/element": "Ni", "anomalous/edge": "K", "anomalous/table": "Chantler", "title": "benchmark"}
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry_1")
        for name, value in (texts | {"sample_1/name": "benchmark"}).items():
            entry[name] = value
        for name, value in {"f_prime": F_PRIME, "f_double_prime": F_DOUBLE_PRIME, "f0": 20.52}.items():
            entry[f"anomalous/{name}"] = np.array(value)
        for name, value in {"energy": ENERGIES, "qz": q, "qy": q, "qx": q}.items():
            entry[f"data_1/{name}"] = value
        chunks = (1, 4, size, size)
        form = {"dtype": np.float32, "chunks": chunks, **hdf5plugin.Bitshuffle()}
        data = entry.create_dataset("data_1/data", (len(ENERGIES), size, size, size), **form)
        for plane in range(0, size, 4):
            square = q[plane : plane + 4, None, None] ** 2 + q[:, None] ** 2 + q**2
            expected = 30 * np.exp(-8 * square) + 1e5 * np.exp(-400 * square) + 0.05
            data[:, plane : plane + 4] = draw.poisson(expected, (len(ENERGIES), *square.shape))


@pytest.mark.parametrize("size", [48, 96, 160, 256])
def bench_volume(record_apart, benchmark, size, tmp_path):
    write_volume(tmp_path / "stack.h5", size)
    record_apart(FIT, ["stack.h5", "fit.h5"], tmp_path, size**3)
    benchmark.extra_info["points per second"] = size**3 / benchmark.extra_info["seconds"]
