"""Commands of the study that write a result, with every file that each can be given, and those files."""

import json

import numpy as np

from madpipe.base import store
from madpipe.kinetics.simulate.sample import simulate
from madpipe.kinetics.simulate.settings import SeriesSettings

QUICK = {
    "decompose": {"rank": 2, "bands": False, "iterations": 5},
    "rates": {"starts": 4, "refined": 1, "drift": "none"},
}
CONFIG = ["{}/series.h5", "--config", "{}/mine.yaml"]
# words, of which {} is the folder of the files; suffix of the result; sections of settings that it must keep
COMMANDS = {
    "kinetics convert": (["kinetics", "convert", *CONFIG], "h5", {"kinetics.read"}),
    "kinetics decompose": (
        ["kinetics", "decompose", *CONFIG, "--known", "first"],
        "h5",
        {"kinetics.read", "kinetics.decompose"},
    ),
    "kinetics rates": (["kinetics", "rates", *CONFIG, "--scheme", "A->B"], "h5", {"kinetics.read", "kinetics.rates"}),
    "kinetics events": (["kinetics", "events", *CONFIG], "json", {"kinetics.read", "kinetics.events"}),
}


def write_inputs(folder):
    """Write the files that the commands read."""
    (folder / "mine.yaml").write_text(json.dumps({"kinetics": QUICK}))
    settings = SeriesSettings(rates=(1.0,), frames=20, points=30)
    curves, _ = simulate(settings, "series", np.random.default_rng(1))
    store.write(folder / "series.h5", curves)
