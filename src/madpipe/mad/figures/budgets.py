"""Figure of one particle at several photon budgets: |F_N| in truth, by the exact fit and by the network."""

import json
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from madpipe.base import metrics
from madpipe.base.plotting import MAGNITUDE, TWO_COLUMNS, Picture, colour_bar, name_panels, new_figure, show_map, styled
from madpipe.mad.figures.picture import (
    MODULUS_UNIT,
    SYMBOLS,
    central_slice,
    mean_photons,
    q_extent,
    seen,
    slice_words,
    true_values,
)
from madpipe.mad.records import Fit, Stack

_KINDS = ("true", "exact fit", "network")
_LIT = 1.0  # expected photons per point and energy above which a point counts
_LEAST_MODULUS = 0.3  # sqrt(photon); smaller moduli share the darkest colour
_DECADES = 1e3  # range of the colours of a column


@styled
def budgets(stacks: Sequence[Stack], fits: Sequence[Fit], networks: Sequence[Fit]) -> Picture:
    """Draw |F_N| [sqrt(photon)] of one particle, a column per photon budget: truth, exact fit and network.

    The three maps of a column have common logarithmic colours, which rise with the budget from column to column.
    Central slices of a volume.

    Parameters
    ----------
    stacks:
        Simulated, of one particle, by rising budget.
    fits, networks:
        The answers to them, in the same order.
    """
    figure = new_figure(TWO_COLUMNS, 7.0)
    rows = figure.subplots(len(_KINDS), len(stacks), sharex=True, sharey=True, squeeze=False)
    for column, stack, *answers in zip(rows.T, stacks, fits, networks, strict=True):
        _draw_column(list(column), stack, answers)
    for axes in rows[-1]:
        axes.set_xlabel("$q_x$ (nm$^{-1}$)")
    for axes in rows[:, 0]:
        axes.set_ylabel("$q_y$ (nm$^{-1}$)")
    amounts = [f"{_power(_photons(stack))} photons" for stack in stacks]
    name_panels(list(rows.flat), [f"{kind}, {amount}" for kind in _KINDS for amount in amounts])
    return Picture(figure, _caption(stacks, fits, networks))


def _draw_column(column: Sequence[Axes], stack: Stack, answers: Sequence[Fit]) -> None:
    """Truth and answers in common colours, with one bar between the answers."""
    values = [true_values(stack, "F_N"), *(answer.f_normal for answer in answers)]
    planes = [central_slice(np.where(seen(stack), value, np.nan), len(stack.shape)) for value in values]
    top = max(float(np.nanmax(planes[0], initial=0.0)), 10 * _LEAST_MODULUS)  # an outlier must not set the colours
    norm = LogNorm(max(_LEAST_MODULUS, top / _DECADES), top)
    for axes, plane in zip(column, planes, strict=True):
        image = show_map(axes, plane, q_extent(stack), norm, MAGNITUDE)
    colour_bar(image, column[1], f"{SYMBOLS['F_N']} ({MODULUS_UNIT})", below=True, extend="both")


def _photons(stack: Stack) -> float:
    """Photons of the brightest energy that the simulation was given."""
    return float(json.loads(stack.truth.drawn)["sample"]["photons"])


def _power(value: float) -> str:
    """Two digits and a power of ten, as a formula."""
    digits, power = f"{value:.1e}".split("e")
    return rf"${digits.removesuffix('.0')}\times10^{{{int(power)}}}$"


def _caption(stacks: Sequence[Stack], fits: Sequence[Fit], networks: Sequence[Fit]) -> str:
    """Photons and relative rms errors over the lit points of every column."""
    words = [
        f"|F_N| of one particle at {len(stacks)} photon budgets: truth, exact fit, network; {slice_words(stacks[0])} "
        "in colours common to a column. Rms error over rms truth of the points with more than "
        f"{_LIT:g} expected photon per energy:"
    ]
    for stack, *answers in zip(stacks, fits, networks, strict=True):
        lit = seen(stack) & (mean_photons(stack) > _LIT)
        exact, network = (_relative_error(stack, answer, lit) for answer in answers)
        words.append(
            f"{stack.name}, {_photons(stack):.2g} photons at the brightest energy, {np.count_nonzero(lit)} points: "
            f"exact fit {exact}, network {network}."
        )
    return " ".join(words)


def _relative_error(stack: Stack, answer: Fit, lit: np.ndarray) -> str:
    """Rms error over rms truth with its standard error, where there is a truth to compare with."""
    true = true_values(stack, "F_N")[lit]
    scale = metrics.root_mean_square(true)[0]
    if not scale > 0 or not math.isfinite(scale):
        return "without a truth to compare with"
    value, error = metrics.root_mean_square(answer.f_normal[lit] - true)
    return f"{value / scale:.3g} +- {error / scale:.2g}"
