"""Commands of the study that write a result, with every file that each can be given, and those files."""

import json
import shutil

import numpy as np

from madpipe.base import store
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.settings import SimulatedCurves
from madpipe.saxs.study import SAXS

QUICK = {
    "fit": {"library": 64, "starts": 1, "evaluations": 5, "samples": 0},
    "infer": {"refit": 1},
    "anomalous": {"library": 16, "starts": 1, "evaluations": 5},
    "size": {"draws": 3, "bins": 20},
}
CONFIG = ["--config", "{}/mine.yaml"]
ONE = ["{}/curve.txt", *CONFIG]
SERIES = ["{}/series.h5", *CONFIG]
WEIGHTS = ["--weights", "{}/weights.safetensors"]
# words, of which {} is the folder of the files; suffix of the result; sections of settings that it must keep
COMMANDS = {
    "saxs convert": (["saxs", "convert", *ONE], "h5", {"saxs.read"}),
    "saxs fit": (["saxs", "fit", *ONE, "--model", "sphere"], "h5", {"saxs.fit", "saxs.read"}),
    "saxs predict": (["saxs", "predict", *ONE, *WEIGHTS], "h5", {"saxs.read", "saxs.fit", "saxs.infer"}),
    "saxs classify": (["saxs", "classify", *ONE, *WEIGHTS], "json", {"saxs.read", "saxs.fit", "saxs.infer"}),
    "saxs size": (["saxs", "size", *ONE], "h5", {"saxs.read", "saxs.size"}),
    "saxs guinier": (["saxs", "guinier", *ONE], "json", {"saxs.read"}),
    "saxs separate": (["saxs", "separate", *SERIES], "h5", {"saxs.read", "saxs.separation"}),
    "saxs anomalous": (["saxs", "anomalous", *SERIES], "h5", {"saxs.read", "saxs.anomalous"}),
    "saxs plan": (["saxs", "plan", *CONFIG], "json", {"saxs.plan"}),
}


def write_inputs(folder):
    """Write the files that the commands read."""
    (folder / "mine.yaml").write_text(json.dumps({"saxs": QUICK}))
    one = SimulatedCurves(model="sphere", values={"radius": 40.0, "pd": 0.1}, points=60)
    curves, _ = simulate_curves(one, np.random.default_rng(1))
    columns = np.column_stack([curves.q, curves.intensity[0], curves.sigma[0]])
    np.savetxt(folder / "curve.txt", columns, header="q(1/A) I(1/cm) sigma(1/cm)")
    series = SimulatedCurves(
        materials={"core": "Ni3Fe", "shell": "Ni"}, energies=(8033.0, 8253.0, 8303.0, 8318.0), points=40
    )
    store.write(folder / "series.h5", simulate_curves(series, np.random.default_rng(1))[0])
    shutil.copy(SAXS.weights, folder / "weights.safetensors")
