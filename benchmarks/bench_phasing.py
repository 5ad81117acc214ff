"""Iterations and seeds per second of the phasing engine."""

import pytest
import torch

from madpipe.physics import phasing


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("algorithm", sorted(phasing.STEPS))
def bench_iteration(record, algorithm, size):
    generator = torch.Generator().manual_seed(1)
    shape = (2, size, size, size)
    density = torch.randn(shape, generator=generator, dtype=torch.complex64)
    modulus = torch.rand(shape[1:], generator=generator, dtype=torch.float32)
    support = torch.rand(shape, generator=generator) > 0.9
    known = torch.ones(shape[1:], dtype=torch.bool)
    step = phasing.STEPS[algorithm]
    record(lambda: step(density, modulus, known, support, 0.9, 1.25), 2, "iterations and seeds")
