"""The weights that come with madpipe, so that a prediction needs no training; `make weights` made them."""

from importlib.resources import files
from pathlib import Path


def shipped_weights(study: str, name: str = "weights.safetensors") -> Path:
    """Give the path of a study's: mad or rocking."""
    return Path(str(files(f"madpipe.{study}").joinpath(name)))
