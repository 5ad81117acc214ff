"""What cannot be a measurement is refused where it enters, and what can is not."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.mad.config import MeasuredSample, SimulatedSample
from madpipe.mad.measured.convert import convert
from madpipe.mad.simulate.sample import simulate


@pytest.fixture(scope="module")
def stack():
    torch.set_default_dtype(torch.float64)
    sample = SimulatedSample(dimensions=2, grid=16, photons=1e6, background=0.1, beam_stop_radius=2, gap_width=2)
    return simulate(sample, torch.Generator().manual_seed(2))


def changed(array, value, place=0):
    array = np.array(array, dtype=float)
    array.reshape(-1)[place] = value
    return array


ODD = {
    "energy": (
        "energy",
        lambda s: changed(s.energy, np.nan),
        r"above 0, at most 1e\+09 \[eV\]; 1 of 8 are not",
    ),
    "energy 0": ("energy", lambda s: changed(s.energy, 0), "above 0"),
    "f'": ("f_prime", lambda s: changed(s.f_prime, np.inf), r"finite, at least -1000, at most 1000 \[electron\]"),
    "f''": ("f_double_prime", lambda s: changed(s.f_double_prime, np.nan), "finite"),
    "f0 0": ("f0", lambda s: 0.0, "above 0"),
    "f0 in a point": ("f0", lambda s: np.full(s.shape, np.nan), "256 of 256 are not"),
    "f0 text": ("f0", lambda s: "x", "real numbers"),
    "monitor 0": ("monitor", lambda s: changed(np.ones(8), 0), "above 0; 1 of 8 are not, such as 0"),
    "monitor nan": ("monitor", lambda s: changed(np.ones(8), np.nan), "finite"),
    "monitor negative": ("monitor", lambda s: changed(np.ones(8), -1), "above 0"),
    "background": ("background", lambda s: changed(s.background, np.nan), "where not masked"),
    "background negative": ("background", lambda s: -s.background, "at least 0"),
    "errors": ("data_errors", lambda s: changed(np.ones(s.data.shape), np.nan), "where not masked"),
    "errors 0": ("data_errors", lambda s: np.zeros(s.data.shape), "the largest is 0"),
    "errors negative": ("data_errors", lambda s: -np.ones(s.data.shape), "at least 0"),
    "counts": ("data", lambda s: s.data.astype(complex), "real numbers; its type is complex128"),
    "dead pixels": ("data", lambda s: changed(s.data, 2.0**64), "mask such points"),
    "no points": ("data", lambda s: np.zeros((8, 0, 0)), "at least one point"),
    "qx": ("qx", lambda s: changed(s.qx, np.inf), "qx must be finite"),
    "cell": ("unit_cell", lambda s: np.ones(5), r"of shape \(6,\)"),
    "spectrum": ("spectrum_energy", lambda s: np.ones(3), "equally many values"),
    "title": ("title", lambda s: "a\0b", "printable text"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_no_measurement_has_is_refused_by_name_number_and_remedy(stack, kind):
    name, make, says = ODD[kind]
    with pytest.raises(InputError, match=says) as refusal:
        replace(stack, **{name: make(stack)})
    assert name in str(refusal.value) or kind == "dead pixels"
    assert "\n" not in str(refusal.value)


def test_what_is_masked_may_be_anything(stack):
    masked = np.flatnonzero(np.broadcast_to(stack.mask != 0, stack.data.shape).ravel())[0]
    replace(
        stack,
        data=changed(stack.data, np.nan, masked),
        background=changed(stack.background, np.nan, masked),
        data_errors=changed(np.sqrt(stack.data + 1.0), -1, masked),
    )


def test_errors_that_are_zero_where_there_are_no_counts_are_kept(stack):
    errors = changed(np.sqrt(stack.data), 0.0, slice(0, 20))
    assert np.array_equal(replace(stack, data_errors=errors).data_errors, errors)


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3.0, lambda data: np.full(data.shape, 3.0)),
        (np.arange(8.0), lambda data: np.broadcast_to(np.arange(8.0)[:, None, None], data.shape)),
        (np.arange(256.0).reshape(16, 16), lambda data: np.broadcast_to(np.arange(256.0).reshape(16, 16), data.shape)),
    ],
    ids=["one number", "a number per energy", "a dark frame"],
)
def test_a_background_of_fewer_numbers_is_meant_for_every_point(stack, tmp_path, given, expected):
    """The case background-one-number."""
    np.savez(tmp_path / "run.npz", intensity=stack.data, energy_ev=stack.energy, f0=24.0, background=given)
    made = convert(MeasuredSample(path=(str(tmp_path / "run.npz"),), element="Ni"))
    np.testing.assert_array_equal(made.background, expected(stack.data))


def test_a_background_of_another_shape_is_refused(stack, tmp_path):
    np.savez(tmp_path / "run.npz", intensity=stack.data, energy_ev=stack.energy, f0=24.0, background=np.ones((4, 4)))
    with pytest.raises(InputError, match=r"background must have the shape of data \(8, 16, 16\).*it has \(4, 4\)"):
        convert(MeasuredSample(path=(str(tmp_path / "run.npz"),), element="Ni"))


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_numbers_of_another_byte_order_are_the_same(stack, tmp_path, kind):
    """Of FITS, IDL and other machines; torch takes the machine's own only."""
    path, data = tmp_path / f"run.{kind}", stack.data.astype(">f4")
    if kind == "npz":
        np.savez(path, intensity=data, energy_ev=stack.energy.astype(">f8"), f0=24.0)
    else:
        with h5py.File(path, "w") as file:
            file["entry_1/data_1/data"], file["entry_1/data_1/energy"] = data, stack.energy.astype(">f8")
    made = convert(MeasuredSample(path=(str(path),), element="Ni", f0=24.0))
    np.testing.assert_array_equal(made.data, stack.data)
    assert made.data.dtype.isnative
    assert torch.tensor(made.data).shape == made.data.shape
