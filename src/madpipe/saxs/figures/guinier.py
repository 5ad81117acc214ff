"""Guinier's plot: ln I against q squared with the line, and Rg as the lowest points are left out."""

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.saxs.analysis.guinier import GuinierFit

_BEYOND = 2.0  # times the range's largest q squared that is drawn


@styled
def guinier_plot(curves: Curves, found: GuinierFit, curve: int = 0) -> Picture:
    """Draw ln I against q squared with the line and its range, and the trend of Rg with the lowest q.

    Parameters
    ----------
    curves:
        The measured ones.
    found:
        Answer of Guinier's law to one of them.
    curve:
        Which.
    """
    figure = new_figure(TWO_COLUMNS, 2.6)
    left, right = figure.subplots(1, 2)
    intensity, sigma = curves.intensity[curve], curves.sigma[curve]
    seen = np.isfinite(sigma) & (intensity > 0) & (curves.q**2 <= _BEYOND * found.q_max**2)
    x = curves.q[seen] ** 2
    left.errorbar(
        x,
        np.log(intensity[seen]),
        sigma[seen] / intensity[seen],
        fmt="o",
        markersize=2.0,
        elinewidth=0.4,
        capsize=0.0,
        color=LOOKS[0].color,
        label="data",
    )
    line = np.linspace(0, found.q_max**2, 50)
    left.plot(line, np.log(found.i0) - line * found.rg**2 / 3, color=LOOKS[1].color, label="line", zorder=4)
    for end in (found.q_min, found.q_max):
        left.axvline(end**2, **REFERENCE.dash(), linewidth=0.7)
    left.set(xlabel=r"q$^2$ ($\mathrm{\AA}^{-2}$)", ylabel="ln I", xlim=(0, None))
    left.legend(loc="lower left")
    right.axhspan(
        found.rg - found.rg_total_error, found.rg + found.rg_total_error, color=LOOKS[1].color, alpha=0.2, lw=0
    )
    right.axhline(found.rg, **LOOKS[1].dash())
    right.errorbar(
        found.trend_q_min,
        found.trend_rg,
        found.trend_rg_error,
        fmt="o",
        markersize=2.0,
        elinewidth=0.5,
        color=LOOKS[0].color,
    )
    right.set(xlabel=r"lowest q used ($\mathrm{\AA}^{-1}$)", ylabel=r"R$_g$ ($\mathrm{\AA}$)")
    name_panels([left, right], ["Guinier's plot", "trend"])
    verdict = f" No single number: {found.verdict}." if found.verdict else ""
    name = curves.names.split("\n")[curve]
    words = (
        f"{name}: ln I against q squared and Guinier's line over {found.points} points, q {found.q_min:.4g} to "
        f"{found.q_max:.4g}/angstrom (dotted). Rg {with_error(found.rg, found.rg_total_error)} angstrom (of the line "
        f"alone {found.rg_error:.2g}), I(0) {with_error(found.i0, found.i0_error)}, chi-square {found.chi2:.3g}. "
        "Right: Rg with the lowest points left out; band: its error with the curvature that a compact particle may "
        f"have.{verdict}"
    )
    return Picture(figure, words)


FIGURES = {"guinier_plot": guinier_plot}
