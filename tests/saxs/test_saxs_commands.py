"""What the commands of the study say: the answer, and in the last line whether it explains the data."""

import json
import sys

import numpy as np
import pytest

from madpipe.base import store
from madpipe.base.metrics import with_error
from madpipe.cli import main
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.settings import SimulatedCurves


def ask(monkeypatch, capsys, *words):
    """Give the lines that a command prints."""
    monkeypatch.setattr(sys, "argv", ["madpipe", "saxs", *map(str, words)])
    assert not main()
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def series(tmp_path):
    """Two elements that are not the defaults, at energies below the edge of cobalt."""
    materials, energies = {"core": "PtCo3@13.6", "shell": "Pt"}, (7400.0, 7600.0, 7670.0, 7690.0)
    config = SimulatedCurves(materials=materials, energies=energies, points=50)
    store.write(tmp_path / "series.h5", simulate_curves(config, np.random.default_rng(1))[0])
    return tmp_path / "series.h5"


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_anomalous_takes_other_elements_and_says_what_it_found(series, monkeypatch, capsys):
    out = series.parent / "fit.h5"
    quick = {"saxs": {"anomalous": {"library": 64, "starts": 2, "evaluations": 30}}}
    (out.parent / "quick.yaml").write_text(json.dumps(quick))
    words = [
        "--config",
        out.parent / "quick.yaml",
        "--material",
        "core=PtCo3@13.6",
        "--material",
        "shell=Pt",
        "--shares",
        "core:Co",
    ]
    lines = ask(monkeypatch, capsys, "anomalous", series, "-o", out, *words)
    found = store.read(out, AnomalousFit)
    assert lines[0].startswith("core_shell_sphere of PtCo3@13.6, Pt in H2O@1: core_radius ")
    assert f"core:Co {with_error(*found.of('core:Co'))}" in lines[0]
    assert abs(found.of("core:Co")[0] - 0.75) < 4 * found.of("core:Co")[1]
    assert lines[-1] == found.verdict
    assert "the model explains the curves" in lines[-1]


def test_separate_says_whether_it_explains_the_curves(series, monkeypatch, capsys):
    lines = ask(monkeypatch, capsys, "separate", series, "-o", series.parent / "parts.h5", "--element", "Co")
    assert lines[-1].startswith("partial intensities of Co at 50 q from 4 energies")
    assert lines[-1].endswith("they explain the curves")


def test_fit_says_that_the_model_explains_the_data(tmp_path, monkeypatch, capsys):
    q = np.geomspace(0.01, 0.3, 60)
    x = q * 40
    clean = (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 + 0.01
    noisy = clean + 0.01 * clean * np.random.default_rng(2).normal(size=60)
    np.savetxt(tmp_path / "ball.txt", np.column_stack([q, noisy, 0.01 * clean]), header="q(1/A) I(1/cm) sigma(1/cm)")
    words = ["--model", "sphere", "--spread", "none"]
    lines = ask(monkeypatch, capsys, "fit", tmp_path / "ball.txt", "-o", tmp_path / "fit.h5", *words)
    assert lines[-1].endswith("the model explains the data")
