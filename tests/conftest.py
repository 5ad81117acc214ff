"""Float64, one thread and a seeded generator for every test."""

from pathlib import Path

import pytest
import torch

from madpipe.base.runtime import fix_threads

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

fix_threads(1)


@pytest.fixture(autouse=True)
def _float64_on_one_thread():
    torch.set_default_dtype(torch.float64)
    if torch.get_num_threads() != 1:
        fix_threads(1)  # a command that a test before ran left another number


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(20261120)


@pytest.fixture(scope="session")
def shared():
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent: the measured data are not at hand")
    return SHARED
