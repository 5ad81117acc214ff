"""Commands of the study that write a result, with every file that each can be given, and those files."""

import json
import shutil

import torch

from madpipe.stills.config import SimulatedStills
from madpipe.stills.simulate.files import write_stills
from madpipe.stills.study import STILLS

CASE = {
    "cell": [40.0, 40.0, 60.0, 90.0, 90.0, 90.0],
    "space_group": "P 41 21 2",
    "images": 2,
    "size": 256,
    "pixel": 0.2,
    "distance": 80.0,
    "cells": [12.0, 12.0, 8.0],
    "photons": 5e5,
}
QUICK = {
    "integrate": {"resolution": 2.5, "passes": 2},
    "fit": {"method": "marquardt", "shape": "gauss", "cells": [12, 12, 8]},
}
IMAGES = ["{}/images.nxs", "{}/images.expt"]
CONFIG = ["--config", "{}/mine.yaml"]
INDEX = ["stills", "index", "{}/images.nxs", "--cell", "40,40,60,90,90,90", "--space-group", "P41212", *CONFIG]
REFERENCE = ["--reference", "{}/images_reference.mtz"]
# words, of which {} is the folder of the files; suffix of the result; sections of settings that it must keep
COMMANDS = {
    "stills simulate": (["stills", "simulate", "{}/case.yml"], "nxs", set()),
    "stills index": (INDEX, "expt", {"stills.index"}),
    "stills fit": (["stills", "fit", *IMAGES, *REFERENCE, *CONFIG], "h5", {"stills.fit"}),
    "stills predict": (
        [
            "stills",
            "predict",
            "{}/small.nxs",
            "{}/small.expt",
            "--weights",
            "{}/weights.safetensors",
            "--cells",
            "5,5,5",
            *CONFIG,
        ],
        "expt",
        {"stills.fit"},
    ),
    "stills integrate": (
        ["stills", "integrate", *IMAGES, *REFERENCE, "--table", "{}/table.json", *CONFIG],
        "h5",
        {"stills.integrate"},
    ),
    "stills merge": (["stills", "merge", "{}/integrated.h5", *CONFIG], "mtz", {"stills.merge"}),
}


def write_inputs(folder):
    """Write the files that the commands read."""
    (folder / "mine.yaml").write_text(json.dumps({"stills": QUICK}))
    (folder / "case.yml").write_text(json.dumps(CASE))
    process = {"program": "madpipe", "version": "0", "date": "now", "note_1": "{}"}
    write_stills(folder / "images.nxs", SimulatedStills(**CASE), torch.Generator().manual_seed(1), process)
    demo = SimulatedStills(**STILLS.samples["demo"])
    write_stills(folder / "small.nxs", demo, torch.Generator().manual_seed(2), process)
    shutil.copy(STILLS.weights, folder / "weights.safetensors")
    _write_later_inputs(folder)


def _write_later_inputs(folder):
    """Files that other steps make: the table of indexing, integrated spots."""
    from madpipe.cli import main

    words = ["stills", "index", f"{folder}/images.nxs", "--cell", "40,40,60,90,90,90", "--space-group", "P41212"]
    assert main([*words, "-o", f"{folder}/table.expt"]) == 0
    images = [f"{folder}/images.nxs", f"{folder}/images.expt"]
    assert main(["stills", "integrate", *images, "--resolution", "2.5", "-o", f"{folder}/integrated.h5"]) == 0
