"""Points per second of the exact fit, standard errors included."""

import pytest
import torch

from madpipe.mad.config import FitConfig, SimulatedSample
from madpipe.mad.fit import fit_stack
from madpipe.mad.sample import simulate


@pytest.mark.parametrize("photons", [1e6, 1e9])
def bench_exact_fit(record, photons):
    sample = SimulatedSample(dimensions=2, grid=256, photons=photons)
    stack = simulate(sample, torch.Generator().manual_seed(1))
    record(lambda: fit_stack(stack, FitConfig()), stack.data[0].size, "points")
