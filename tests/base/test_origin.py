"""Every kind of file says who made it; what says nothing, or is damaged, is told apart."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from madpipe.base import provenance, store
from madpipe.base.errors import InputError
from madpipe.base.origin import read_origin, weights_header
from madpipe.base.plotting import new_figure, save
from madpipe.base.shipped import shipped_weights
from madpipe.base.tables import Column, Schema, frame, write_csv
from madpipe.mad.config import SimulatedSample, TrainConfig
from madpipe.mad.network.design import build
from madpipe.mad.network.weights import TrainedNetwork, load_network, save_network
from madpipe.mad.simulate.sample import simulate

TABLE = Schema("R factors", (Column("r_factor", "real"),))
PARAMETERS = {"odd": 'a (bracket), a \\ and a "quote", \u00e9', "code": provenance.code_of("madpipe.base.errors")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One file of each kind."""
    torch.set_default_dtype(torch.float64)
    folder = tmp_path_factory.mktemp("origin")
    process = provenance.process(PARAMETERS)
    sample = SimulatedSample(dimensions=2, grid=16)
    store.write(folder / "x.h5", simulate(sample, torch.Generator().manual_seed(1)), process=process)
    config = TrainConfig(width=8, dilations=(1, 2))
    trained = TrainedNetwork.of(build(config, torch.Generator().manual_seed(1)), config, "abc")
    save_network(folder / "x.safetensors", trained, process=process)
    store.write_json(folder / "x.json", {"r_factor": 0.1}, process=process)
    write_csv(folder / "x.csv", frame(TABLE, [{"r_factor": 0.1}]), TABLE)
    figure = new_figure(2.0, 2.0)
    figure.subplots().plot([0, 1])
    save(figure, folder / "picture.pdf", process, caption="R (1) is 0.1; see \\rho.")
    return folder


@pytest.mark.parametrize(
    "name", ["x.h5", "x.safetensors", "x.json", "x.csv", "picture.pdf", "picture.png", "picture.txt"]
)
def test_every_kind_says_who_made_it(folder, name):
    origin = read_origin(folder / name)
    assert (origin["program"], origin["date"]) == ("madpipe", provenance.date())
    note = origin["note_1"]
    assert note["parameters"] == PARAMETERS
    assert note["modules"] == provenance.digests("madpipe.base.errors")
    assert note["versions"] == provenance.versions()
    assert note["git_commit"] == provenance.git_commit()


def test_weights_stay_readable_and_keep_their_own_facts(folder):
    assert load_network(folder / "x.safetensors").fingerprint == "abc"
    assert weights_header(folder / "x.safetensors")["fingerprint"] == "abc"


def test_another_program_s_files_say_nothing(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([1, 2]))
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "plain.png")
    (tmp_path / "plain.pdf").write_bytes(b"%PDF-1.4\n1 0 obj << /Keywords (x-ray) >> endobj")
    for name in ("list.json", "plain.png", "plain.pdf"):
        assert read_origin(tmp_path / name) == {}
    assert read_origin(shipped_weights("mad")).get("program", "madpipe") == "madpipe"


@pytest.mark.parametrize("name", ["x.h5", "x.safetensors", "x.json", "picture.png"])
def test_a_damaged_file_is_said_to_be(folder, tmp_path, name):
    content = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 3] if name != "picture.png" else b"no picture")
    with pytest.raises(InputError, match=r"needs a complete|needs HDF5"):
        read_origin(tmp_path / name)


def test_a_table_without_its_json_names_it(tmp_path):
    write_csv(tmp_path / "lonely.csv", frame(TABLE, [{"r_factor": 0.1}]), TABLE)
    with pytest.raises(InputError, match=r"needs the existing file .*lonely.json"):
        read_origin(tmp_path / "lonely.csv")
