"""Float64, one thread and a seeded generator for every test; how many processes share them, and in which order."""

import os
from pathlib import Path

import pytest
import torch

from madpipe.base.runtime import fix_threads

TESTS = Path(__file__).resolve().parent
SHARED = TESTS.parents[1] / "shared" / "data"
MOST_PROCESSES = 8  # each holds torch and all tests: half a gigabyte and ten seconds
# Files of minutes and half minutes: one that came last would leave the other processes idle.
LONGEST_FIRST = (
    "test_workflow.py",
    "mad/network/test_train.py",
    "mad/network/test_calibration.py",
    "test_wheel.py",
    "test_tutorial.py",
)

fix_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Processes for `-n auto`: one for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest; within a file nothing changes."""
    place = {TESTS / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


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
