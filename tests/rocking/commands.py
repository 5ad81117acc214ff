"""Commands of the study that write a result, with every file that each can be given, and those files."""

import json
import shutil

import numpy as np
import torch

from madpipe.base import store
from madpipe.rocking.config import SimulatedCurve
from madpipe.rocking.simulate.sample import simulate
from madpipe.rocking.study import ROCKING

CURVE = "\n".join(f"{72.58 + 0.02 * k:.2f} {100 + 9900 * (abs(k - 50) < 2)}" for k in range(100))
QUICK = {"library": 20, "starts": 1, "explorations": 0, "samples": 0, "knots": [6], "evaluations": 5}
FIT = ["rocking", "fit", "{}/curve.txt", "--instrument", "{}/beam.txt", "--config", "{}/mine.yaml"]
PREDICT = ["rocking", "predict", "{}/curve.h5", "--weights", "{}/weights.safetensors", "--config", "{}/mine.yaml"]
# words, of which {} is the folder of the files; suffix of the result; sections of settings that it must keep
COMMANDS = {
    "rocking fit": ([*FIT, "--crystal", "YSZ", "--indices", "4,0,0"], "h5", {"rocking.fit"}),
    "rocking predict": ([*PREDICT, "--no-refine"], "h5", {"rocking.infer", "rocking.fit"}),
}


def write_inputs(folder):
    """Write the files that the commands read."""
    (folder / "mine.yaml").write_text(json.dumps({"rocking": {"fit": QUICK}}))
    (folder / "curve.txt").write_text(CURVE)
    (folder / "beam.txt").write_text("\n".join(f"{k / 1000} {np.exp(-((k / 10) ** 2))}" for k in range(-30, 31)))
    shutil.copy(ROCKING.weights, folder / "weights.safetensors")
    store.write(folder / "curve.h5", simulate(SimulatedCurve(), "curve", torch.Generator().manual_seed(1)))
