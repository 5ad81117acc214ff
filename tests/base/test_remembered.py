"""What is remembered of the code saves time and changes no answer, whatever happens to its file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import madpipe
from madpipe.base import provenance, remembered

MODULE = "madpipe.physics.crystal"
CALL = f"from madpipe.base import provenance; print(provenance.fingerprint('{MODULE}'))"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The file of this test's own, and no memory of earlier tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache" / "madpipe" / "modules"
    forget()


@pytest.fixture
def package(tmp_path, monkeypatch, cache):
    """A copy of the package's sources to edit."""
    shutil.copytree(Path(madpipe.__file__).parent, tmp_path / "madpipe", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    return tmp_path / "madpipe"


def forget():
    """Be like a new process."""
    provenance._source.cache_clear()
    provenance._code.cache_clear()
    remembered._read_once.cache_clear()
    remembered._unsaved.clear()


def answers():
    """All that is asked of the code, by a new process."""
    forget()
    return provenance.fingerprint(MODULE), provenance.digests(MODULE), provenance.imports(MODULE)


def parsed(monkeypatch):
    """Note every text that is parsed from now on."""
    texts = []
    parse = provenance.ast.parse
    monkeypatch.setattr(provenance.ast, "parse", lambda text: texts.append(text) or parse(text))
    return texts


def test_a_second_run_answers_the_same_without_parsing(cache, monkeypatch):
    first = answers()
    texts = parsed(monkeypatch)
    assert answers() == first
    assert texts == []


def test_only_an_edited_module_is_parsed_again_for_its_hash(package, monkeypatch):
    before = answers()
    path = package / "physics/crystal.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    forget()
    texts = parsed(monkeypatch)
    after = provenance.digests(MODULE)
    assert set(texts) == {path.read_text()}
    assert {name for name in after if after[name] != before[1][name]} == {MODULE}


def test_an_edit_of_equal_size_and_time_changes_the_fingerprint(package):
    path = package / "physics/crystal.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    status = path.stat()
    before = answers()
    path.write_text(path.read_text().replace("EDITED = 1", "EDITED = 2"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = answers()
    assert after[0] != before[0]
    assert after[1][MODULE] != before[1][MODULE]


def test_a_comment_changes_nothing(package):
    before = answers()
    path = package / "physics/crystal.py"
    path.write_text(path.read_text() + "\n# a comment\n")
    assert answers() == before


def test_another_python_does_not_take_the_hashes_of_this_one(cache, monkeypatch):
    answers()
    provenance._maker.cache_clear()
    monkeypatch.setattr(provenance.platform, "python_version", lambda: "3.99.0")
    texts = parsed(monkeypatch)
    answers()
    assert texts != []
    provenance._maker.cache_clear()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20] + b"x" + content[-19:],
        lambda content: content + b"\n",
        lambda content: os.urandom(1000),
        lambda content: b"{}",
    ],
    ids=["empty", "cut short", "one byte", "one byte more", "noise", "no hash"],
)
def test_a_damaged_file_is_ignored_and_replaced(damage, cache):
    first = answers()
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    assert answers() == first
    assert cache.read_bytes() == whole


def test_a_false_entry_would_be_believed(cache):
    """So the tests of damage above see the file at work."""
    answers()
    key = provenance._source(*provenance._stamped(MODULE)).key
    remembered.remember(key, "00000000")
    remembered.save()
    assert answers()[1][MODULE] == "00000000"


@pytest.mark.parametrize("obstacle", ["a file where the folder should be", "a folder where the file should be"])
def test_a_place_that_cannot_be_written_is_no_error(obstacle, cache):
    expected = answers()
    shutil.rmtree(cache.parents[1])
    if obstacle.startswith("a file"):
        cache.parents[1].write_text("")
    else:
        cache.mkdir(parents=True)
    assert answers() == expected
    assert not cache.is_file()
    assert not cache.parents[1].is_dir() or list(cache.parent.iterdir()) == [cache]


def test_a_user_without_a_home_is_no_error(cache, monkeypatch):
    expected = answers()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(remembered.Path, "expanduser", no_home)
    assert answers() == expected


def no_home(_):
    raise RuntimeError("Could not determine home directory.")


def test_two_processes_at_once_agree_and_leave_a_whole_file(cache):
    runs = [
        subprocess.Popen([sys.executable, "-c", CALL], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    found = {run.communicate()[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert found == {answers()[0]}
    assert remembered._read(cache)
    assert [path.name for path in cache.parent.iterdir()] == ["modules"]


def test_the_file_does_not_grow_without_end(cache, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 10)
    for number in range(25):
        remembered.remember(f"key {number}", "value")
        remembered.save()
    assert list(remembered._read(cache)) == [f"key {number}" for number in range(15, 25)]
