"""Files are whole or absent, hold what was given, and open in other people's readers."""

import dataclasses
import subprocess
import sys

import h5py
import numpy as np
import pytest
from nexusformat.nexus import nxload
from silx.io.nxdata import get_default

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.store import rows as cut
from madpipe.base.store import writing
from madpipe.mad.records import Explained, Fit, Nuisance, RealSpace, Split, Stack, Truth

SHAPE = (3, 4, 5)
ENERGIES = np.array([8313.0, 8328.0, 8333.0, 8348.0])
AXES = {"qz": np.linspace(-1, 1, 3), "qy": np.linspace(-1, 1, 4), "qx": np.linspace(-1, 1, 5)}


def numbers(shape=SHAPE, dtype=float):
    return np.random.default_rng(1).uniform(1, 100, shape).astype(dtype)


def filled(record, **given):
    """Any record: arrays of numbers where nothing is given, each field with a value."""
    absent = [field.name for field in dataclasses.fields(record) if field.name not in given]
    return record(**{name: numbers() for name in absent}, **given)


def a_truth():
    complex_fields = {name: numbers() * np.exp(1j) for name in ("f_total", "f_resonant", "f_normal", "rho_normal")}
    scalars = {"photons_per_electron2": 1e-3, "f0_resonant": 20.5, "f_normal_atom": 18.1 + 3.0j}
    return filled(Truth, **complex_fields, **scalars, drawn='{"seed": 0}')


def a_stack(**changes):
    values = {
        "data": numbers((4, *SHAPE), np.uint16),
        "energy": ENERGIES,
        "f_prime": np.array([-5.8, -7.3, -9.0, -6.1]),
        "f_double_prime": np.array([0.5, 0.6, 2.1, 3.9]),
        "f0": 20.5,
        "element": "Ni",
        "edge": "K",
        "table": "Chantler",
        "title": "a particle, |F_A| ≥ 0",
        "name": "ni3fe",
        "mask": numbers(SHAPE, np.uint32) * (numbers() > 90),
        "truth": a_truth(),
    }
    return Stack(**(values | AXES | changes))


def a_nuisance():
    scalars = {"energy_offset": 0.1, "energy_offset_errors": 0.01, "noise_scale": 1.0, "gauge": "none"}
    scalars |= {name.name: 0.5 for name in dataclasses.fields(Nuisance) if "float | None" in str(name.type)}
    scalars |= {"energy_offset_determined": True, "verdicts": "scale: determined"}
    per_energy = {name.name: numbers((4,)) for name in dataclasses.fields(Nuisance) if name.name not in scalars}
    return Nuisance(**per_energy, **scalars)


def an_explained():
    whole = {"points": 60, "without_freedom": 3}
    return Explained(**whole, **{one.name: 0.5 for one in dataclasses.fields(Explained) if one.name not in whole})


def a_split():
    arrays = [one.name for one in dataclasses.fields(Split) if one.type is np.ndarray or "Array" in str(one.type)]
    return Split(**{one.name: numbers((3,)) if one.name in arrays else 0.5 for one in dataclasses.fields(Split)})


def a_fit():
    texts = {"method": "exact", "axis_names": "qz,qy,qx", "n_iterations": 3, "reflection": None, "warnings": "one\ntwo"}
    return filled(
        Fit, certified=numbers() > 50, nuisance=a_nuisance(), explained=an_explained(), split=a_split(), **texts, **AXES
    )


def an_object():
    texts = {
        "route": "linked",
        "verdicts": '{"support": 1}',
        "warnings": "one",
        "partner": "Fe",
        "composition_of": "atoms",
        "composition_errors_are": "lower bounds",
    }
    numbers_alone = {"believed_spread": 0.1, "resonant_factor_errors": 0.6}
    densities = {name: numbers() * np.exp(2j) for name in ("rho_resonant", "rho_normal")}
    return filled(
        RealSpace, **densities, **texts, **numbers_alone, voxel_size=np.array([30.0, 30.0, 40.0]), nuisance=a_nuisance()
    )


RECORDS = {"stack": a_stack, "fit": a_fit, "object": an_object}


@pytest.fixture(params=RECORDS)
def record(request):
    return RECORDS[request.param]()


def assert_equal(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(left):
            assert_equal(left, right)
        else:
            assert type(left) is type(right), field.name
            assert getattr(left, "dtype", None) == getattr(right, "dtype", None), field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)


def edited(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(path, value, **attributes):
    def change(file):
        del file[path]
        file[path] = value
        file[path].attrs.update(attributes)

    return change


@pytest.fixture
def stack_file(tmp_path):
    path = tmp_path / "stack.h5"
    store.write(path, a_stack())
    return path


# -- round trip -----------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_went_in(record, tmp_path):
    store.write(tmp_path / "new folder" / "record.h5", record)
    assert_equal(store.read(tmp_path / "new folder" / "record.h5", type(record)), record)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_counts_keep_their_type_also_where_they_are_compressed(dtype, tmp_path):
    data = numbers((4, 3, 80, 90), dtype)
    axes = {"qz": np.arange(3.0), "qy": np.arange(80.0), "qx": np.arange(90.0)}
    stack = a_stack(data=data, truth=None, mask=None, **axes)
    store.write(tmp_path / "stack.h5", stack)
    assert_equal(store.read(tmp_path / "stack.h5", Stack), stack)
    with h5py.File(tmp_path / "stack.h5") as file:
        assert file["entry_1/data_1/data"].chunks == (1, 3, 80, 90)


def test_the_same_record_gives_the_same_bytes(record, tmp_path):
    process = {"program": "madpipe", "version": "1", "date": "2026-01-01T00:00:00+00:00", "note_1": "{}"}
    store.write(tmp_path / "one.h5", record, process=process)
    store.write(tmp_path / "two.h5", record, process=process)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_the_process_is_read_back(tmp_path):
    process = {"program": "madpipe", "note_1": '{"seed": 1}'}
    store.write(tmp_path / "with.h5", a_fit(), process=process)
    store.write(tmp_path / "without.h5", a_fit())
    assert store.read_process(tmp_path / "with.h5") == process
    assert store.read_process(tmp_path / "without.h5") == {}


def test_tree_names_every_dataset_with_shape_type_and_unit(stack_file):
    seen = {}
    store.tree(stack_file, seen.__setitem__)
    assert seen["entry_1/data_1/energy"] == "(4,) float64 eV"
    assert seen["entry_1/data_1/data"] == "(4, 3, 4, 5) uint16 photon"
    assert seen["entry_1/data_1/mask"] == "(3, 4, 5) uint32"


# -- some rows ------------------------------------------------------------------------------------------------


def parts(shape=SHAPE):
    """Whatever of a stack lies along its points."""
    return {"mask": numbers(shape, np.uint32) * (numbers(shape) > 90), "f0": numbers(shape), "truth": None}


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 3), slice(0, 3), slice(2, 2)])
@pytest.mark.parametrize("mask", ["point", "energy"])
def test_rows_are_those_of_the_whole(rows, mask, tmp_path):
    given = parts() | ({"mask": np.ones((4, *SHAPE), np.uint32)} if mask == "energy" else {})
    given["mask"].flat[0] = 0
    stack = a_stack(**given, background=numbers((4, *SHAPE)), data_errors=numbers((4, *SHAPE)))
    store.write(tmp_path / "stack.h5", stack)
    cut = {name: getattr(stack, name)[:, rows] for name in ("data", "background", "data_errors")}
    cut |= {"f0": stack.f0[rows], "qz": stack.qz[rows], "whole": False}
    cut["mask"] = stack.mask[:, rows] if mask == "energy" else stack.mask[rows]
    assert_equal(store.read(tmp_path / "stack.h5", Stack, rows), dataclasses.replace(stack, **cut))


def test_rows_of_a_frame_are_its_lines(tmp_path):
    stack = a_stack(data=numbers((4, 3, 3)), qz=None, qy=np.arange(3.0), qx=np.arange(3.0), mask=None, truth=None)
    store.write(tmp_path / "stack.h5", stack)
    part = store.read(tmp_path / "stack.h5", Stack, slice(1, 3))
    np.testing.assert_array_equal(part.data, stack.data[:, 1:])
    np.testing.assert_array_equal(part.qy, [1.0, 2.0])
    np.testing.assert_array_equal(part.qx, [0.0, 1.0, 2.0])


def test_a_list_of_reflections_is_not_cut(tmp_path):
    stack = a_stack(
        data=numbers((4, 6)),
        qz=None,
        qy=None,
        qx=None,
        mask=None,
        truth=None,
        reflection=np.arange(6),
        f0=numbers((6,)),
    )
    store.write(tmp_path / "stack.h5", stack)
    assert store.layout(tmp_path / "stack.h5", Stack).rows == 0


def test_slabs_are_read_one_after_another(tmp_path):
    stack = a_stack(**parts())
    store.write(tmp_path / "stack.h5", stack)
    slabs = [slice(0, 2), slice(2, 3), slice(0, 1)]
    for rows, part in zip(slabs, store.read_slabs(tmp_path / "stack.h5", Stack, slabs), strict=True):
        assert_equal(part, store.read(tmp_path / "stack.h5", Stack, rows))


def test_the_layout_tells_shapes_and_rows_without_reading(tmp_path):
    store.write(tmp_path / "stack.h5", a_stack(truth=None))
    layout = store.layout(tmp_path / "stack.h5", Stack)
    assert layout.rows == 3
    assert layout.shapes["data"] == (4, *SHAPE)
    assert layout.shapes["f0"] == ()
    assert "background" not in layout.shapes


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunk"),
    [
        ((8, 256, 256, 256), 4, (1, 4, 256, 256)),
        ((8, 2048, 2048), 4, (1, 128, 2048)),
        ((256, 256, 256), 8, (1, 256, 256)),
        ((8, 600, 700, 800), 8, (1, 1, 163, 800)),
        ((8, 3, 2000000), 2, (1, 1, 524288)),
        ((8, 3, 4), 8, (1, 3, 4)),
    ],
)
def test_a_chunk_holds_a_few_planes_of_one_energy(shape, itemsize, chunk):
    assert writing._chunks(shape, itemsize) == chunk


@pytest.mark.parametrize(("chunks", "size"), [((1, 2, 4, 5), 4 * 2 * 20 * 8), ((2, 3, 2, 2), 2 * 2 * 3 * 2 * 12 * 8)])
def test_the_cache_holds_one_row_of_chunks_for_as_long_as_slabs_are_read(chunks, size, tmp_path):
    path = tmp_path / "stack.h5"
    store.write(path, a_stack(truth=None))
    data = numbers((4, *SHAPE))

    def change(file):
        del file["entry_1/data_1/data"]
        file.create_dataset("entry_1/data_1/data", data=data, chunks=chunks)

    edited(path, change)
    with h5py.File(path) as file:
        kept = cut._with_chunk_cache(file, Stack)
        again = file["entry_1/data_1/data"].id
        slots, cached, preempt = again.get_access_plist().get_chunk_cache()
        kept.clear()
    assert (cached, preempt) == (size, 1.0)
    assert slots > 0


def test_chunks_too_large_for_the_cache_are_told(tmp_path, monkeypatch, caplog):
    axes = {"qz": np.arange(3.0), "qy": np.arange(80.0), "qx": np.arange(90.0)}
    store.write(tmp_path / "stack.h5", a_stack(data=numbers((4, 3, 80, 90)), truth=None, mask=None, **axes))
    monkeypatch.setattr(cut, "_CACHE_BYTES", 1000)
    with caplog.at_level("INFO", "madpipe"):
        list(store.read_slabs(tmp_path / "stack.h5", Stack, [slice(0, 1)]))
    assert "/entry_1/data_1/data has large chunks, read many times over" in caplog.text


# -- other readers --------------------------------------------------------------------------------------------

DEFAULT_PLOT = {
    "stack": ("/entry_1/data_1/data", ["energy", "qz", "qy", "qx"]),
    "fit": ("/entry_1/data_1/F_A", ["qz", "qy", "qx"]),
    "object": ("/entry_1/image_1/amplitude/data", []),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_silx_finds_the_default_plot_and_its_axes(kind, tmp_path):
    store.write(tmp_path / "file.h5", RECORDS[kind]())
    signal, axes = DEFAULT_PLOT[kind]
    with h5py.File(tmp_path / "file.h5") as file:
        plot = get_default(file)
        assert plot.is_valid, plot.issues
        assert plot.signal.name == signal
        assert [name.split()[0] for name in plot.axes_dataset_names if name] == axes
        for name, axis in zip(axes, plot.axes, strict=False):
            np.testing.assert_array_equal(axis, ENERGIES if name == "energy" else AXES[name])


@pytest.mark.parametrize("kind", RECORDS)
def test_nexusformat_opens_the_file_and_finds_what_to_plot(kind, tmp_path):
    path = tmp_path / "file.h5"
    store.write(path, RECORDS[kind]())
    with nxload(path) as root:
        signal = DEFAULT_PLOT[kind][0]
        assert root.plottable_data.nxpath == signal.rpartition("/")[0]
        with h5py.File(path) as file:
            np.testing.assert_array_equal(root.plottable_data.nxsignal.nxdata, file[signal][()])


# -- bad files ------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (lambda path: store.read(path, Stack), store.read_process, lambda path: store.tree(path, print)):
        with pytest.raises(InputError, match=r"none\.h5: needs an existing HDF5 file"):
            read(tmp_path / "none.h5")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(share, stack_file):
    content = stack_file.read_bytes()
    stack_file.write_bytes(content[: int(share * len(content))])
    for read in (lambda path: store.read(path, Stack), store.read_process, lambda path: store.tree(path, print)):
        with pytest.raises(InputError, match=r"stack\.h5: needs a complete HDF5 file"):
            read(stack_file)


@pytest.mark.parametrize("node", [b"TREE", b"HEAP", b"SNOD"])
def test_a_file_damaged_inside_is_refused(node, stack_file):
    content = stack_file.read_bytes()
    assert node in content
    stack_file.write_bytes(content.replace(node, b"XXXX"))
    with pytest.raises(InputError, match="needs a complete HDF5 file"):
        store.read(stack_file, Stack)


@pytest.mark.parametrize("content", [b"energy intensity\n8333 12\n", b""])
def test_a_file_of_another_format_is_refused(content, tmp_path):
    (tmp_path / "table.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"table\.txt: needs a complete HDF5 file.*madpipe convert"):
        store.read(tmp_path / "table.txt", Stack)


@pytest.mark.parametrize("name", ["entry_1/data_1/data", "entry_1/anomalous/f_prime", "entry_1/truth/F_N"])
def test_a_missing_dataset_is_named(name, stack_file):
    edited(stack_file, lambda file: file.__delitem__(name))
    with pytest.raises(InputError, match=f"stack.h5: .* needs the dataset /{name}; the file has none"):
        store.read(stack_file, Stack)


def test_a_group_in_a_dataset_s_place_counts_as_missing(stack_file):
    def change(file):
        del file["entry_1/data_1/energy"]
        file.create_group("entry_1/data_1/energy")

    with pytest.raises(InputError, match="needs the dataset /entry_1/data_1/energy"):
        store.read(edited(stack_file, change), Stack)


def test_an_optional_dataset_may_be_missing(stack_file):
    edited(stack_file, lambda file: file.__delitem__("entry_1/data_1/mask"))
    assert store.read(stack_file, Stack).mask is None


@pytest.mark.parametrize("unit", ["keV", "J"])
def test_another_unit_is_refused_with_both_named(unit, stack_file):
    edited(stack_file, replace("entry_1/data_1/energy", ENERGIES / 1000, units=unit))
    with pytest.raises(InputError, match=f"/entry_1/data_1/energy is required in 'eV'; it is in '{unit}'"):
        store.read(stack_file, Stack)


@pytest.mark.parametrize("attributes", [{"units": "eV"}, {"units": np.bytes_("eV")}, {}])
def test_the_unit_may_be_text_of_either_kind_or_absent(attributes, stack_file):
    edited(stack_file, replace("entry_1/data_1/energy", ENERGIES, **attributes))
    np.testing.assert_array_equal(store.read(stack_file, Stack).energy, ENERGIES)


def test_text_of_fixed_length_is_read_as_text(stack_file):
    edited(stack_file, replace("entry_1/anomalous/element", np.bytes_("Ni")))
    assert store.read(stack_file, Stack).element == "Ni"


def test_values_that_the_record_refuses_are_told_with_the_file(stack_file):
    edited(stack_file, replace("entry_1/anomalous/f_double_prime", -np.ones(4), units="electron"))
    with pytest.raises(InputError, match=r"stack\.h5: f'' must be >= 0"):
        store.read(stack_file, Stack)


# -- whole or not at all --------------------------------------------------------------------------------------


def run(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("room", [0, 3000])
def test_when_the_disk_is_full_the_old_file_stays(room, stack_file):
    """The operating system refuses every byte beyond `room` of a file, as a full disk does."""
    before = stack_file.read_bytes()
    assert room < len(before)
    code = f"""
import resource
from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.records import Stack
stack = store.read("stack.h5", Stack)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    store.write("stack.h5", stack)
except InputError as error:
    print(error)
"""
    done = run(code, stack_file.parent)
    assert done.returncode == 0, done.stderr
    assert "stack.h5: needs a writable disk with room for the whole file; got: " in done.stdout
    assert done.stderr == ""
    assert stack_file.read_bytes() == before
    assert [path.name for path in stack_file.parent.iterdir()] == ["stack.h5"]


def test_a_writer_killed_half_way_leaves_the_old_file(stack_file):
    before = stack_file.read_bytes()
    code = """
import os, signal
from madpipe.base.store import whole_file
with whole_file("stack.h5") as temporary:
    temporary.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(code, stack_file.parent).returncode == -9
    assert stack_file.read_bytes() == before


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(stack_file):
    def fails():
        with store.whole_file(stack_file) as temporary:
            temporary.write_bytes(b"half of it")
            raise KeyError("in the block")

    before = stack_file.read_bytes()
    with pytest.raises(KeyError, match="in the block"):
        fails()
    assert stack_file.read_bytes() == before
    assert [path.name for path in stack_file.parent.iterdir()] == ["stack.h5"]


def test_a_folder_that_cannot_be_is_an_input_error(tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="needs a writable disk"):
        store.write(tmp_path / "results" / "fit.h5", a_fit())


def test_files_have_the_usual_permissions(stack_file, tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("")
    assert stack_file.stat().st_mode == plain.stat().st_mode


# -- tables ---------------------------------------------------------------------------------------------------


def test_json_keeps_numbers_and_refuses_what_it_cannot_hold(tmp_path):
    path = tmp_path / "scores.json"
    store.write_json(path, {"r_factor": 0.1, "shells": []})
    before = path.read_bytes()
    assert before == b'{\n "r_factor": 0.1,\n "shells": []\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(path, {"r_factor": float("nan")})
    assert path.read_bytes() == before
