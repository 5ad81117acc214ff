"""The weights that come with madpipe, so that a prediction needs no training; `make weights` made them."""

from importlib.resources import files
from pathlib import Path


def shipped_weights() -> Path:
    """Give their path."""
    return Path(str(files("madpipe.mad").joinpath("weights.safetensors")))
