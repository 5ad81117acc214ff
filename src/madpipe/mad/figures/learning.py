"""Figure of a training: the loss and its terms against the step."""

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.base.training import History
from madpipe.mad.figures.picture import FIT_LOOK, NETWORK_LOOK

_WINDOW = 25  # steps of the running mean


@styled
def training_curves(history: History) -> Picture:
    """Draw training and validation loss [1] against the optimiser's step, and the terms of the training loss beside.

    Parameters
    ----------
    history:
        Of a training.
    """
    figure = new_figure(TWO_COLUMNS, 2.6)
    total, terms = figure.subplots(1, 2, sharex=True)
    steps = np.asarray(history.step)
    _draw_total(total, steps, history)
    for number, (name, values) in enumerate(history.terms.items()):
        look = LOOKS[number % len(LOOKS)]
        terms.plot(steps, running_mean(values), **look.dash(), label=name.replace("_", " "))
    for axes, label in ((total, "loss (1)"), (terms, "term of the training loss (1)")):
        axes.set(xlabel="optimiser step (1)", ylabel=label)
        _logarithmic_where_positive(axes)
        axes.legend(loc="best")
        axes.grid(visible=True)
    name_panels([total, terms], ["loss", f"terms, means over {_WINDOW} steps"])
    return Picture(figure, _caption(history))


def running_mean(values: list[float]) -> np.ndarray:
    """Mean over a window about each step that shrinks at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - _WINDOW // 2, 0), np.minimum(index + _WINDOW // 2 + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _draw_total(axes: Axes, steps: np.ndarray, history: History) -> None:
    """Training loss of every step and its running mean, validation loss with the step that was kept."""
    axes.plot(steps, history.training_loss, color=FIT_LOOK.color, linewidth=0.4, alpha=0.35)
    axes.plot(steps, running_mean(history.training_loss), **FIT_LOOK.dash(), label="training, running mean")
    axes.plot(history.validation_step, history.validation_loss, **NETWORK_LOOK.line(), label="validation")
    if history.best_step in history.validation_step:
        axes.axvline(history.best_step, color="0.5", linewidth=0.8, label=f"kept, step {history.best_step}")


def _logarithmic_where_positive(axes: Axes) -> None:
    """Use a logarithmic scale unless a curve reaches zero."""
    values = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if np.size(line.get_xdata()) > 2]
    if values and min(array.min() for array in values) > 0:
        axes.set_yscale("log")


def _caption(history: History) -> str:
    """Length, best validation loss, why it ended and the last mean of each term."""
    best = min(history.validation_loss, default=float("nan"))
    kept, last = _loss_at(history, history.best_step), running_mean(history.training_loss)[-1]
    terms = ", ".join(f"{name} {running_mean(values)[-1]:.3g}" for name, values in history.terms.items())
    return (
        f"Training over {len(history.step)} steps, ended by: {history.stopped or 'not said'}. "
        f"Least validation loss {best:.4g} at step {history.best_step}, whose weights were kept; "
        f"training loss there {kept:.4g}, at the end {last:.4g}. "
        f"Terms at the end: {terms}."
    )


def _loss_at(history: History, step: int) -> float:
    """Running mean of the training loss at a step."""
    index = int(np.searchsorted(history.step, step, side="right")) - 1
    return float(running_mean(history.training_loss)[max(index, 0)])
