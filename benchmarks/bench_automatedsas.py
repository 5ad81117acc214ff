"""AutomatedSAS: accuracy on its test curves of a classifier trained on its training curves and on simulated ones.

`pytest benchmarks/bench_automatedsas.py` takes about five minutes of one core.
"""

from pathlib import Path

import pytest
import torch

from madpipe.saxs.network.automatedsas import AutomatedSasConfig, accuracy, read_part, train

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "saxs" / "automatedsas.h5"
LEAST = {(0.0, True): 0.990, (0.0, False): 0.98, (0.01, True): 0.985, (0.01, False): 0.975}


@pytest.fixture(scope="module")
def network():
    if not DATA.is_file():
        pytest.skip("../shared/data is absent: the benchmark is not at hand")
    return train(read_part(DATA, "train"), AutomatedSasConfig(), torch.Generator().manual_seed(1))[0]


@pytest.mark.parametrize(("noise", "scale"), LEAST)
def bench_accuracy_on_the_test_curves(network, noise, scale):
    found = accuracy([network], read_part(DATA, "test"), noise, torch.Generator().manual_seed(77), scale=scale)
    assert found >= LEAST[noise, scale]
