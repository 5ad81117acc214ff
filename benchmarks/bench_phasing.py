"""Time of one iteration of one start in the phasing engine."""

import math

import pytest
import torch

from madpipe.base import runtime
from madpipe.physics import phasing


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("ceiling", [math.inf, 1.25], ids=["free", "ceiling"])
@pytest.mark.parametrize("algorithm", sorted(phasing.STEPS))
def bench_iteration(record, benchmark, algorithm, ceiling, size):
    seeds, device = 4, runtime.device()
    generator = torch.Generator().manual_seed(1)
    shape = (seeds, size, size, size)
    density = torch.randn(shape, generator=generator, dtype=torch.complex64).to(device)
    modulus = torch.rand(shape[1:], generator=generator, dtype=torch.float32).to(device)
    support = (torch.rand(shape, generator=generator) > 0.9).to(device)
    moduli = phasing.impose(modulus, torch.ones_like(support[0]), 0.1 * modulus)

    def iterate():
        phasing.STEPS[algorithm](density, moduli, support, 0.9, ceiling)[(-1,) * 4].item()  # waits for a GPU

    record(iterate, seeds, "iterations and seeds", rounds=5)
    benchmark.extra_info["ms per iteration and seed"] = 1e3 * benchmark.stats.stats.min / seeds
