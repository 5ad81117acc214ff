"""Figure of the rates: concentrations of the scheme, curves of the species, how the parameters depend on each other."""

import numpy as np
from matplotlib.ticker import NullFormatter

from madpipe.base.metrics import with_error
from madpipe.base.plotting import (
    LOOKS,
    REFERENCE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    colour_map,
    name_panels,
    new_figure,
    styled,
)
from madpipe.kinetics.records import Rates, SeriesTruth

_SIGNED = 0.05  # of the largest intensity, below 0: curves up to a constant each
_DECADES = 1e-5  # of the largest intensity that are drawn
_LOG_FROM = 100.0  # last time over the first from which the axis of time is logarithmic


@styled
def rates(found: Rates, truth: SeriesTruth | None = None) -> Picture:
    """Draw concentrations of the scheme and its species' curves; correlations of the ln parameters beside them."""
    figure = new_figure(TWO_COLUMNS, 2.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.7))
    for k, (name, look) in enumerate(zip(found.species.split("\n"), LOOKS, strict=False)):
        left.plot(found.time, found.concentration[:, k], **look.dash(), label=name)
        low, high = (found.curves[k] + side * found.curves_sigma[k] for side in (-2, 2))
        middle.fill_between(found.q, low, high, color=look.color, alpha=0.2, lw=0)
        middle.plot(found.q, found.curves[k], **look.dash(), label=name)
    if truth is not None and truth.concentrations.shape == found.concentration.shape:
        left.plot(found.time, truth.concentrations, **REFERENCE.dash())
    is_wide = found.time.min() > 0 and found.time.max() > _LOG_FROM * found.time.min()
    left.set(xlabel="time (s)", ylabel="concentration (1)", xscale="log" if is_wide else "linear")
    left.legend()
    if float(found.curves.min()) > -_SIGNED * float(found.curves.max()):
        middle.set_yscale("log")
        least = max(0.1 * float(np.median(found.curves_sigma)), _DECADES * float(found.curves.max()))
        middle.set_ylim(least, 2 * float(found.curves.max()))
    middle.set(xscale="log", xlabel=r"q ($\AA^{-1}$)", ylabel="intensity")
    middle.xaxis.set_minor_formatter(NullFormatter())
    names = found.parameters.split("\n")
    error = np.sqrt(np.diag(found.covariance))
    image = right.imshow(found.covariance / np.outer(error, error), vmin=-1, vmax=1, cmap=colour_map(SIGNED))
    right.set_xticks(range(len(names)), names)
    right.set_yticks(range(len(names)), names)
    colour_bar(image, right, "correlation (1)")
    state = "rejected" if found.rejected else "explains the data"
    name_panels([left, middle, right], [f"{found.scheme}: {state}", "species", "ln parameters"])
    return Picture(figure, _in_words(found))


def _in_words(found: Rates) -> str:
    """Parameters of every solution and the verdict."""
    names = found.parameters.split("\n")
    solutions = [
        ", ".join(f"{name} {with_error(value, value * error)}" for name, value, error in zip(names, *row, strict=True))
        for row in zip(found.values, found.relative_error, strict=True)
    ]
    words = f"Scheme {found.scheme}, drift allowed for: {found.drift}. {found.verdict[0].upper()}{found.verdict[1:]}. "
    words += f"Solutions: {'; or '.join(solutions)} (1/s, exponents 1)."
    if found.undetermined:
        words += f" Not determined: {', '.join(found.undetermined.split())}."
    return words + (" The rates mean nothing." if found.rejected else "")
