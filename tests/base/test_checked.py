"""HDF5 files of any program are read without harm: by declared size, by type, and nothing from outside their folder."""

import h5py
import numpy as np
import pytest

from madpipe.base import files, store
from madpipe.base.errors import InputError, printable
from madpipe.base.store.checked import attribute, opened_file, plain

VALUES = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of its own, beside a file that is none of its business."""
    (tmp_path / "mine").mkdir()
    for place in ("outside.h5", "mine/beside.h5"):
        with h5py.File(tmp_path / place, "w") as file:
            file["data"] = VALUES
    (tmp_path / "secret.txt").write_text("x" * 96)
    return tmp_path / "mine"


def written(folder, put, name="run.h5"):
    with h5py.File(folder / name, "w") as file:
        put(file)
    return folder / name


def read(path, name="data"):
    with store.opened(path) as file:
        return store.values(file[name])


def virtual(target, name="data"):
    def put(file):
        layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
        layout[:] = h5py.VirtualSource(target, name, VALUES.shape)
        file.create_virtual_dataset("data", layout)

    return put


def typed(dtype):
    return lambda file: file.create_dataset("data", (3,), dtype=dtype)


def declared(shape, **options):
    return lambda file: file.create_dataset("data", shape, dtype="f8", **options)


REFUSED = {
    "compound": (typed([("a", "f4"), ("b", "i4")]), "holds a table of a, b"),
    "reference": (typed(h5py.ref_dtype), "holds references"),
    "variable length": (typed(h5py.vlen_dtype("f4")), "holds values of type object"),
    "opaque": (typed("V8"), "holds values of type"),
    "empty dataspace": (lambda file: file.create_dataset("data", data=h5py.Empty("f4")), "it is empty"),
    "25 PiB": (declared((8, 2**24, 2**25), chunks=(1, 1024, 1024)), "none were ever written"),
    "external storage": (
        lambda file: file.create_dataset("data", (3, 4), dtype="f8", external=[("../secret.txt", 0, 96)]),
        "external storage",
    ),
    "external storage beside": (
        lambda file: file.create_dataset("data", (3, 4), dtype="f8", external=[("beside.h5", 0, 96)]),
        "external storage",
    ),
    "link outside": (
        lambda file: file.__setitem__("data", h5py.ExternalLink("../outside.h5", "data")),
        "its own folder",
    ),
    "virtual outside": (virtual("../outside.h5"), "its own folder"),
    "virtual of itself": (virtual("."), "a part of itself"),  # HDF5 would end the process
    "virtual of itself by its name": (virtual("run.h5"), "a part of itself"),
    "link to nothing": (lambda file: file.__setitem__("data", h5py.SoftLink("/nowhere")), "complete HDF5"),
    "link to itself": (lambda file: file.__setitem__("data", h5py.SoftLink("/data")), "complete HDF5"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_or_must_not_be_read_is_refused_in_a_line(folder, kind):
    put, says = REFUSED[kind]
    with pytest.raises(InputError, match=says) as refusal:
        read(written(folder, put))
    assert "\n" not in str(refusal.value)


def test_an_array_larger_than_the_free_memory_is_refused_before_it_is_read(folder, monkeypatch):
    path = written(folder, lambda file: file.create_dataset("data", data=np.zeros((64, 1024)), compression="gzip"))
    assert read(path).shape == (64, 1024)
    monkeypatch.setattr(files, "free_memory", lambda: 2**18)
    with pytest.raises(InputError, match=r"needs 0\.000488 GiB of memory, as it states; 0\.000244 GiB are free"):
        read(path)
    with store.opened(path) as file:  # a part of it fits
        assert store.values(file["data"], (slice(0, 32),)).shape == (32, 1024)


def test_free_memory_is_some_and_no_more_than_the_machine_has():
    assert 2**20 < files.free_memory() < 2**50


def linked(file):
    file["data"] = h5py.ExternalLink("beside.h5", "data")


def virtual_within(file):
    file["of_its_own"] = VALUES
    virtual(".", "of_its_own")(file)


@pytest.mark.parametrize("put", [virtual("beside.h5"), virtual_within, linked])
def test_data_in_the_file_s_own_folder_are_followed(folder, put):
    np.testing.assert_array_equal(read(written(folder, put)), VALUES)


def test_a_link_to_the_file_is_followed_to_its_own_folder(folder, tmp_path):
    path = written(folder, lambda file: file.__setitem__("data", h5py.ExternalLink("beside.h5", "data")))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.h5").symlink_to(path)
    np.testing.assert_array_equal(read(path), VALUES)
    with store.opened(tmp_path / "elsewhere" / "link.h5") as file:
        assert "data" in file.keys()  # noqa: SIM118  its names, none of which is followed


def test_texts_are_without_control_characters_and_of_any_encoding(folder):
    path = written(folder, lambda file: file.__setitem__("data", np.bytes_(b"a\x01b\x1b[2J\xff\n\tc\0")))
    assert read(path) == "a b [2J�\n\tc"
    assert plain(np.array("x")) == "x"
    assert plain(np.float32(2.0)) == 2.0
    assert printable("a\nb\0\ud800") == "a\\nb\\x00\\ud800"
    assert "\n" not in str(InputError("a file\nof two lines"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("eV", "eV"),
        (np.bytes_(b"eV"), "eV"),
        (np.array([b"eV"]), "eV"),
        (3, "?"),
        ([1, 2], "?"),
        (h5py.Empty("f4"), "?"),
    ],
)
def test_attributes_of_any_type_are_text_or_absent(folder, value, expected):
    def put(file):
        file["data"] = VALUES
        file["data"].attrs["units"] = value

    with opened_file(written(folder, put)) as file:
        assert attribute(file["data"], "units", "?") == expected
