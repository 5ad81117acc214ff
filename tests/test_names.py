"""Names that become folders, and configurations: what leads elsewhere, or says two things, is refused in a line."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from madpipe import cli
from madpipe.base.config import RESERVED, read_yaml, validate
from madpipe.base.errors import InputError
from madpipe.config import Config, require_places
from madpipe.mad.network.weights import load_network
from madpipe.mad.study import MAD
from madpipe.studies import STUDIES

ODD_NAMES = [
    "../../../x",
    "a/b",
    "..",
    ".",
    "",
    "a;touch x",
    "a b",
    ".hidden",
    "-rf",
    "{sample}",
    "a\nb",
    "x" * 101,
    "ä",
]
RULES = Path(__file__).resolve().parents[1] / "workflow" / "rules"


@pytest.mark.parametrize("study", [study.name for study in STUDIES])
@pytest.mark.parametrize("name", [*ODD_NAMES, *sorted(RESERVED), "Figures"])
def test_a_sample_s_name_is_that_of_a_folder_of_its_own(study, name):
    with pytest.raises(InputError, match="a sample's name") as refusal:
        validate(Config, {study: {"samples": {name: {"seed": 1}}}})
    assert "\n" not in str(refusal.value)


def test_good_names_pass():
    for study in STUDIES:
        samples = {name: {"seed": 1} for name in ("Ni3Fe", "run_12", "2026-11-29", "a.b", "_x", "fit", "x" * 100)}
        assert len(getattr(validate(Config, {study.name: {"samples": samples}}), study.name).samples) == len(samples)


def test_every_folder_that_rules_make_beside_samples_is_reserved():
    """A sample of that name would share it."""
    text = "".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.smk"))
    for word in ("figures", "network", "ablation", "testsuite", "unet_patches"):
        assert word in text
        assert word in RESERVED


@pytest.mark.parametrize("key", ["results", "logs"])
@pytest.mark.parametrize(
    "folder", ["", ".", "..", "/", "../..", "results/../..", "~/x", "a{b}", "a;b", "a*", "$HOME", "a\nb"]
)
def test_folders_of_results_and_logs_are_folders_of_their_own(key, folder):
    with pytest.raises(InputError, match=f"config key '{key}': a folder"):
        validate(Config, {key: folder})


def test_results_do_not_replace_a_configuration_or_hold_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("seed: 3\n")
    with pytest.raises(InputError, match="would be replaced"):
        require_places(validate(Config, {"results": "config"}), tmp_path)
    with pytest.raises(InputError, match="holds the project"):
        require_places(validate(Config, {"logs": str(tmp_path)}), tmp_path)
    require_places(validate(Config, {"results": "results", "logs": "../scratch/logs"}), tmp_path)


YAML = {
    "twice": (b"a: 1\nb:\n  c: 1\n  c: 2\n", "the key 'c' stands in line 3 and again in line 4"),
    "deep": (b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    "list": (b"- 1\n", "got list"),
    "latin": ("a: ä".encode("latin-1"), "valid YAML"),
    "NUL": (b"a: \0\n", "valid YAML"),
    "date": (b"a: 2026-13-45\n", "valid YAML"),
    "aliases": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (98 + k, 98 + k, b",".join([b"*%c" % (97 + k)] * 10)) for k in range(9)),
        "aliases of aliases",
    ),
    "itself": (b"a: &a [*a]\n", "aliases of aliases"),
}


@pytest.mark.parametrize("kind", YAML)
def test_odd_yaml_is_refused_in_a_line(tmp_path, kind):
    content, says = YAML[kind]
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(InputError, match=says) as refusal:
        read_yaml(tmp_path / "odd.yaml")
    assert "\n" not in str(refusal.value)


def test_good_yaml_is_read(tmp_path):
    text = "a: &x {p: 1}\nb: {<<: *x, p: 2}\nc: {inner: {<<: *x}}\n"
    (tmp_path / "good.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_yaml(tmp_path / "good.yaml") == {"a": {"p": 1}, "b": {"p": 2}, "c": {"inner": {"p": 1}}}


@pytest.fixture
def others(tmp_path, monkeypatch):
    """A folder of files that are not ours."""
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("hello")
    Path("empty.h5").write_bytes(b"")
    Path("cut.json").write_text("{")
    Path("list.json").write_text("[1, 2]")
    Path("deep.json").write_text("[" * 100_000)
    Path("odd.json").write_text(json.dumps({"process": {"note_1": {"modules": 3, "inputs": [1], "parameters": {}}}}))
    Path("cut.png").write_bytes(b"\x89PNG\r\n")
    Path("p.pdf").write_bytes(b"%PDF-1.4\n/Keywords ({not json)")
    Path("folder.h5").mkdir()
    Image.new("RGB", (4, 4)).save("picture.png")
    return tmp_path


def test_info_says_in_a_line_what_it_cannot_say(others, capsys):
    for path in [*sorted(others.iterdir()), Path("."), Path("nowhere.h5"), Path("/dev/null")]:
        assert cli.main(["info", str(path)]) == 1, path
        said = capsys.readouterr().err.strip()
        assert said.startswith("madpipe: ")
        assert "needs" in said
        assert "\n" not in said


def test_verify_knows_a_folder_that_is_not_ours(others, capsys):
    for name in ("cut.json", "odd.json", "deep.json", "cut.png", "p.pdf", "empty.h5"):
        Path(name).unlink()  # damaged files may have been ours
    assert cli.main(["verify", "."]) == 1
    assert "none of its" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (None, "layout 3; it has None"),
        ("[1]", "layout 3"),
        ("3", "layout 3"),
        ("{", "complete"),
        ("[" * 100_000, "complete"),
    ],
    ids=["none", "list", "number", "cut", "deep"],
)
def test_weights_with_odd_metadata_are_refused(tmp_path, about, says):
    path = tmp_path / "weights.safetensors"
    save_file({"network.x": torch.ones(1)}, path, None if about is None else {"madpipe": about})
    with pytest.raises(InputError, match=says) as refusal:
        load_network(path)
    assert "\n" not in str(refusal.value)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = load_file(MAD.weights)
    with safe_open(MAD.weights, "pt") as opened:
        about = opened.metadata()
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] * float("nan")}, path, about)
    with pytest.raises(InputError, match="needs finite weights"):
        load_network(path)
