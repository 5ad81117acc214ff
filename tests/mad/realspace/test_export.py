"""Volumes for ParaView, read back by the rules of VTK's XML format, and by VTK itself where it is installed."""

import importlib
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.verdict import text_of, verdict
from madpipe.cli import main
from madpipe.mad.config import SimulatedSample
from madpipe.mad.realspace.export import export_vtk, volumes
from madpipe.mad.records import RealSpace
from madpipe.mad.simulate.sample import simulate

TYPES = {"Float32": np.float32, "UInt8": np.uint8}


def an_object(shape):
    rng = np.random.default_rng(1)
    support = np.zeros(shape, dtype=np.uint8)
    support[(slice(2, -2),) * len(shape)] = 1
    one, two = (rng.normal(size=(2, *shape)) for _ in range(2))
    rho_a, rho_n = one[0] + 1j * one[1], two[0] + 1j * two[1]
    return RealSpace(
        rho_resonant=rho_a,
        rho_normal=rho_n,
        support=support,
        composition=rng.random(shape),
        composition_errors=rng.random(shape),
        displacement=rng.normal(size=shape),
        voxel_size=np.array([30.0, 20.0, 10.0])[-len(shape) :],
        route="linked",
        verdicts="{}",
        amplitude_resonant=np.abs(rho_a),
        phase_resonant=np.angle(rho_a),
        amplitude_normal=np.abs(rho_n),
        phase_normal=np.angle(rho_n),
        q_bragg=np.array([3.0, 0.0, 0.0])[: len(shape)],
    )


def read_back(path):
    """Geometry and arrays (x, y, z): appended raw data, an 8-byte length before each (VTK file formats, XML)."""
    content = path.read_bytes()
    head, _, rest = content.partition(b'<AppendedData encoding="raw">')
    tree = ElementTree.fromstring(head + b"</VTKFile>")
    assert tree.get("type") == "ImageData"
    order = {"LittleEndian": "<", "BigEndian": ">"}[tree.get("byte_order")]
    image = tree.find("ImageData")
    extent = [int(word) for word in image.get("WholeExtent").split()]
    shape = [last - first + 1 for first, last in zip(extent[::2], extent[1::2], strict=True)]
    data = rest[rest.index(b"_") + 1 :]
    arrays = {}
    for item in image.iter("DataArray"):
        offset = int(item.get("offset"))
        size = int(np.frombuffer(data, order + "u8", 1, offset)[0])
        kind = np.dtype(TYPES[item.get("type")]).newbyteorder(order)
        values = np.frombuffer(data, kind, size // kind.itemsize, offset + 8)
        arrays[item.get("Name")] = values.reshape(shape, order="F")
    return [[float(word) for word in image.get(name).split()] for name in ("Spacing", "Origin")], arrays


@pytest.mark.parametrize("shape", [(8, 9, 11), (8, 9)], ids=["volume", "frame"])
def test_what_is_written_is_read_back_with_x_first_and_the_origin_in_the_middle(tmp_path, shape):
    found = an_object(shape)
    export_vtk(found, tmp_path / "object.vti")
    (spacing, origin), arrays = read_back(tmp_path / "object.vti")
    sizes = [*shape[::-1], 1][:3]
    assert spacing == [10.0, 20.0, 30.0 if len(shape) == 3 else 1.0]
    assert origin == [-(size // 2) * step for size, step in zip(sizes, spacing, strict=True)]
    expected = volumes(found)
    assert set(arrays) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name].reshape(shape[::-1]), values.T)
    inside = found.support > 0
    np.testing.assert_allclose(expected["composition"], found.composition * inside, rtol=1e-6)
    np.testing.assert_allclose(expected["density_normal"], np.abs(found.rho_normal), rtol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["object.vti"]


def test_vtk_itself_reads_it(tmp_path):
    reading = pytest.importorskip("vtkmodules.vtkIOXML", reason="VTK is no dependency of madpipe")
    numpy_support = pytest.importorskip("vtkmodules.util.numpy_support")
    found = an_object((8, 9, 11))
    export_vtk(found, tmp_path / "object.vti")
    reader = reading.vtkXMLImageDataReader()
    reader.SetFileName(str(tmp_path / "object.vti"))
    reader.Update()
    image = reader.GetOutput()
    assert image.GetDimensions() == (11, 9, 8)
    assert image.GetSpacing() == (10.0, 20.0, 30.0)
    for name, values in volumes(found).items():
        array = numpy_support.vtk_to_numpy(image.GetPointData().GetArray(name))
        np.testing.assert_array_equal(array.reshape(values.shape), values)  # x runs fastest


def test_no_strain_without_a_bragg_vector():
    assert "strain" in volumes(an_object((8, 9, 11)))
    assert "strain" not in volumes(replace(an_object((8, 9, 11)), q_bragg=None))
    assert np.isfinite(volumes(an_object((8, 9)))["strain"]).all()


def test_the_command_writes_the_same_file_and_refuses_other_names(tmp_path, capsys):
    found = an_object((8, 9))
    store.write(tmp_path / "object.h5", found)
    assert main(["export", str(tmp_path / "object.h5"), "-o", str(tmp_path / "object.vti")]) == 0
    export_vtk(found, tmp_path / "same.vti")
    assert (tmp_path / "object.vti").read_bytes() == (tmp_path / "same.vti").read_bytes()
    assert main(["export", str(tmp_path / "object.h5"), "-o", str(tmp_path / "object.stl")]) == 1
    assert re.search("must end in .vti", capsys.readouterr().err)
    with pytest.raises(InputError, match=r"\.vti"):
        export_vtk(found, tmp_path / "object")


def test_verdicts_stand_in_the_field_data_and_on_the_terminal(tmp_path, capsys):
    checks = {"hand": verdict(60.0, 50.0, False, "likelier"), "chi2": verdict(3.0, 1.2, True, "chi2")}
    store.write(tmp_path / "object.h5", replace(an_object((8, 9, 11)), verdicts=text_of(checks)))
    assert main(["export", str(tmp_path / "object.h5"), "-o", str(tmp_path / "object.vti")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("1 of 2 checks failed")
    assert told[1] == "failed: chi2 3 (at most 1.2): chi2"
    head = (tmp_path / "object.vti").read_bytes().partition(b"<AppendedData")[0].decode()
    field = head[head.index("<FieldData") : head.index("</FieldData>")]
    assert re.findall(r'Name="(\w+)"', field) == ["passed_hand", "passed_chi2"]


@pytest.mark.parametrize(("words", "passed", "status"), [((), True, 0), ((), False, 3), (("--accept",), False, 0)])
def test_retrieve_exits_with_3_where_a_check_of_its_object_failed(tmp_path, monkeypatch, capsys, words, passed, status):
    """The answer is written all the same, and the last lines say what failed."""
    checks = {
        "hand": verdict(60.0, 50.0, False, "likelier"),
        "chi2": verdict(1.0 if passed else 3.0, 1.2, True, "chi2"),
    }
    made = replace(an_object((8, 9)), verdicts=text_of(checks), route="joint", composition_of="atoms", partner="Fe")
    module = importlib.import_module("madpipe.mad.realspace.retrieve")
    monkeypatch.setattr(module, "retrieve", lambda *_, **__: made)
    stack = simulate(SimulatedSample(dimensions=2, grid=16), torch.Generator().manual_seed(1))
    store.write(tmp_path / "stack.h5", stack)
    names = [str(tmp_path / name) for name in ("stack.h5", "object.h5")]
    assert main(["retrieve", names[0], "-o", names[1], "--threads", "1", *words]) == status
    assert store.read(names[1], RealSpace).verdicts == made.verdicts
    lines = capsys.readouterr().out.splitlines()
    assert "Ni atoms' share 0." in lines[0]
    assert lines[1:] == ([] if passed else [lines[1], "failed: chi2 3 (at most 1.2): chi2"])
    assert ("+-" in lines[0]) is passed
