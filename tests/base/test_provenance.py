"""A fingerprint follows code and nothing else; dates and versions are those of the checkout."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import madpipe
from madpipe.base import provenance
from madpipe.base.shipped import shipped_weights

FIT = "madpipe.mad.fit.fit"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources to edit."""
    shutil.copytree(Path(madpipe.__file__).parent, tmp_path / "madpipe", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "madpipe"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def append(path, line):
    path.write_text(path.read_text() + line)


# -- what does not change it ----------------------------------------------------------------------------------


def test_a_comment_blank_lines_and_a_touch_change_nothing(package):
    before = provenance.fingerprint(FIT)
    append(package / "mad/forward.py", "\n\n\n# a comment\n")
    edit(package / "mad/fit/fit.py", '"""\n\nfrom', '"""\n\n# another comment\n\nfrom')
    (package / "mad/records/stack.py").touch()
    assert provenance.fingerprint(FIT) == before


def test_a_docstring_of_module_class_or_function_changes_nothing(package):
    before = provenance.fingerprint(FIT)
    edit(package / "mad/forward.py", '"""The MAD equation.', '"""The one MAD equation.')
    edit(package / "mad/records/stack.py", '"""Intensities of one Bragg peak', '"""The intensities of one Bragg peak')
    edit(package / "base/store/reading.py", '"""Read a record from a file,', '"""Read one record from one file,')
    assert provenance.fingerprint(FIT) == before


def test_layout_changes_nothing(package):
    before = provenance.fingerprint(FIT)
    edit(
        package / "mad/forward.py",
        "return f_total + ratio * f_resonant",
        "return (f_total + (ratio * f_resonant))",
    )
    assert provenance.fingerprint(FIT) == before


def test_an_edit_elsewhere_changes_nothing(package):
    before = provenance.fingerprint(FIT)
    append(package / "mad/network/loss.py", "\nEDITED = 1\n")
    assert provenance.fingerprint(FIT) == before


# -- what does ------------------------------------------------------------------------------------------------


def test_code_edited_in_the_module_changes_it(package):
    before = provenance.fingerprint(FIT)
    append(package / "mad/fit/fit.py", "\nEDITED = 1\n")
    assert provenance.fingerprint(FIT) != before


@pytest.mark.parametrize("imported", ["mad/forward.py", "base/errors.py", "mad/__init__.py"])
def test_code_edited_in_what_it_imports_changes_it_directly_or_not(imported, package):
    before = provenance.fingerprint(FIT)
    append(package / imported, "\nEDITED = 1\n")
    assert provenance.fingerprint(FIT) != before


def test_a_changed_sign_changes_it_although_the_file_is_as_long_as_before(package):
    before = provenance.fingerprint(FIT)
    edit(package / "mad/forward.py", "f_total + ratio", "f_total - ratio")
    assert provenance.fingerprint(FIT) != before


def test_a_string_that_is_no_docstring_is_code(package):
    before = provenance.fingerprint("madpipe.mad.records")
    edit(package / "mad/records/units.py", 'MODULUS = "sqrt(photon)"', 'MODULUS = "electron"')
    assert provenance.fingerprint("madpipe.mad.records") != before


def test_the_loss_belongs_to_the_training_and_not_to_what_stands_before_it(package):
    before_it = ["madpipe.mad.simulate.sample", FIT]
    training, others = provenance.fingerprint("madpipe.mad.network.train"), provenance.fingerprint(*before_it)
    append(package / "mad/network/loss.py", "\nEDITED = 1\n")
    assert provenance.fingerprint("madpipe.mad.network.train") != training
    assert provenance.fingerprint(*before_it) == others


# -- imports --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "import madpipe.base.store",
        "import madpipe.base.store as kept",
        "from madpipe.base import store",
        "from madpipe.base.store import read",
        "def late():\n    from madpipe.base.store import read",
    ],
)
def test_every_way_of_importing_is_seen(line, package):
    (package / "probe.py").write_text(f"import json\n{line}\n")
    expected = {"madpipe", "madpipe.base", "madpipe.base.store"}
    assert provenance.imports("madpipe.probe") == expected


def test_closure_follows_a_folder_with_a_face(package):
    (package / "folder").mkdir()
    (package / "folder/__init__.py").write_text("from madpipe.folder.inner import work\n")
    (package / "folder/inner.py").write_text("from madpipe.base.errors import InputError\n")
    (package / "probe.py").write_text("from madpipe.folder import work\n")
    assert set(provenance.closure("madpipe.probe")) >= {"madpipe.folder.inner", "madpipe.base.errors"}


# -- commit, date, versions -----------------------------------------------------------------------------------


def test_date_is_the_given_epoch_or_the_commit_s(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert provenance.date() == "1970-01-02T00:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    assert provenance.date() == "1970-01-01T00:00:00+00:00"
    assert provenance.git_commit() == "not in a git checkout"
    author = {"GIT_COMMITTER_DATE": "1000000000 +0000", "GIT_AUTHOR_DATE": "1000000000 +0000"}
    for name, value in author.items():
        monkeypatch.setenv(name, value)
    who = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    assert provenance.date() == "2001-09-09T01:46:40+00:00"
    assert len(provenance.git_commit()) == 12


def test_process_of_a_job_names_rule_code_and_inputs_without_folders(tmp_path):
    folder = tmp_path / "results" / "mad" / "x"
    folder.mkdir(parents=True)
    measured = tmp_path / "beamline" / "w1.sca"
    measured.parent.mkdir()
    for path, content in ((folder / "stack.h5", b"stack"), (measured, b"counts")):
        path.write_bytes(content)
    with contextlib.chdir(tmp_path):
        job = SimpleNamespace(
            rule="mad_fit",
            wildcards={"sample": "x"},
            params={"config": {"a": 1}, "code": provenance.code_of(FIT), "checkpoint": tmp_path / "train.ckpt"},
            input=["results/mad/x/stack.h5", str(measured), str(shipped_weights("mad"))],
            output=["results/mad/y/fit.h5"],
        )
        process = provenance.process_of(job)
    note = json.loads(process["note_1"])
    assert (note["rule"], note["wildcards"]) == ("mad_fit", {"sample": "x"})
    assert note["parameters"]["code"] == f"{FIT} {provenance.fingerprint(FIT)}"
    assert set(note["modules"]) == set(provenance.closure(FIT))
    assert note["inputs"] == {
        "../x/stack.h5": provenance.file_digest(folder / "stack.h5"),
        "w1.sca": provenance.file_digest(measured),
        "madpipe/mad/weights.safetensors": provenance.file_digest(shipped_weights("mad")),
    }
    assert str(tmp_path) not in process["note_1"]


def test_a_changed_module_is_known_by_name(package):
    before = provenance.digests(FIT)
    append(package / "mad/fit/cone.py", "\nEDITED = 1\n")
    append(package / "mad/fit/fit.py", "\n# a comment\n")
    after = provenance.digests(FIT)
    assert [name for name in before if after[name] != before[name]] == ["madpipe.mad.fit.cone"]


def test_versions_of_what_is_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "_LIBRARIES", ("numpy", "no-such-library"))
    assert set(provenance.versions()) == {"python", "madpipe", "numpy"}


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_commit() == "not in a git checkout"


def test_process_holds_parameters_versions_and_commit_the_same_each_time():
    process = provenance.process({"b": 1, "a": {"path": Path("x")}})
    assert process == provenance.process({"a": {"path": Path("x")}, "b": 1})
    note = json.loads(process["note_1"])
    assert note["parameters"] == {"a": {"path": "x"}, "b": 1}
    assert note["versions"] == provenance.versions()
    assert note["versions"]["madpipe"] == process["version"]
    assert note["git_commit"] == provenance.git_commit()
