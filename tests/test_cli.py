"""The command line: the workflow's functions, one line for bad input, the exit status that each kind of end has."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands_of_studies import OF_STUDIES

from madpipe import cli
from madpipe.base import store
from madpipe.base.origin import read_origin
from madpipe.base.provenance import file_digest
from madpipe.base.warned import DataWarning
from madpipe.commands.options import PathWord, finite
from madpipe.mad.config import SimulatedSample
from madpipe.mad.records import Fit, Stack
from madpipe.mad.simulate.sample import simulate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stack = simulate(SimulatedSample(dimensions=2, grid=32, photons=1e7), torch.Generator().manual_seed(2))
    store.write("stack.h5", stack)
    np.savez("run.npz", intensity=stack.data, energy_ev=stack.energy, f0=stack.f0, qy=stack.qy, qx=stack.qx)
    return tmp_path


def run(*words):
    return cli.main([*words, "--threads", "1"])


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_convert_makes_the_stack_that_the_simulation_wrote(folder):
    assert run("convert", "run.npz", "--element", "Ni", "--edge", "K", "-o", "converted.h5") == 0
    made, given = store.read("converted.h5", Stack), store.read("stack.h5", Stack)
    assert np.array_equal(made.data, given.data)
    assert np.allclose(made.f_prime, given.f_prime)


def test_fit_and_score_agree_with_the_workflow(folder):
    assert run("fit", "stack.h5", "-o", "fit.h5") == 0
    assert run("score", "fit.h5", "--truth", "stack.h5", "-o", "scores.json") == 0
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["answers"]["fit"]["r_factor"] < scores["answers"]["fit"]["r_noise"]
    assert {row["quantity"] for row in scores["answers"]["fit"]["shells"]} >= {"F_T", "F_A", "delta_phi", "F_N"}


def test_a_step_takes_its_settings_from_a_configuration_file(folder):
    (folder / "mine.yaml").write_text("mad: {fit: {max_iterations: 1}}")
    assert run("fit", "stack.h5", "-o", "fit.h5", "--config", "mine.yaml") == 0
    assert store.read("fit.h5", Fit).n_iterations == 1


def test_info_names_what_and_who(folder, capsys):
    run("fit", "stack.h5", "-o", "fit.h5")
    assert run("info", "fit.h5") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "structure factors of every point, by exact\nshape: (32, 32)\nexplains the data: chi-square"
    )
    assert "/entry_1/fit_1/F_A: (32, 32) float64 sqrt(photon)" in printed
    assert "program: madpipe" in printed
    assert "git_commit" not in printed
    assert run("info", "fit.h5", "--hashes") == 0
    assert "git_commit" in capsys.readouterr().out


def test_info_says_what_is_wrong_before_the_datasets(folder, capsys):
    stack = store.read("stack.h5", Stack)
    store.write("stack.h5", replace(stack, data=stack.data[::-1].copy(), truth=None, warnings="one is odd"))
    with pytest.warns(DataWarning, match="reverse order"):
        run("fit", "stack.h5", "-o", "fit.h5")
    for name, words in (("stack.h5", "warning: one is odd"), ("fit.h5", "warning: chi-square per degree")):
        run("info", name)
        head, _, datasets = capsys.readouterr().out.partition("\n\n")
        assert words in head
        assert "/entry_1/data_1" in datasets
    assert "resonant element: Ni, K edge" in (run("info", "stack.h5"), capsys.readouterr().out)[1]
    run("score", "fit.h5", "--stack", "stack.h5", "-o", "scores.json")  # measured: without a truth
    assert "failed: fit r factor" in capsys.readouterr().out  # the checks, those that fail first
    warnings = json.loads((folder / "scores.json").read_text())["warnings"]
    assert [line.split()[0] for line in warnings] == ["one", "chi-square"]
    run("info", "scores.json")
    assert capsys.readouterr().out.startswith("warning: one is odd\nwarning: chi-square")


def test_every_command_states_its_code_settings_and_inputs_without_folders(folder):
    (folder / "mine.yaml").write_text("mad: {fit: {max_iterations: 3}}")
    assert run("fit", str(folder / "stack.h5"), "-o", str(folder / "fit.h5"), "--config", "mine.yaml") == 0
    run("score", "fit.h5", "--truth", "stack.h5", "-o", "scores.json")
    note = json.loads(store.read_process("fit.h5")["note_1"])
    assert note["parameters"]["settings"]["mad.fit"]["max_iterations"] == 3
    assert note["parameters"]["code"].startswith("madpipe.mad.fit.files ")
    assert note["inputs"] == {"stack.h5": file_digest("stack.h5")}
    assert str(folder) not in json.dumps(note)
    assert set(json.loads((folder / "scores.json").read_text())["process"]["note_1"]["inputs"]) == {
        "stack.h5",
        "fit.h5",
    }


COMMANDS = {(study, name): told for study, module in OF_STUDIES.items() for name, told in module.COMMANDS.items()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder for each study, with a file for every option of its commands that takes one."""
    folder = tmp_path_factory.mktemp("somewhere")
    for study, module in OF_STUDIES.items():
        (folder / study).mkdir()
        module.write_inputs(folder / study)
    return folder


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
@pytest.mark.parametrize(("study", "name"), COMMANDS)
def test_a_command_s_record_holds_every_setting_and_file_and_no_folder(study, name, inputs, tmp_path):
    """What its result says of its making."""
    command, kind, sections = COMMANDS[study, name]
    folder = inputs / study
    told = [word.format(folder) for word in command]
    torch.set_default_dtype(torch.float32)  # as outside the tests: networks are made in it
    output = tmp_path / f"result.{kind}"
    assert run(*told, "-o", str(output)) == 0
    origin = read_origin(output)["note_1"]
    files = {Path(word).name for word in told if word.startswith(str(inputs)) and not word.endswith(".yaml")}
    assert {Path(one).name: digest for one, digest in origin["inputs"].items()} == {
        file: file_digest(folder / file) for file in files
    }
    assert set(origin["parameters"].get("settings", {})) == sections
    said = json.dumps({key: value for key, value in origin.items() if key != "inputs"})
    assert str(inputs) not in said
    assert str(tmp_path) not in said


def test_every_command_that_writes_a_result_has_its_record_tested():
    """By tests/<study>/commands.py. Export writes another program's format, which says nothing of its making."""
    writing = {
        command.prog.removeprefix("madpipe ")
        for command in cli.steps_of(cli.parser())
        if any(action.dest == "output" for action in command._actions)
    }
    tested = {name.removeprefix("mad ") for _, name in COMMANDS}
    assert {name.removeprefix("mad ") for name in writing} - {"export"} == tested


def test_a_file_among_the_words_of_a_command_declares_itself():
    """Else its folder would stand in the record, and its content would not; of options whose help tells of files."""
    for command in cli.steps_of(cli.parser()):
        for action in command._actions:
            told = f"{action.dest} {action.metavar} {action.help}"
            words = r"\.(h5|txt|xdi|npz|safetensors|pdf)\b|FILE|spectrum|weights|instrument|config"
            is_value = action.nargs == 0 or action.type is finite
            if not is_value and re.search(words, told):
                is_about_files = command.prog.split()[-1] in ("info", "verify", "config")
                is_path = isinstance(action.type, type) and issubclass(action.type, PathWord)
                assert is_path or is_about_files, f"{command.prog}: {action.dest}"


def test_help_and_version_load_no_numbers():
    """A process of its own: neither torch nor numpy, h5py, matplotlib or numba is loaded to answer."""
    heavy = {"torch", "numpy", "h5py", "matplotlib", "numba", "pandas"}
    code = (
        "import sys; from madpipe import cli\n"
        "try:\n    cli.main(['--help'])\n"
        f"except SystemExit:\n    print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_verify_knows_what_the_commands_made(folder, capsys):
    run("fit", "stack.h5", "-o", "fit.h5")
    run("score", "fit.h5", "--truth", "stack.h5", "-o", "scores.json")
    assert run("verify", ".") == 0
    assert "3 files: 0 stale, 1 unknown, 2 up to date" in capsys.readouterr().out  # the stack is of no command
    other = simulate(SimulatedSample(dimensions=2, grid=32, photons=1e6), torch.Generator().manual_seed(2))
    store.write("stack.h5", other)
    assert run("verify", ".") == 1
    printed = capsys.readouterr().out
    assert "stale: fit.h5: input changed: stack.h5" in printed
    assert "stale: scores.json: input is stale: fit.h5; input changed: stack.h5" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit", "nowhere.h5", "-o", "x.h5"], "needs an existing HDF5 file"),
        (["fit", "run.npz", "-o", "x.h5"], "needs a complete HDF5 file"),
        (["fit", "stack.h5", "-o", "x.h5", "--refine", "scales"], "refine knows"),
        (["convert", "run.npz", "-o", "x.h5"], "element"),
        (["predict", "stack.h5", "-o", "x.h5", "--weights", "none.pt"], "none.pt"),
        (["info", "run.npz"], "needs HDF5 or a file of"),
        (["info", "none.pdf"], "needs the existing file none.pdf"),
        (["verify", "nowhere"], "needs a folder of results"),
        (["score", "stack.h5", "--truth", "stack.h5", "-o", "x.json"], "needs the dataset"),
    ],
)
def test_bad_input_is_one_line_and_status_1(folder, capsys, words, says):
    assert run(*words) == 1
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert not (folder / "x.h5").exists()


def test_wrong_usage_is_status_2(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        run("fit", "stack.h5")
    assert stop.value.code == 2
    assert "-o" in capsys.readouterr().err


def test_default_configuration_is_printed(capsys):
    assert cli.main(["config", "--threads", "1"]) == 0
    assert "max_iterations: " in capsys.readouterr().out


@pytest.mark.parametrize(("told", "threads"), [("3", 3), ("", 5), ("many", 5)])
def test_a_command_takes_the_threads_that_a_cluster_gives_its_job(told, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(5)), raising=False)
    assert cli.parser().parse_args(["fit", "stack.h5", "-o", "fit.h5"]).threads == threads
    assert cli.parser().parse_args(["rocking", "fit", "curve.txt", "-o", "x.h5"]).threads == 1
