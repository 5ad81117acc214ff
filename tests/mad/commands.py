"""Commands of the study that write a result, with every file that each can be given, and those files."""

import json
import shutil

import numpy as np
import torch

from madpipe.base import store
from madpipe.mad.config import FitConfig, SimulatedSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.simulate.sample import simulate
from madpipe.mad.study import MAD

# words, of which {} is the folder of the files; suffix of the result; sections of settings that it must keep
COMMANDS = {
    "convert": (["convert", "{}/run.npz", "--element", "Ni", "--spectrum", "{}/foil.xdi"], "h5", set()),
    "fit": (["fit", "{}/stack.h5", "--config", "{}/mine.yaml"], "h5", {"mad.fit"}),
    "mad fit": (["mad", "fit", "{}/stack.h5", "--refine", "scale"], "h5", {"mad.fit"}),
    "predict": (["predict", "{}/stack.h5", "--weights", "{}/weights.safetensors"], "h5", {"mad.infer"}),
    "retrieve": (
        ["retrieve", "{}/fit.h5", "{}/stack.h5", "--route", "linked", "--accept"],
        "h5",
        {"mad.retrieve", "mad.fit"},
    ),
    "validate": (["validate", "{}/fit.h5", "--truth", "{}/stack.h5"], "json", {"mad.validate"}),
    "plan": (["plan", "--element", "Ni", "--energies", "8313,8333,8353", "--spectrum", "{}/foil.xdi"], "json", set()),
}


def write_inputs(folder):
    """Write the files that the commands read."""
    sample = SimulatedSample(dimensions=2, grid=16, photons=1e7)
    stack = simulate(sample, torch.Generator().manual_seed(2))
    store.write(folder / "stack.h5", stack)
    store.write(folder / "fit.h5", fit_stack(stack, FitConfig()))
    np.savez(folder / "run.npz", intensity=stack.data, energy_ev=stack.energy, f0=stack.f0, qy=stack.qy, qx=stack.qx)
    energies = np.arange(8130.0, 8800.0, 2.0)
    edge = 0.2 + 0.8 / (1 + np.exp(-(energies - 8333) / 2))
    rows = "\n".join(f"{energy} {height}" for energy, height in zip(energies, edge, strict=True))
    (folder / "foil.xdi").write_text(f"# energy xmu\n{rows}\n")
    (folder / "mine.yaml").write_text(json.dumps({"mad": {"fit": {"max_iterations": 3}}}))
    shutil.copy(MAD.weights, folder / "weights.safetensors")
