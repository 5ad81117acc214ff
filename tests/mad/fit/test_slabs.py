"""A stack fitted in slabs: the same bits as in one piece, resumed where it ended, whole or not at all."""

import dataclasses
import fcntl
import itertools
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from silx.io.nxdata import get_default

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.config import FitConfig
from madpipe.mad.fit import slabs
from madpipe.mad.fit.files import fit_file
from madpipe.mad.fit.fit import fit_points, fit_stack
from madpipe.mad.fit.telling import told
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.records import Fit, Nuisance, Stack

# monitors and tables of these stacks were put to counts that know nothing of them
pytestmark = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
CONFIG = FitConfig(chunk_points=16)
SLAB = 48  # points: three of the fit's batches
PROCESS = {"program": "madpipe", "version": "1", "date": "2026-01-01T00:00:00+00:00", "note_1": "{}"}
ENERGIES = np.array([8313.0, 8328.0, 8333.0, 8348.0])
F_PRIME = np.array([-5.794, -7.317, -9.047, -6.042])  # Chantler, Ni K
F_DOUBLE_PRIME = np.array([0.514, 0.634, 2.086, 3.848])
F0 = 20.52


def a_stack(shape=(6, 7, 5), seed=1, **changes):
    """Photon counts of random structure factors, bright in the middle row and dark in the first two."""
    generator = torch.Generator().manual_seed(seed)
    bright = torch.exp(-0.3 * (torch.arange(shape[0]) - shape[0] // 2) ** 2).reshape(-1, *(1,) * (len(shape) - 1))
    f_total = 40 * bright * torch.randn(shape, generator=generator, dtype=torch.complex128)
    f_resonant = 20 * bright * torch.randn(shape, generator=generator, dtype=torch.complex128)
    across = (-1,) + (1,) * len(shape)
    ratio = dispersion_ratio(*(torch.tensor(x).reshape(across) for x in (F_PRIME, F_DOUBLE_PRIME)), torch.tensor(F0))
    data = torch.poisson(mad_intensity(f_total, f_resonant, ratio), generator=generator).numpy().astype(np.float32)
    data[:, :2] = 0
    axes = {name: np.linspace(-1, 1, size) for name, size in zip("zyx"[-len(shape) :], shape, strict=True)}
    values = {
        "data": data,
        "energy": ENERGIES,
        "f_prime": F_PRIME,
        "f_double_prime": F_DOUBLE_PRIME,
        "f0": F0,
        "element": "Ni",
        "edge": "K",
        "table": "Chantler",
        "title": "a volume",
        "name": "volume",
        **{f"q{name}": axis for name, axis in axes.items()},
    }
    return Stack(**(values | changes))


def parts_of(shape):
    """What a stack may hold beside its counts."""
    draw = np.random.default_rng(3)
    return {
        "plain": {},
        "mask of a point": {"mask": (draw.random(shape) < 0.2).astype(np.uint32)},
        "mask of an energy": {"mask": (draw.random((4, *shape)) < 0.1).astype(np.uint32)},
        "first rows masked": {"mask": (np.arange(shape[0]) < 2).reshape(-1, *(1,) * (len(shape) - 1)) * np.ones(shape)},
        "background": {"background": draw.uniform(0, 2, (4, *shape))},
        "f0 of a point": {"f0": draw.uniform(18, 22, shape)},
        "monitor": {"monitor": np.array([1.0, 0.9, 1.1, 1.2])},
    }


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    monkeypatch.setattr(slabs, "_SLAB_VALUES", SLAB * len(ENERGIES))


@pytest.fixture
def stack_file(tmp_path):
    store.write(tmp_path / "stack.h5", a_stack())
    return tmp_path / "stack.h5"


def assert_same_bits(one, other):
    for field in dataclasses.fields(Fit):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape) == (right.dtype, right.shape), field.name
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right, field.name


def fitted_and_told(stack, nuisance=None):
    """The fit in one piece, with the warnings that a file's keeps."""
    return told(fit_stack(stack, CONFIG, nuisance), lambda: stack, CONFIG)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- slabs ----------------------------------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    energies=st.integers(3, 40),
    batch=st.integers(1, 5000),
)
def test_slabs_hold_every_point_once_and_begin_with_a_batch(shape, energies, batch):
    layout = store.Layout({"data": (energies, *shape)}, shape[0])
    cut = slabs.slabs_of(layout, FitConfig(chunk_points=batch))
    assert [point for slab in cut for point in slab] == list(range(math.prod(shape)))
    assert all(slab.start % batch == 0 for slab in cut)
    assert max(map(len, cut)) <= max(batch, slabs._SLAB_VALUES // energies)


@pytest.mark.parametrize("shape", [(40,), (9, 11), (6, 7, 5)])
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 39), max_size=6, unique=True), kind=st.sampled_from(sorted(parts_of((1, 1)))))
def test_points_are_read_as_they_stand_in_the_file(shape, cuts, kind, tmp_path_factory):
    stack = a_stack(shape, **parts_of(shape)[kind])
    path = tmp_path_factory.mktemp("points") / "stack.h5"
    store.write(path, stack)
    edges = sorted({0, *cuts, math.prod(shape)})
    cut = [range(start, stop) for start, stop in itertools.pairwise(edges)]
    for slab, part in zip(cut, slabs.read_points(path, cut), strict=True):
        points = slice(slab.start, slab.stop)
        for name in ("data", "background"):
            if getattr(stack, name) is not None:
                assert np.array_equal(getattr(part, name), getattr(stack, name).reshape(4, -1)[:, points])
        assert np.array_equal(part.good, stack.good.reshape(4, -1)[:, points])
        assert np.array_equal(np.broadcast_to(part.f0, part.shape), np.broadcast_to(stack.f0, shape).ravel()[points])
        assert part.reflection is not None
        assert len(part.reflection) == len(slab)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((30, 5), "plain"), ((100,), "mask of an energy"), ((3, 12, 8), "background")]
    + [((6, 7, 5), kind) for kind in parts_of((1, 1))],
)
def test_slabs_give_the_bits_of_one_piece(shape, kind, tmp_path):
    stack = a_stack(shape, **parts_of(shape)[kind])
    store.write(tmp_path / "stack.h5", stack)
    fit_file(tmp_path / "stack.h5", tmp_path / "fit.h5", CONFIG, process=PROCESS)
    assert_same_bits(store.read(tmp_path / "fit.h5", Fit), fitted_and_told(stack))
    assert store.read_process(tmp_path / "fit.h5") == PROCESS
    assert names(tmp_path) == ["fit.h5", "stack.h5"]


@pytest.mark.parametrize(
    "options",
    [hdf5plugin.Bitshuffle(), hdf5plugin.LZ4(), hdf5plugin.Zstd(), {"compression": "gzip"}, {}],
    ids=["bitshuffle", "lz4", "zstd", "gzip", "none"],
)
@pytest.mark.parametrize("chunks", [(1, 4, 3, 5), (4, 6, 7, 5), None])
def test_other_peoples_chunks_and_filters_are_read(options, chunks, stack_file, tmp_path):
    stack = store.read(stack_file, Stack)
    with h5py.File(stack_file, "r+") as file:
        del file["entry_1/data_1/data"]
        chunked = {**options, "chunks": chunks} if chunks or options else {}
        file.create_dataset("entry_1/data_1/data", data=stack.data, **chunked)
    fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert_same_bits(store.read(tmp_path / "fit.h5", Fit), fitted_and_told(stack))


def a_nuisance():
    required = [field for field in dataclasses.fields(Nuisance) if field.default is dataclasses.MISSING]
    per_energy = {field.name: np.ones(4) for field in required}
    numbers = {"energy_offset": 0.0, "energy_offset_errors": 0.0, "noise_scale": 1.5, "gauge": "none"}
    return Nuisance(**(per_energy | numbers | {"f_prime": F_PRIME + 0.1, "f_double_prime": F_DOUBLE_PRIME}))


def test_every_slab_has_the_nuisances_refined_on_the_sample(stack_file, tmp_path, monkeypatch):
    nuisance, seen = a_nuisance(), []

    def refined(stack, refine, config):
        seen.append((stack.qz.tolist(), refine))
        return nuisance

    monkeypatch.setattr(slabs, "refine_nuisances", refined)
    fit_file(stack_file, tmp_path / "fit.h5", CONFIG, ("dispersion",))
    stack, fit = store.read(stack_file, Stack), store.read(tmp_path / "fit.h5", Fit)
    assert seen == [(stack.qz.tolist(), ("dispersion",))]  # so small a stack is its own sample
    whole = fitted_and_told(stack, nuisance)
    assert_same_bits(dataclasses.replace(fit, nuisance=None), dataclasses.replace(whole, nuisance=None))
    assert np.array_equal(fit.nuisance.f_prime, nuisance.f_prime)


def test_a_nuisance_that_nobody_knows_is_refused_at_once(stack_file, tmp_path):
    with pytest.raises(InputError, match="scale, offset, dispersion"):
        fit_file(stack_file, tmp_path / "fit.h5", CONFIG, ("colour",))
    assert names(tmp_path) == ["stack.h5"]


def test_the_answer_opens_in_silx(stack_file, tmp_path):
    fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    with h5py.File(tmp_path / "fit.h5") as file:
        plot = get_default(file)
        assert plot.is_valid, plot.issues
        assert plot.signal.name == "/entry_1/data_1/F_A"
        assert [axis.shape for axis in plot.axes] == [(6,), (7,), (5,)]
        assert file["entry_1/fit_1/F_T"].attrs["units"] == "sqrt(photon)"


def test_the_same_run_gives_the_same_bytes(stack_file, tmp_path):
    for name in ("one.h5", "two.h5"):
        fit_file(stack_file, tmp_path / name, CONFIG, process=PROCESS)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


@pytest.mark.parametrize("change", ["one slab", "errors", "list"])
def test_what_is_one_slab_is_written_as_ever(change, tmp_path, monkeypatch):
    stack = a_stack()
    if change == "one slab":
        monkeypatch.setattr(slabs, "_SLAB_VALUES", 2 * stack.data.size)
    elif change == "errors":
        stack = dataclasses.replace(stack, data_errors=np.sqrt(stack.data + 1))
    else:
        flat = stack.data.reshape(4, -1)
        numbers = np.arange(flat.shape[1])
        mates = {"miller_indices": np.stack([numbers // 2] * 3, 1), "friedel_sign": np.where(numbers % 2, -1, 1)}
        stack = dataclasses.replace(stack, data=flat, qz=None, qy=None, qx=None, reflection=numbers, **mates)
    store.write(tmp_path / "stack.h5", stack)
    fit_file(tmp_path / "stack.h5", tmp_path / "fit.h5", CONFIG, process=PROCESS)
    store.write(tmp_path / "plain.h5", fitted_and_told(stack), process=PROCESS)
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


# -- what is at fault -----------------------------------------------------------------------------------------


def edited(path, name, value):
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = value


def test_a_dark_stack_is_refused_although_dark_slabs_are_not(stack_file, tmp_path):
    edited(stack_file, "entry_1/data_1/data", np.zeros((4, 6, 7, 5), np.float32))
    with pytest.raises(InputError, match=r"^\S*stack\.h5: a stack needs photons; every unmasked count is 0"):
        fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert names(tmp_path) == ["stack.h5"]


def test_a_stack_masked_throughout_is_refused(tmp_path):
    store.write(tmp_path / "stack.h5", a_stack(mask=np.zeros((6, 7, 5), np.uint32)))
    edited(tmp_path / "stack.h5", "entry_1/data_1/mask", np.ones((6, 7, 5), np.uint32))
    with pytest.raises(InputError, match=r"^\S*stack\.h5: at least one point must be unmasked"):
        fit_file(tmp_path / "stack.h5", tmp_path / "fit.h5", CONFIG)


def test_arrays_with_unequal_rows_are_refused(tmp_path):
    store.write(tmp_path / "stack.h5", a_stack(mask=np.zeros((6, 7, 5), np.uint32)))
    edited(tmp_path / "stack.h5", "entry_1/data_1/mask", np.zeros((8, 7, 5), np.uint32))
    with pytest.raises(InputError, match=r"equally many rows; they have \{'data': 6, 'mask': 8, 'qz': 6\}"):
        fit_file(tmp_path / "stack.h5", tmp_path / "fit.h5", CONFIG)


def test_bad_counts_in_one_slab_are_refused_and_the_old_answer_stays(stack_file, tmp_path):
    data = store.read(stack_file, Stack).data
    data[1, 5, 6, 4] = np.nan
    edited(stack_file, "entry_1/data_1/data", data)
    (tmp_path / "fit.h5").write_text("old")
    with pytest.raises(InputError, match=r"stack\.h5: photon counts must be finite and >= 0"):
        fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert (tmp_path / "fit.h5").read_text() == "old"


def test_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs an existing HDF5 file"):
        fit_file(tmp_path / "none.h5", tmp_path / "fit.h5", CONFIG)


# -- interrupted ----------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
import torch
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.set_flush_denormal(True)
sys.path.insert(0, {tests!r})
import test_slabs
from madpipe.base.errors import InputError
from madpipe.mad.fit import slabs
from madpipe.mad.fit.files import fit_file
slabs._SLAB_VALUES = test_slabs.SLAB * 4
{before}
try:
    fit_file("stack.h5", "fit.h5", test_slabs.CONFIG, process=test_slabs.PROCESS)
except InputError as error:
    print(error)
"""
KILL = """
write = slabs.write_points
def write_or_die(path, fit, start):
    write(path, fit, start)
    if start == {start}:
        os.kill(os.getpid(), signal.SIGKILL)
slabs.write_points = write_or_die
"""


def run(folder, before=""):
    code = CHILD.format(tests=str(Path(__file__).parent), before=before)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def fitted(monkeypatch, interrupt_at=None):
    """Note every slab that is fitted; interrupt, as Ctrl-C does, in the one of this number."""
    seen = []

    def noting(stack, *rest):
        if len(seen) == interrupt_at:
            raise KeyboardInterrupt
        seen.append(stack)
        return fit_points(stack, *rest)

    monkeypatch.setattr(slabs, "fit_points", noting)
    return seen


def interrupted(stack_file, output, monkeypatch, config=CONFIG, stop=3):
    with monkeypatch.context() as patch:
        fitted(patch, interrupt_at=stop)
        with pytest.raises(KeyboardInterrupt):
            fit_file(stack_file, output, config)


@pytest.mark.parametrize("start", [0, 2 * SLAB])
def test_a_run_that_was_killed_is_taken_up_and_ends_in_the_same_bytes(start, stack_file, tmp_path, monkeypatch):
    """Killed after a slab's numbers are in the file and before the journal says so: that slab is fitted again."""
    fit_file(stack_file, tmp_path / "whole.h5", CONFIG, process=PROCESS)
    done = run(tmp_path, KILL.format(start=start))
    assert done.returncode == -9, done.stderr
    assert names(tmp_path) == [".fit.h5.parts", "stack.h5", "whole.h5"]
    monkeypatch.chdir(tmp_path)
    seen = fitted(monkeypatch)
    fit_file("stack.h5", "fit.h5", CONFIG, process=PROCESS)
    assert len(seen) == 5 - start // SLAB
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert names(tmp_path) == ["fit.h5", "stack.h5", "whole.h5"]


def test_ctrl_c_keeps_what_is_done_and_the_old_answer(stack_file, tmp_path, monkeypatch, caplog):
    fit_file(stack_file, tmp_path / "whole.h5", CONFIG)
    (tmp_path / "fit.h5").write_text("old")
    interrupted(stack_file, tmp_path / "fit.h5", monkeypatch)
    assert (tmp_path / "fit.h5").read_text() == "old"
    seen = fitted(monkeypatch)
    with caplog.at_level("INFO", "madpipe"):
        fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert len(seen) == 2
    assert caplog.messages[0] == "fit: 3 of 5 slabs are there from an earlier run"
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_an_interruption_before_the_first_slab_leaves_nothing(stack_file, tmp_path, monkeypatch):
    interrupted(stack_file, tmp_path / "fit.h5", monkeypatch, stop=0)
    assert names(tmp_path) == ["stack.h5"]


@pytest.mark.parametrize("change", ["config", "time", "threads", "code"])
def test_another_run_starts_anew(change, stack_file, tmp_path, monkeypatch):
    interrupted(stack_file, tmp_path / "fit.h5", monkeypatch)
    config = CONFIG
    if change == "config":
        config = CONFIG.model_copy(update={"tolerance": 1e-7})
    elif change == "time":
        os.utime(stack_file, ns=(0, 0))
    elif change == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    else:
        monkeypatch.setattr(slabs.provenance, "fingerprint", lambda *_: "other code")
    seen = fitted(monkeypatch)
    fit_file(stack_file, tmp_path / "fit.h5", config)
    assert len(seen) == 5
    assert names(tmp_path) == ["fit.h5", "stack.h5"]


def test_remains_of_another_run_are_cleared_away(stack_file, tmp_path, monkeypatch):
    for tolerance in (1e-6, 1e-7):
        config = CONFIG.model_copy(update={"tolerance": tolerance})
        interrupted(stack_file, tmp_path / "fit.h5", monkeypatch, config)
    assert sorted(path.suffix for path in (tmp_path / ".fit.h5.parts").iterdir()) == ["", ".done", ".h5"]


@pytest.mark.parametrize("tail", [b"14", b"144 ", b"144 2"])
def test_a_line_of_the_journal_that_was_cut_short_does_not_count(tail, stack_file, tmp_path, monkeypatch):
    interrupted(stack_file, tmp_path / "fit.h5", monkeypatch)
    (journal,) = (tmp_path / ".fit.h5.parts").glob("*.done")
    assert [line.split()[0] for line in journal.read_text().splitlines()] == ["0", "48", "96"]
    journal.write_bytes(journal.read_bytes() + tail)
    seen = fitted(monkeypatch)
    fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert len(seen) == 2


def test_one_run_at_a_time(stack_file, tmp_path):
    (tmp_path / ".fit.h5.parts").mkdir()
    with (tmp_path / ".fit.h5.parts" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"fit\.h5: needs to be written by one run at a time"):
            fit_file(stack_file, tmp_path / "fit.h5", CONFIG)


# -- the disk is full -----------------------------------------------------------------------------------------

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"


@pytest.mark.parametrize("room", [0, 500_000])
def test_when_the_disk_is_full_one_line_says_so_and_nothing_is_left(room, stack_file, tmp_path):
    """The operating system refuses every byte beyond `room` of a file; HDF5 aborts the process when it meets that."""
    (tmp_path / "fit.h5").write_text("old")
    done = run(tmp_path, LIMIT.format(room=room))
    assert (done.returncode, done.stderr) == (0, "")
    assert "needs a writable disk with room for the whole file; got: [Errno 27] File too large" in done.stdout
    assert (tmp_path / "fit.h5").read_text() == "old"
    assert names(tmp_path) == ["fit.h5", "stack.h5"]


def test_too_little_room_is_refused_before_anything_is_written(stack_file, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(InputError, match=r"needs 0\.00 GB for the answer; 0\.00 GB are free on its disk"):
        fit_file(stack_file, tmp_path / "fit.h5", CONFIG)
    assert names(tmp_path) == ["stack.h5"]


def test_a_folder_that_cannot_be_is_an_input_error(stack_file, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="needs a writable disk"):
        fit_file(stack_file, tmp_path / "results" / "fit.h5", CONFIG)


# -- the sample of rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 35, 80, 150, 10_000])
def test_a_sample_has_the_brightest_rows_and_few_points(points, stack_file):
    stack = store.read(stack_file, Stack)
    sample = slabs.sample_rows(stack_file, points)
    brightness = stack.data.sum(axis=(0, 2, 3))
    assert stack.qz[brightness.argmax()] in sample.qz
    assert sample.whole
    assert sample.data[0].size <= max(points, 2 * 35)
    taken = np.searchsorted(stack.qz, sample.qz)
    assert np.array_equal(sample.data, stack.data[:, taken])
    assert (np.diff(taken) > 0).all()
    if points >= stack.data[0].size:
        assert len(taken) == 6


def test_a_sample_of_a_dark_stack_is_refused(stack_file):
    edited(stack_file, "entry_1/data_1/data", np.zeros((4, 6, 7, 5), np.float32))
    with pytest.raises(InputError, match="a stack needs photons"):
        slabs.sample_rows(stack_file)
