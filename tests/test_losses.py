"""No command destroys what it is given: an output that is an input, by whatever name, is refused before any work."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from commands_of_studies import OF_STUDIES

from madpipe import cli
from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.files import require_outputs
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.files import fit_file

FILE = re.compile(r"\{\}/([\w.]+)")


COMMANDS = {(study, name): told[0] for study, module in OF_STUDIES.items() for name, told in module.COMMANDS.items()}
COMMANDS["mad", "export"] = ["export", "{}/object.vti"]
EACH = [(study, name, file) for (study, name), words in COMMANDS.items() for file in FILE.findall(" ".join(words))]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder for each study with the files of its commands, whose content is looked at by none that is refused."""
    folder = tmp_path_factory.mktemp("somewhere")
    for study, module in OF_STUDIES.items():
        (folder / study).mkdir()
        for words, *_ in [*module.COMMANDS.values(), *([[COMMANDS["mad", "export"]]] if study == "mad" else [])]:
            for name in FILE.findall(" ".join(words)):
                (folder / study / name).write_bytes(f"measured: {name}".encode())
    return folder


def spellings(path, tmp_path):
    """The same file by other names."""
    symbolic, hard, twice = tmp_path / f"symbolic{path.suffix}", tmp_path / f"hard{path.suffix}", tmp_path / "folder"
    symbolic.symlink_to(path)
    os.link(path, hard)
    twice.symlink_to(path.parent)
    return {
        "itself": str(path),
        "relative": os.path.relpath(path),
        "./": f"./{os.path.relpath(path)}",
        "..": f"{path.parent}/../{path.parent.name}//{path.name}",
        "symbolic": str(symbolic),
        "hard": str(hard),
        "folder": str(twice / path.name),
    }


@pytest.mark.parametrize(("study", "name", "file"), EACH)
def test_a_command_writes_over_none_of_its_files(study, name, file, inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = inputs / study
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = [word.format(folder) for word in COMMANDS[study, name]]
    for kind, output in spellings(folder / file, tmp_path).items():
        assert cli.main([*words, "-o", output, "--threads", "1"]) == 1, kind
        said = capsys.readouterr().err.strip()
        assert "would be lost" in said, kind
        assert "\n" not in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_file_that_a_command_reads_is_among_those_tested():
    """By its options: what is a path and no output."""
    for command in cli.steps_of(cli.parser()):
        words = command.prog.removeprefix("madpipe ")
        key = next((key for key in COMMANDS if key[1] in (words, words.removeprefix("mad "))), None)
        if key is not None:
            read = [action for action in command._actions if "Path" in str(action.type) and action.dest != "output"]
            tested = " ".join(" ".join(told) for told in COMMANDS.values())
            assert all(not one.option_strings or any(map(tested.__contains__, one.option_strings)) for one in read)


def test_what_a_plan_writes_beside_its_figure_replaces_no_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("foil.txt").write_text("8300 0.1\n8400 1\n")
    words = ["plan", "--element", "Ni", "--energies", "8313,8333,8353", "--spectrum", "foil.txt", "-o"]
    assert cli.main([*words, "foil.pdf", "--threads", "1"]) == 1
    assert "foil.txt: needs a name of its own; it is the input foil.txt" in capsys.readouterr().err
    assert cli.main([*words, "a.json", "./a.json", "--threads", "1"]) == 1
    assert "twice" in capsys.readouterr().err
    assert Path("foil.txt").read_text() == "8300 0.1\n8400 1\n"


def test_what_madpipe_has_not_made_is_not_replaced(tmp_path, monkeypatch, capsys):
    """`-o *.npz` names a measurement that is no input."""
    monkeypatch.chdir(tmp_path)
    np.savez("w1.npz", intensity=np.ones((3, 4, 4)))
    Path("w2.npz").write_bytes(b"measured")
    assert cli.main(["convert", "w1.npz", "-o", "w2.npz", "--threads", "1"]) == 1
    assert "does not say that madpipe made it" in capsys.readouterr().err
    assert Path("w2.npz").read_bytes() == b"measured"


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (".", "it is a folder"),
        ("folder", "it is a folder"),
        ("folder/", "it is a folder"),
        ("file/x.h5", "is no folder"),
        ("", "needs a file's name"),
        ("a\nb.h5", "printable"),
        ("x" * 300 + ".h5", "needs a"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(output, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("")
    np.savez("w1.npz", intensity=np.ones((3, 4, 4)))
    assert cli.main(["convert", "w1.npz", "-o", output, "--threads", "1"]) == 1
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert sorted(path.name for path in Path().iterdir()) == ["file", "folder", "w1.npz"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "broken", "loop"])
def test_what_is_no_ordinary_file_is_not_read(kind, tmp_path, monkeypatch, capsys):
    """A pipe would be waited for without end."""
    monkeypatch.chdir(tmp_path)
    {
        "fifo": lambda: os.mkfifo("in.h5"),
        "folder": lambda: Path("in.h5").mkdir(),
        "broken": lambda: Path("in.h5").symlink_to("nowhere.h5"),
        "loop": lambda: Path("in.h5").symlink_to("in.h5"),
    }[kind]()
    for words in (["fit"], ["predict"], ["retrieve"], ["export"], ["convert"], ["rocking", "fit"]):
        assert cli.main([*words, "in.h5", "-o", "out.h5", "--threads", "1"]) == 1
        said = capsys.readouterr().err.strip()
        assert "needs an existing" in said
        assert "\n" not in said
    for words in (["info"], ["verify"]):
        status = cli.main([*words, "in.h5", "--threads", "1"])
        assert status == 1
        assert "\n" not in capsys.readouterr().err.strip()


def test_a_function_called_from_python_is_as_careful(tmp_path):
    (tmp_path / "stack.h5").write_bytes(b"measured")
    with pytest.raises(InputError, match="would be lost"):
        fit_file(tmp_path / "stack.h5", tmp_path / "." / "stack.h5", FitConfig())
    assert (tmp_path / "stack.h5").read_bytes() == b"measured"


def test_good_outputs_are_silent(tmp_path):
    require_outputs([tmp_path / "new" / "folder" / "x.h5", tmp_path / "y.h5"], [tmp_path / "in.h5"])
    assert not (tmp_path / "new").exists()
    store.write_json(tmp_path / "new" / "x.json", {"a": 1})


def test_negative_numbers_are_taken_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = cli.parser().parse_args(
        ["convert", "a.npz", "--f-prime", "-5.8,-6.1e0,.5", "--f-double-prime", "-.5,2", "-o", "o.h5"]
    )
    assert command.f_prime == (-5.8, -6.1, 0.5)
    assert command.f_double_prime == (-0.5, 2.0)
    plan = ["plan", "--element", "Ni", "--energies", "8313,8333,8353"]
    assert cli.parser().parse_args([*plan, "--range", "-10,10"]).range_ev == (-10, 10)
    for words in (["--f-prime", "-x"], ["--f-prime", "nan,1"], ["--f-prime", "1,"], ["--threads", "0"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(["convert", "a.npz", "-o", "o.h5", *words])
        assert stop.value.code == 2
    assert "is required" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "-1", "100000", "2.5", "many"])
def test_threads_are_a_number_that_a_machine_can_have(threads, capsys):
    with pytest.raises(SystemExit):
        cli.main(["fit", "stack.h5", "-o", "fit.h5", "--threads", threads])
    assert "a whole number from 1 to" in capsys.readouterr().err


def test_permissions_are_asked_for_before_any_work(tmp_path, monkeypatch, capsys):
    """As root everything may be read; hence the system is asked through a stand-in."""
    monkeypatch.chdir(tmp_path)
    Path("in.h5").write_bytes(b"measured")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    assert cli.main(["fit", "in.h5", "-o", "out.h5", "--threads", "1"]) == 1
    assert "its permissions forbid it" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    assert cli.main(["fit", "in.h5", "-o", "out.h5", "--threads", "1"]) == 1
    assert "may not be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "says"), [(MemoryError("2 GiB"), "more memory"), (OSError(28, "No space"), "No space")]
)
def test_what_the_machine_lacks_is_one_line(error, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def fail(_):
        raise error

    monkeypatch.setattr("madpipe.commands.results._config", fail)
    assert cli.main(["config"]) == 1
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
