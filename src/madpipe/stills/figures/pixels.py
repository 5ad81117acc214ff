"""Figure of a fit of pixels: counts, the model where the search began and where it ended, and what is left."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm, Normalize

from madpipe.base.metrics import with_error
from madpipe.base.plotting import (
    MAGNITUDE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    show_map,
    styled,
)
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.forward import expected
from madpipe.stills.geometry import Crystal
from madpipe.stills.index.choice import alike
from madpipe.stills.mosaic import SpotKernel, quadrature
from madpipe.stills.records import PixelFits, StillsTruth
from madpipe.stills.scene import Background, Scene, StructureFactors

_SIDE = 128  # pixels of a side that are shown of a large image
_AMPLITUDE = 100.0  # of the fit's reflections without a reference [electron]
_LIMIT = 4.0  # standard errors at the ends of the residuals' colours
_Window = tuple[slice, slice]


@styled
def pixels(drawn: Drawn) -> Picture:
    """Draw the first fitted image: data, model at start and end, deviations in standard errors."""
    fits = drawn.answers.fitted
    if fits is None:
        raise ValueError("no fit of pixels")
    number = int(np.flatnonzero(np.isfinite(fits.spread))[0])
    image = drawn.images[number]
    counts = np.where(image.good[0] & ~image.saturated[0], image.counts[0], np.nan).astype(float)
    window = _window(counts)
    ended = _scene(drawn, fits, number)
    told = drawn.crystals[number]
    begun = ended if told is None else replace(ended, crystal=told, spread=math.radians(drawn.fit.spread))
    start, end = (_seen(one, window, counts.shape) for one in (begun, ended))
    shown = counts[window]
    figure = new_figure(TWO_COLUMNS, 1.95)
    axes = list(figure.subplots(1, 4, sharex=True, sharey=True))
    top = float(np.nanmax(shown))
    norm = LogNorm(max(0.3, 0.5 * float(fits.background[number])), max(top, 2.0))
    left, right, first, last_row = (float(at) for one in window[::-1] for at in (one.start, one.stop))
    extent = (left, right, last_row, first)
    for one, values in zip(axes, (shown, start, end), strict=False):
        last = show_map(one, values[::-1], extent, norm, MAGNITUDE)
        one.set(xlabel="column (pixel)")
    colour_bar(last, axes[2], "photons per pixel")
    deviation = (shown - end) / np.sqrt(np.maximum(end, 1e-6))
    map_of = show_map(axes[3], deviation[::-1], extent, Normalize(-_LIMIT, _LIMIT), SIGNED)
    colour_bar(map_of, axes[3], "deviation (error)", extend="both")
    axes[3].set(xlabel="column (pixel)")
    axes[0].set(ylabel="row (pixel)")
    name_panels(axes, ["counts", "start", "refined", "deviations"])
    return Picture(figure, _caption(drawn, fits, number, deviation))


def _window(counts: Float[np.ndarray, "row column"]) -> _Window:
    """All of a small image, else a square about its brightest pixel."""
    if max(counts.shape) <= 2 * _SIDE:
        return slice(0, counts.shape[0]), slice(0, counts.shape[1])
    brightest = np.unravel_index(int(np.nanargmax(counts)), counts.shape)
    row, column = (
        min(max(int(at) - _SIDE // 2, 0), size - _SIDE) for at, size in zip(brightest, counts.shape, strict=True)
    )
    return slice(row, row + _SIDE), slice(column, column + _SIDE)


def _scene(drawn: Drawn, fits: PixelFits, number: int) -> Scene:
    """The model as it was fitted to an image."""
    shape = drawn.fit.shape
    return Scene(
        beam=drawn.images.beams[number],
        panels=drawn.images.panels,
        crystal=Crystal(fits.axes[number], fits.space_group),
        cells=fits.cells[number],
        factors=drawn.factors or StructureFactors.flat(_AMPLITUDE),
        scale=float(fits.scale[number]),
        shape=shape,
        mosaicity=SpotKernel.isotropic() if shape == "gauss" else quadrature(),
        spread=math.radians(float(fits.spread[number])),
        background=Background(float(fits.background[number])),
    )


def _seen(scene: Scene, window: _Window, shape: tuple[int, ...]) -> Float[np.ndarray, "row column"]:
    """Expected photons of a window's pixels."""
    rows, columns = (np.arange(one.start, one.stop) for one in window)
    numbers = (rows[:, None] * shape[1] + columns).ravel()
    return expected(scene, scene.panels[0], numbers).reshape(len(rows), len(columns))


def _caption(drawn: Drawn, fits: PixelFits, number: int, deviation: np.ndarray) -> str:
    """All numbers of the fit with their errors."""
    labels, errors = fits.labels.split(","), fits.errors[number]
    at = {label: float(errors[k]) for k, label in enumerate(labels)}
    said = [f"mosaic spread {with_error(float(fits.spread[number]), at['spread'])} degree"] if "spread" in at else []
    turned = [
        with_error(float(fits.turn[number, k]), at[f"rotation_{axis}"])
        for k, axis in enumerate("xyz")
        if f"rotation_{axis}" in at
    ]
    said += [f"rotation from the told orientation ({', '.join(turned)}) degree"] if turned else []
    true = "" if drawn.truth is None else f" {_off_truth(fits, number, drawn.truth)}"
    return (
        f"{drawn.title}, image {number + 1} of {len(drawn.images)}: counts; the model at the told orientation and a "
        f"spread of {drawn.fit.spread:g} degree; the model as fitted ({fits.method}, {fits.evaluations[number]} "
        f"evaluations); counts less model over expected errors, rms "
        f"{np.sqrt(np.nanmean(deviation**2)):.2f}. Found: {', '.join(said)}; chi-square per pixel "
        f"{fits.pearson[number]:.2f}.{true}"
    )


def _off_truth(fits: PixelFits, number: int, truth: StillsTruth) -> str:
    """How far spread and orientation are from the truth."""
    true = truth.axes[number]
    found = alike(Crystal(fits.axes[number], fits.space_group), Crystal(true, fits.space_group))
    away = rotation_vector((found.reciprocal @ true).T)
    return (
        f"Truth: spread {truth.spread:g} degree; the crystal stands {np.degrees(np.linalg.norm(away)):.2g} degree from "
        "where it was drawn."
    )
