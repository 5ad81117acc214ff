"""The study of still images as the house sees it."""

from madpipe.base.study import Study
from madpipe.stills.config import StillsConfig

_THAUMATIN = [f"../shared/data/stills/thaumatin/thau_3_2_00{number}.cbf.bz2" for number in ("05", "06", "07", "13")]
_SAMPLES: dict[str, dict[str, object]] = {  # the refinement demo, crystals turned at random, and measured stills
    "demo": {
        "cell": (100.0, 100.0, 100.0, 90.0, 90.0, 90.0),
        "space_group": "P 1",
        "images": 1,
        "size": 64,
        "pixel": 0.1,
        "distance": 100.0,
        "cells": (5.0, 5.0, 5.0),
        "shape": "square",
        "spread": 0.8,
        "misset": (5.0, 3.0, -2.0),
        "told_off": 3.0,
        "amplitude": 100.0,
        "photons": 1e4,
        "b_sd": 0.0,
        "background": 1.0,
        "reference_error": 0.0,
        "steps": ["fit"],
    },
    "crystals": {
        "steps": ["index", "integrate"],
    },
    "thaumatin": {
        "path": _THAUMATIN,
        "cell": (58.0, 58.0, 150.4, 90.0, 90.0, 90.0),
        "space_group": "P 41 21 2",
        "steps": ["index", "integrate"],
        "optional": True,
    },
}
_SMOKE = {
    "samples": {
        "thaumatin": None,
        "crystals": {"images": 2, "size": 400},
    },
    "fit": {"method": "low-angles"},
    "evaluate": {
        "methods": ["adam"],
        "offset_methods": ["low-angles"],
        "offsets": [2.0],
        "trials": 1,
        "pulls": 1,
        "integration": ["joint"],
        "beginnings": ["network"],
        "network_images": 4,
        "partialities": ["round"],
    },
}
_WEIGHTS = {  # twenty minutes of one thread
    "train": {
        "steps": 6000,
        "validate_every": 250,
        "learning_rate": 2e-3,
        "gradient_clip": 5.0,
        "validation_images": 1024,
    },
}


def sizes(config: StillsConfig) -> dict[str, int]:
    """Give the size of what rules have to do: pixels of all images of a simulated set, images of a training."""
    pixels = {
        name: sample.images * sample.size**2 for name, sample in config.samples.items() if not hasattr(sample, "path")
    }
    return pixels | {"stills_train": config.train.steps * config.train.batch}


STILLS = Study(
    name="stills",
    title="Still images",
    about="still images of crystals, from pixels to merged intensities",
    config=StillsConfig,
    samples=_SAMPLES,
    overlays={"smoke": _SMOKE, "weights": _WEIGHTS},
    records=("Integrated", "PixelFits", "StillsTruth"),
    sizes=sizes,
)
