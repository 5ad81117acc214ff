"""The wheel is a library and a command line by itself: in a fresh environment that has no Snakemake."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_THERE = ("snakemake", "madpipe", "__editable__")


def run(*words, cwd=None):
    """Run a program without this environment's settings; give what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what git keeps for it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", source / "dist", source)
    (made,) = (source / "dist").glob("madpipe-*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Programs of an environment with the wheel and, linked, all that is installed here but Snakemake."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    linked = folder / "linked"
    linked.mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if not entry.name.startswith(NOT_THERE):
            (linked / entry.name).symlink_to(entry)
    own = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    (own / "linked.pth").write_text(f"{linked}\n")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return folder / "venv" / "bin"


def test_the_library_needs_no_snakemake(installed, tmp_path):
    lines = (
        "import importlib.util, sys, madpipe, madpipe.cli, madpipe.verify",
        "from madpipe.base import provenance",
        "assert importlib.util.find_spec('snakemake') is None",
        "assert 'site-packages' in madpipe.__file__, madpipe.__file__",
        "assert 'snakemake' not in provenance.versions() and 'torch' in provenance.versions()",
        "print(provenance.git_commit())",
    )
    assert run(installed / "python", "-c", "\n".join(lines), cwd=tmp_path).strip() == "not in a git checkout"


def test_the_command_line_fits_and_predicts_with_the_weights_in_the_wheel(installed, tmp_path):
    simulate = (
        "import torch",
        "from madpipe.base import store",
        "from madpipe.mad.config import SimulatedSample",
        "from madpipe.mad.simulate.sample import simulate",
        "torch.set_default_dtype(torch.float64)",
        "store.write('stack.h5', simulate(SimulatedSample(dimensions=2, grid=32), torch.Generator().manual_seed(2)))",
    )
    run(installed / "python", "-c", "\n".join(simulate), cwd=tmp_path)
    assert "predict" in run(installed / "madpipe", "--help", cwd=tmp_path)
    run(installed / "madpipe", "fit", "stack.h5", "-o", "fit.h5", "--threads", "1", cwd=tmp_path)
    run(installed / "madpipe", "predict", "stack.h5", "-o", "inferred.h5", "--threads", "1", cwd=tmp_path)
    assert "/entry_1/fit_1/F_A: (32, 32)" in run(installed / "madpipe", "info", "inferred.h5", cwd=tmp_path)
    assert "0 stale" in run(installed / "madpipe", "verify", ".", cwd=tmp_path)
