"""The set-up is complete, pinned and says what is missing: lock, Makefile, conda environment, CI, dependencies."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = PROJECT["project"]["optional-dependencies"]
WORKFLOW, SLURM, DOCS = ([Requirement(line) for line in EXTRAS[name]] for name in ("workflow", "slurm", "docs"))
TEST = [Requirement(line) for line in EXTRAS["test"]]
BUILD = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
ONLY_FOR_CUDA = re.compile("triton|nvidia-|cuda-")
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
IMPORT_NAMES = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "snakemake-executor-plugin-slurm": "snakemake_executor_plugin_slurm",
}
ALSO_IMPORTED_AS = {"mpl_toolkits": "matplotlib", "xraylib_np": "xraylib"}


def locked():
    """Name -> (version, hashes) of every entry of the lock."""
    entries = {}
    for block in re.split(r"\n(?=[a-z])", (ROOT / "requirements.lock").read_text().partition("\n")[2]):
        head = re.match(r"([a-z0-9-]+)==([^ ]+)( ; [^\\]+)? \\\n", block)
        assert head, block[:200]
        hashes = re.findall(r"^    --hash=sha256:([0-9a-f]{64})(?: \\)?$", block, re.MULTILINE)
        assert block.count("\n") - block.endswith("\n") == len(hashes), f"{head[1]} has lines that are no hashes"
        entries[head[1]] = (head[2], hashes)
    return entries


LOCKED = locked()


# -- the lock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("needed", RUN + WORKFLOW + TEST + BUILD, ids=str)
def test_the_lock_satisfies_pyproject(needed):
    if needed.name == "torch":
        assert "torch" not in LOCKED, "torch is installed by itself: its build depends on the machine"
        return
    version, hashes = LOCKED[canonicalize_name(needed.name)]
    assert needed.specifier.contains(version)
    assert hashes


def test_the_lock_satisfies_everything_in_itself():
    """Every dependency of every installed package of the lock is in it, in range: nothing comes in unpinned."""
    missing = []
    for name in ["torch", *LOCKED]:
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        for needed in map(Requirement, lines):
            applies = needed.marker is None or needed.marker.evaluate({"extra": "reports" * (name == "snakemake")})
            if applies and not ONLY_FOR_CUDA.match(needed.name):
                version = LOCKED.get(canonicalize_name(needed.name), ("absent",))[0]
                if version == "absent" or not needed.specifier.contains(version, prereleases=True):
                    missing.append(f"{name} needs {needed}; the lock has {version}")
    assert missing == []


def test_the_lock_has_hashes_and_no_addresses_and_nothing_for_cuda():
    assert all(hashes for _, hashes in LOCKED.values())
    assert [name for name in LOCKED if name == "torch" or ONLY_FOR_CUDA.match(name)] == []
    text = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"://|^ *-(?!-hash=).*$| @ ", text, re.MULTILINE) == []


def test_the_makefile_pins_torch_as_pyproject_does():
    (torch,) = (needed for needed in RUN if needed.name == "torch")
    assert re.findall(r"^TORCH := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE) == [str(torch)]


def project_files():
    """Text files of the project: what git would keep."""
    tops = ("Makefile", "Snakefile", "pyproject.toml", "requirements.lock", "README.md", "CHANGELOG.md", "CITATION.cff")
    folders = (".ci", "benchmarks", "config", "docs", "envs", "src", "tests", "workflow")
    found = [ROOT / name for name in tops] + [path for folder in folders for path in (ROOT / folder).rglob("*")]
    text = {".py", ".smk", ".md", ".yaml", ".toml", ".lock", ".cff", ".sh", ".rst", ".cfg", ".txt", ""}
    return [path for path in found if path.is_file() and path.suffix in text and "egg-info" not in str(path)]


def test_no_file_names_a_package_index():
    options = "|".join(("index" + "-url", "find" + "-links", "trusted" + "-host", "pypi" + r"\.org", "whl/(cpu|cu)"))
    naming = [str(path) for path in project_files() if re.search(options, path.read_text(encoding="utf-8"))]
    assert naming == []


# -- what is used is declared ---------------------------------------------------------------------------------


def imported_by(folder):
    """Top-level names that the files below a folder import, the standard library's left out."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_spec"):
                names |= {word.value for word in node.args if isinstance(word, ast.Constant)}  # its files are read
    return {ALSO_IMPORTED_AS.get(name, name) for name in names - set(sys.stdlib_module_names)}


def import_names(requirements):
    return {IMPORT_NAMES.get(needed.name, needed.name) for needed in requirements}


def test_the_package_imports_what_it_declares_and_nothing_else():
    assert imported_by("src") == import_names(RUN) | {"madpipe"}


def test_tests_and_scripts_import_only_what_is_declared():
    ours = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {"madpipe", "tests"}
    comes_along = {"packaging", "sasmodels"}  # with snakemake; what golden curves are made with, by hand
    assert (
        imported_by("tests") | imported_by("workflow")
        <= import_names(RUN + WORKFLOW + SLURM + TEST) | ours | comes_along
    )


@pytest.mark.parametrize("needed", RUN + WORKFLOW + SLURM + DOCS + TEST, ids=lambda needed: needed.name)
def test_each_dependency_earns_its_line(needed):
    lines = re.findall(rf"^\| {re.escape(needed.name)} \| (.+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.M)
    assert len(lines) == 1


def test_dependencies_that_left_have_no_line():
    lines = set(re.findall(r"^\| ([a-z0-9-]+) \| ", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE))
    assert lines - {"package"} == {needed.name for needed in RUN + WORKFLOW + SLURM + DOCS + TEST}


# -- conda ----------------------------------------------------------------------------------------------------


def test_the_conda_environment_is_that_of_pyproject():
    environment = yaml.safe_load((ROOT / "envs/madpipe.yaml").read_text())
    given = {line.split()[0]: " ".join(line.split()[1:]) for line in environment["dependencies"]}
    python = {"python": PROJECT["project"]["requires-python"], "pip": ""}
    expected = {CONDA_NAMES.get(needed.name, needed.name): needed.specifier for needed in RUN + WORKFLOW + BUILD}
    assert set(given) == set(python) | set(expected)
    for name, specifier in (expected | python).items():
        assert sorted(given[name].split(",")) == sorted(str(specifier).split(",")), name


# -- make -----------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A fresh clone as far as make is concerned: no .venv."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder, *words, **environment):
    """Run make as from a shell, not as part of the make that may run these tests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    clean |= {key: str(value) for key, value in environment.items()}
    return subprocess.run(["make", *words], cwd=folder, env=clean, capture_output=True, text=True, check=False)


def test_where_venv_is_missing_one_line_says_what_to_install(checkout, tmp_path):
    """As on Debian without python3-venv: Python is there, ensurepip is not."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise ModuleNotFoundError('No module named ensurepip')\n")
    done = make(checkout, "setup", f"PYTHON={sys.executable}", PYTHONPATH=hidden)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert "venv is required; it is missing; install it: " in line
    assert line.endswith(f"sudo apt install {version}")
    assert not (checkout / ".venv").exists()


def test_where_python_is_missing_or_too_old_one_line_says_what_to_install(checkout, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("make", "sh", "echo"):
        (programs / name).symlink_to(shutil.which(name))
    done = make(checkout, "setup", PATH=programs)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert line.startswith("madpipe: Python >= 3.11 is required; none came; install it: sudo apt install python3")
    old = programs / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n')
    old.chmod(0o755)
    done = make(checkout, "setup", PATH=programs)
    assert done.returncode != 0
    assert "Python >= 3.11 is required; Python 3.9.2 came" in done.stderr


def test_a_second_set_up_does_nothing_until_the_lock_changes(checkout):
    (checkout / ".venv").mkdir()
    assert make(checkout, "--question", "setup").returncode == 1
    (checkout / ".venv" / ".installed").touch()
    assert make(checkout, "--question", "setup").returncode == 0
    stamp = (checkout / ".venv" / ".installed").stat().st_mtime
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(checkout / name, (stamp + 1, stamp + 1))
        assert make(checkout, "--question", "setup").returncode == 1
        os.utime(checkout / name, (stamp - 1, stamp - 1))


@pytest.mark.parametrize("target", ["all", "test", "smoke", "report", "bench", "lint"])
def test_whatever_runs_sets_up_first(target, checkout):
    lines = make(checkout, "--dry-run", target, f"PYTHON={sys.executable}").stdout.splitlines()
    pip = [number for number, line in enumerate(lines) if "-m pip install" in line][:3]
    torch, lock, package = (lines[number] for number in pip)
    assert torch.endswith("install torch==2.13.0")
    assert lock.endswith("install --require-hashes -r requirements.lock")
    assert package.endswith("install --no-deps --no-build-isolation -e .")
    assert len(lines) > max(pip) + 1


def test_help_names_every_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    told = [line.split()[1] for line in make(ROOT, "help").stdout.splitlines()]
    assert sorted(told) == sorted(phony)


def test_ci_runs_the_tests_and_the_style_check_and_nothing_else():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands == ["set -eu", 'cd "$(dirname "$0")/.."', "make test", "make lint"]


# -- papers ---------------------------------------------------------------------------------------------------


def test_citation_and_licence_say_what_pyproject_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = PROJECT["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith("MIT License")
    assert "the madpipe developers" in licence
