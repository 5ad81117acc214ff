"""Figure of an answer, point by point: |F_T|, |F_A|, Delta_phi and |F_N| beside the truth, or beside the data."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from madpipe.base.plotting import (
    MAGNITUDE,
    PHASE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    phase_norm,
    phase_ticks,
    show_map,
    styled,
)
from madpipe.mad.figures.picture import (
    FIELDS,
    IN_WORDS,
    LARGEST_PHASE_ERROR,
    MODULUS_UNIT,
    SYMBOLS,
    central_slice,
    deviation,
    is_list,
    q_extent,
    seen,
    slice_words,
    true_values,
)
from madpipe.mad.figures.reflections import reflection_list
from madpipe.mad.records import Fit, Stack

_SIGMAS = 3.0  # range of colours of the error over its standard error
_LEAST_MODULUS = 0.3  # sqrt(photon); smaller moduli share the darkest colour


@styled
def fit_maps(stack: Stack, fit: Fit) -> Picture:
    """Draw an answer's four quantities beside the truth, with the error over the stated standard error.

    Without truth the last row is the relative standard error (of a phase, in radian). Central slices of a volume;
    a list of reflections is drawn against resolution and against the data instead, see
    :func:`madpipe.mad.figures.reflections.reflection_list`. A phase whose standard error exceeds 1 rad is grey.
    """
    if is_list(stack):
        return reflection_list(stack, fit)
    known = stack.truth is not None
    figure = new_figure(TWO_COLUMNS, 5.5 if known else 3.9)
    rows = figure.subplots(3 if known else 2, 4, sharex=True, sharey=True)
    titles = []
    for column, quantity in enumerate(SYMBOLS):
        panels = list(rows[:, column])
        if known:
            _draw_with_truth(panels, stack, fit, quantity)
        else:
            _draw_alone(panels, stack, fit, quantity)
    kinds = ["true", fit.method, "error"] if known else [fit.method, "standard error"]
    titles = [f"{symbol}, {kind}" for kind in kinds for symbol in SYMBOLS.values()]
    _label(rows)
    name_panels(list(rows.flat), titles)
    return Picture(figure, _caption(stack, fit))


def _plane(stack: Stack, fit: Fit, quantity: str) -> np.ndarray:
    """Central slice of one quantity; NaN where it was not measured or the phase is undetermined."""
    values = np.where(seen(stack), getattr(fit, FIELDS[quantity]), np.nan)
    if quantity == "delta_phi":
        values = np.where(fit.delta_phi_errors < LARGEST_PHASE_ERROR, values, np.nan)
    return central_slice(values, len(stack.shape))


def _colours(largest: float, quantity: str) -> tuple[Normalize, str]:
    """Colours of one quantity: cyclic for the phase, logarithmic for a modulus."""
    if quantity == "delta_phi":
        return phase_norm(), PHASE
    top = max(largest, 10 * _LEAST_MODULUS)
    return LogNorm(max(_LEAST_MODULUS, top / 1e4), top), MAGNITUDE


def _draw_values(panels: list[Axes], planes: list[np.ndarray], stack: Stack, quantity: str) -> None:
    """Maps of one quantity in common colours, with one bar below the last."""
    largest = max(float(np.nanmax(plane, initial=0.0)) for plane in planes)
    norm, cmap = _colours(largest, quantity)
    for axes, plane in zip(panels, planes, strict=True):
        image = show_map(axes, plane, q_extent(stack), norm, cmap)
    unit = "rad" if quantity == "delta_phi" else MODULUS_UNIT
    bar = colour_bar(image, panels[-1], f"{SYMBOLS[quantity]} ({unit})", below=True)
    if quantity == "delta_phi":
        phase_ticks(bar)


def _draw_with_truth(panels: list[Axes], stack: Stack, fit: Fit, quantity: str) -> None:
    """Truth, answer, and the error in units of its standard error."""
    ndim = len(stack.shape)
    true = true_values(stack, quantity)
    plane = _plane(stack, fit, quantity)
    _draw_values(panels[:2], [central_slice(true, ndim), plane], stack, quantity)
    error = deviation(getattr(fit, FIELDS[quantity]), true, quantity)
    sigma = getattr(fit, f"{FIELDS[quantity]}_errors")
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = central_slice(np.where(seen(stack), error / sigma, np.nan), ndim)
    image = show_map(panels[2], pull, q_extent(stack), Normalize(-_SIGMAS, _SIGMAS), SIGNED)
    if quantity == "F_N":
        colour_bar(image, panels[2], r"error$/\sigma$ (1)", extend="both")


def _draw_alone(panels: list[Axes], stack: Stack, fit: Fit, quantity: str) -> None:
    """Answer, and its relative standard error (a phase's in radian)."""
    _draw_values(panels[:1], [_plane(stack, fit, quantity)], stack, quantity)
    sigma = getattr(fit, f"{FIELDS[quantity]}_errors")
    value = 1.0 if quantity == "delta_phi" else np.maximum(getattr(fit, FIELDS[quantity]), 1e-30)
    relative = central_slice(np.where(seen(stack), sigma / value, np.nan), len(stack.shape))
    image = show_map(panels[1], relative, q_extent(stack), LogNorm(1e-2, 1.0), MAGNITUDE)
    if quantity == "F_N":
        colour_bar(image, panels[1], r"$\sigma/|F|$ (1), $\sigma(\Delta\varphi)$ (rad)", extend="both")


def _label(rows: np.ndarray) -> None:
    """Label the outer axes of the grid of (qy, qx) maps."""
    for axes in rows[-1]:
        axes.set_xlabel("$q_x$ (nm$^{-1}$)")
    for axes in rows[:, 0]:
        axes.set_ylabel("$q_y$ (nm$^{-1}$)")


def _caption(stack: Stack, fit: Fit) -> str:
    """Numbers of an answer over all points, and its calibration where the truth is known."""
    points = seen(stack)
    share = 100 * float((fit.delta_phi_errors[points] < LARGEST_PHASE_ERROR).mean())
    words = [
        f"{stack.name}, answer '{fit.method}': {slice_words(stack)} of {' x '.join(map(str, stack.shape))} points. "
        f"The phase is determined to better than {LARGEST_PHASE_ERROR:.0f} rad in {share:.1f} % of the points "
        "and grey elsewhere."
    ]
    if stack.truth is not None:
        words += [_quantity_words(stack, fit, quantity, points) for quantity in SYMBOLS]
    return " ".join(words)


def _quantity_words(stack: Stack, fit: Fit, quantity: str, points: np.ndarray) -> str:
    """Mean absolute error and coverage of one quantity over all points."""
    name, true = IN_WORDS[quantity], true_values(stack, quantity)[points]
    if np.isnan(true).all():
        return f"{name} has no true value."
    error = np.abs(deviation(getattr(fit, FIELDS[quantity])[points], true, quantity))
    covered = 100 * float((error < getattr(fit, f"{FIELDS[quantity]}_errors")[points]).mean())
    if quantity == "delta_phi":
        size = f"median error {np.nanmedian(error):.3f} rad"
    elif true.any():
        size = f"sum of errors over sum of truth {error.sum() / true.sum():.4f}"
    else:
        size = f"truth zero, mean {error.mean():.2f} sqrt(photon)"
    return f"{name}: {size}, {covered:.0f} % of the points within one standard error."
