"""Float64, one thread and a seeded generator for every test."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

torch.set_num_threads(1)
torch.set_flush_denormal(True)


@pytest.fixture(autouse=True)
def _float64_on_one_thread():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # a command that a test before ran may have left another number


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(20261120)


@pytest.fixture(scope="session")
def shared():
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent: the measured data are not at hand")
    return SHARED
