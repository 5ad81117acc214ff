"""Figures of a set of still images, by name."""

from collections.abc import Callable

from madpipe.base.plotting import Picture
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.figures.merged import images, scales, shells
from madpipe.stills.figures.model import instrument
from madpipe.stills.figures.pixels import pixels
from madpipe.stills.figures.spots import predictions, residuals

__all__ = ["FIGURES", "Drawn"]

FIGURES: dict[str, Callable[[Drawn], Picture]] = {
    "pixels": pixels,
    "predictions": predictions,
    "residuals": residuals,
    "images": images,
    "shells": shells,
    "instrument": instrument,
    "scales": scales,
}
