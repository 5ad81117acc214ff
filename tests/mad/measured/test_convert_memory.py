"""A stack is made and written in little more memory than its arrays have, whatever files it comes from."""

import numpy as np
import pytest
from resident import growth

from madpipe.mad.config import MeasuredSample
from madpipe.mad.measured.convert import convert
from madpipe.mad.records import sorted_by_energy

SHAPE = (128, 96, 96)
ENERGIES = (8353.0, 8333.0, 8313.0, 8343.0)  # to be sorted
ARRAYS = 2**-20 * np.prod(SHAPE) * (4 * len(ENERGIES) + 8)  # counts in float32, f0 in float64 [MiB]
ROOM = 40  # MiB: 15 to 25 are measured, f0 by 65536 points, one energy, what the allocator keeps; copies take 50 more
BEFORE = """
from pathlib import Path
from madpipe.base import store
from madpipe.mad.config import MeasuredSample
from madpipe.mad.measured import counts, transfer
from madpipe.mad.measured.convert import convert
transfer._POINTS, counts._SAMPLE = 65536, 10000  # samples of one size whatever the stack has
def run(pattern):
    paths = tuple(sorted(map(str, Path().glob(pattern))))
    store.write("stack.h5", convert(MeasuredSample(path=paths, element="Ni")))
run("small.npz")
"""


@pytest.mark.parametrize("each", [False, True], ids=["one file", "one file per energy"])
def test_memory_holds_the_arrays_once(each, tmp_path):
    counts = np.random.default_rng(1).poisson(3.0, (len(ENERGIES), *SHAPE)).astype(np.float32)
    files = [(counts, ENERGIES)] if not each else list(zip(counts, ENERGIES, strict=True))
    for number, (intensity, energy) in enumerate(files):
        write(tmp_path / f"in{number}.npz", intensity, energy)
    write(tmp_path / "small.npz", counts[:, :8, :8, :8], ENERGIES)
    masks = 2**-20 * 4 * np.prod(SHAPE) * len(files)
    assert growth(tmp_path, BEFORE, 'run("in*.npz")') < ARRAYS + masks + ROOM


def write(path, intensity, energy):
    """A volume as a beamline's file, with a mask."""
    shape = intensity.shape[-3:]
    axes = {name: np.linspace(-0.1, 0.1, size) for name, size in zip(("qz", "qy", "qx"), shape, strict=True)}
    mask = np.zeros(shape, np.uint8)
    np.savez(path, intensity=intensity, energy_ev=energy, q_bragg=[0, 0, 3.09], mask=mask, **axes)


def test_a_mask_that_every_file_repeats_is_kept_once(tmp_path):
    common = {"intensity": np.ones((3, 4)), "f0": 20.0, "qy": np.arange(3.0), "qx": np.arange(4.0)}
    masks = [np.eye(3, 4, dtype=np.uint8)] * 3
    for last in (masks[0], 2 * masks[0]):
        for number, (energy, mask) in enumerate(zip((8293.0, 8313.0, 8353.0), [*masks[:2], last], strict=True)):
            np.savez(tmp_path / f"in{number}.npz", energy_ev=energy, mask=mask, **common)
        stack = convert(MeasuredSample(path=[str(tmp_path / f"in{number}.npz") for number in range(3)], element="Ni"))
        assert stack.mask.shape == ((3, 4) if last is masks[0] else (3, 3, 4))
        assert np.array_equal(stack.good[2], last == 0)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0], [2, 0, 1, 3], [1, 0, 3, 2]], ids=str)
def test_energies_are_sorted_in_place(order):
    data = np.arange(24.0).reshape(4, 3, 2)
    values = {"data": data[order], "energy": 8313.0 + np.array(order), "mask": data[order].astype(np.uint32)}
    place = values["data"]
    found = sorted_by_energy(values)
    assert found["data"] is place
    assert np.array_equal(found["data"], data)
    assert np.array_equal(found["mask"], data)
    assert found["energy"].tolist() == [8313, 8314, 8315, 8316]
