"""Figures of a fit: curves with their residuals, with and without smearing, and the valley of two parameters."""

import numpy as np
from matplotlib.axes import Axes

from madpipe.base.errors import InputError
from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Keywords, Picture, name_panels, new_figure, styled
from madpipe.saxs.records import AT_BOUND, FREE, OPEN, ParticleFit

_MOST = 6  # curves in one panel
_APART = 3.0  # factor between curves of one panel
_SHOWN = 3.2  # standard deviations on either side of a parameter
_LARGEST = 4.5  # residual that is drawn at least [sigma]


@styled
def fitted_curves(found: ParticleFit) -> Picture:
    """Draw intensities and fits, log-log, curves apart by a factor, and residuals over sigma."""
    figure = new_figure(TWO_COLUMNS, 3.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = _chosen(len(found.intensity))
    for place, row in enumerate(rows):
        used = np.isfinite(found.calculated[row])
        look, factor = LOOKS[place % len(LOOKS)], _APART**-place
        _points(upper, found.q[used], found.intensity[row, used] * factor, found.sigma[row, used] * factor, place)
        upper.plot(found.q[used], found.calculated[row, used] * factor, color="black", linewidth=0.8, zorder=4)
        residuals = (found.intensity[row, used] - found.calculated[row, used]) / found.sigma[row, used]
        lower.plot(found.q[used], residuals, color=look.color, marker=look.marker, linestyle="", markersize=1.6)
    upper.set(xscale="log", yscale="log", ylabel=r"I (cm$^{-1}$)")
    upper.set_ylim(*_limits(found, rows))
    upper.legend(loc="lower left", fontsize=6)
    lower.axhline(0.0, **REFERENCE.dash())
    limit = max(_LARGEST, 1.1 * _largest_residual(found, rows))
    lower.set(xlabel=r"q ($\mathrm{\AA}^{-1}$)", ylabel=r"residual ($\sigma$)", ylim=(-limit, limit))
    name_panels([upper, lower], [f"{found.model}", "residuals"])
    many = f"; each curve a factor of {_APART:g} below the one before" if len(rows) > 1 else ""
    words = f"Intensity against q with the fit of {found.model} ({found.method}){many}; below, residuals over sigma. "
    if len(found.values) == len(found.intensity):
        return Picture(figure, words + " ".join(_told(found, row) for row in rows))
    each = ", ".join(f"{_name(found, row)} {found.chi2[row]:.3g}" for row in rows)
    return Picture(figure, f"{words}All together: {_values(found, 0)}. Chi-square: {each}.{_refused(found, 0)}")


@styled
def smearing_compared(smeared: ParticleFit, unsmeared: ParticleFit) -> Picture:
    """Draw one curve with the fit that knows the resolution and the one that does not.

    Raises
    ------
    InputError
        The two are of different curves.
    """
    if smeared.q.shape != unsmeared.q.shape:
        raise InputError(
            f"the comparison needs fits of one curve; {len(smeared.q)} and {len(unsmeared.q)} came; fit it twice."
        )
    figure = new_figure(TWO_COLUMNS, 3.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    used = np.isfinite(smeared.calculated[0])
    _points(upper, smeared.q[used], smeared.intensity[0, used], smeared.sigma[0, used], 0, "data")
    largest = _LARGEST
    for number, (one, said) in enumerate(((smeared, "smeared"), (unsmeared, "resolution ignored")), start=1):
        seen = np.isfinite(one.calculated[0])
        upper.plot(one.q[seen], one.calculated[0, seen], **LOOKS[number].dash(), label=said, zorder=4)
        residuals = (one.intensity[0, seen] - one.calculated[0, seen]) / one.sigma[0, seen]
        lower.plot(one.q[seen], residuals, **{**LOOKS[number].points(), "linestyle": "", "markersize": 2.0})
        largest = max(largest, 1.1 * float(np.quantile(np.abs(residuals), 0.98)))
    upper.set(xscale="log", yscale="log", ylabel=r"I (cm$^{-1}$)")
    upper.set_ylim(*_limits(smeared, [0]))
    upper.legend(loc="lower left")
    lower.axhline(0.0, **REFERENCE.dash())
    lower.set(xlabel=r"q ($\mathrm{\AA}^{-1}$)", ylabel=r"residual ($\sigma$)", ylim=(-largest, largest))
    name_panels([upper, lower], ["with and without smearing", "residuals"])
    words = (
        f"{_name(smeared, 0)}: fit of {smeared.model} smeared as the instrument does, and with the resolution ignored. "
        f"Smeared: {_values(smeared, 0)}, chi-square {smeared.chi2[0]:.3g}. Ignored: {_values(unsmeared, 0)}, "
        f"chi-square {unsmeared.chi2[0]:.3g}."
    )
    return Picture(figure, words)


@styled
def valley(found: ParticleFit, curve: int = 0) -> Picture:
    """Draw each pair of free parameters: the ellipses of 68 and 95 % that their errors and correlation make.

    Raises
    ------
    InputError
        Fewer than two parameters were free.
    """
    names = _moved(found, curve)
    if len(names) < 2:
        raise InputError(f"pairs of parameters need two that are free; {len(names)} came; fix fewer.")
    size = len(names)
    figure = new_figure(TWO_COLUMNS, TWO_COLUMNS * 0.8)
    panels = figure.subplots(size, size, squeeze=False)
    for row, below in enumerate(names):
        for column, left in enumerate(names):
            axes = panels[row, column]
            if column > row:
                axes.set_axis_off()
                continue
            if row == column:
                _marginal(axes, found, curve, below)
            else:
                _ellipses(axes, found, curve, left, below)
            place = found.column(left)
            reach = _SHOWN * found.errors[_row(found, curve), place]
            value = found.values[_row(found, curve), place]
            axes.set_xlim(value - reach, value + reach)
            _label(axes, found, left, below, row == size - 1, column == 0 and row > 0)
    parts = [_told(found, curve)]
    at = [found.column(name) for name in names]
    strong = np.abs(np.triu(found.correlation[curve][np.ix_(at, at)], 1))
    first, second = np.unravel_index(int(strong.argmax()), strong.shape)
    value = found.correlation[curve, at[first], at[second]]
    words = (
        f"Free parameters of {found.model} in pairs: ellipses of 68 and 95 %; bars: the intervals of each alone, which "
        f"follow a valley that is no ellipse. Strongest correlation: {names[first]} and {names[second]}, {value:.3f}. "
    )
    return Picture(figure, words + " ".join(parts))


def _chosen(count: int) -> list[int]:
    """Curves that are drawn: all of few, else some evenly."""
    return sorted({int(row) for row in np.linspace(0, count - 1, min(count, _MOST)).round()})


def _points(
    axes: Axes, q: np.ndarray, intensity: np.ndarray, sigma: np.ndarray, place: int, label: str = "data"
) -> None:
    """Draw measured points with their errors, those above 0."""
    look, seen = LOOKS[place % len(LOOKS)], intensity > 0
    low = np.minimum(sigma[seen], 0.999 * intensity[seen])
    bars: Keywords = {"fmt": look.marker, "color": look.color, "markersize": 1.8, "elinewidth": 0.4, "capsize": 0.0}
    named = label if not place else f"data / {_APART**place:g}"
    axes.errorbar(q[seen], intensity[seen], (low, sigma[seen]), **bars, label=named, zorder=2)


def _limits(found: ParticleFit, rows: list[int]) -> tuple[float, float]:
    """Range of intensities that shows every fit, and not the deepest noise."""
    factors = _APART ** -np.arange(float(len(rows)))
    used = [np.isfinite(found.calculated[row]) for row in rows]
    model = np.concatenate([found.calculated[row, one] * f for row, one, f in zip(rows, used, factors, strict=True)])
    data = np.concatenate([found.intensity[row, one] * f for row, one, f in zip(rows, used, factors, strict=True)])
    model, data = model[model > 0], data[data > 0]
    low = max(float(model.min()), float(np.quantile(data, 0.03))) if len(data) else float(model.min())
    return 0.3 * low, 3.0 * float(max(model.max(), data.max(initial=0.0)))


def _largest_residual(found: ParticleFit, rows: list[int]) -> float:
    """Residual that two of a hundred pass."""
    residuals = (found.intensity[rows] - found.calculated[rows]) / found.sigma[rows]
    return float(np.nanquantile(np.abs(residuals[np.isfinite(residuals)]), 0.98))


def _name(found: ParticleFit, row: int) -> str:
    """Name of a curve."""
    return found.curve_names.split("\n")[row]


def _row(found: ParticleFit, curve: int) -> int:
    """Row of the answer to a curve: one for all where they were fitted together."""
    return curve if len(found.values) > 1 else 0


def _moved(found: ParticleFit, curve: int) -> list[str]:
    """Names of the parameters that were free, without scales and what follows from others."""
    rest = ("scale", "volume_fraction", "background", "power_law", "radius_of_gyration", "volume")
    row = _row(found, curve)
    return [
        name
        for name, state, error in zip(found.names.split("\n"), found.states[row], found.errors[row], strict=True)
        if state in (FREE, OPEN, AT_BOUND) and error > 0 and name.split("[")[0].split(".")[-1] not in rest
    ]


def _values(found: ParticleFit, curve: int) -> str:
    """Values of the free parameters with errors, in words."""
    row = _row(found, curve)
    names, units = found.names.split("\n"), found.units.split("\n")
    told = []
    for name in _moved(found, curve):
        place = names.index(name)
        unit = "" if units[place] == "1" else f" {units[place]}"
        told.append(f"{name} {with_error(found.values[row, place], found.errors[row, place])}{unit}")
    return ", ".join(told)


def _told(found: ParticleFit, curve: int) -> str:
    """One curve's answer in words."""
    row = _row(found, curve)
    return f"{_name(found, curve)}: {_values(found, curve)}; chi-square {found.chi2[curve]:.3g}.{_refused(found, row)}"


def _refused(found: ParticleFit, row: int) -> str:
    """Words where the model does not explain the data."""
    return "" if found.explained[row] else " The model does not explain the data."


def _marginal(axes: Axes, found: ParticleFit, curve: int, name: str) -> None:
    """Draw the Gaussian of one parameter and its intervals."""
    row, place = _row(found, curve), found.column(name)
    value, error = found.values[row, place], found.errors[row, place]
    x = np.linspace(value - 3.5 * error, value + 3.5 * error, 121)
    axes.plot(x, np.exp(-0.5 * ((x - value) / error) ** 2), color=LOOKS[0].color)
    low, inner_low, inner_high, high = found.quantiles[row, place]
    axes.axvspan(low, high, color=LOOKS[1].color, alpha=0.12, lw=0)
    axes.axvspan(inner_low, inner_high, color=LOOKS[1].color, alpha=0.2, lw=0)
    axes.set_yticks([])


def _ellipses(axes: Axes, found: ParticleFit, curve: int, left: str, below: str) -> None:
    """Draw the ellipses of two parameters and the best value."""
    row, x, y = _row(found, curve), found.column(left), found.column(below)
    correlation = float(np.clip(found.correlation[row, x, y], -1, 1))
    angle = np.linspace(0, 2 * np.pi, 181)
    across = np.array([np.cos(angle), correlation * np.cos(angle) + np.sqrt(1 - correlation**2) * np.sin(angle)])
    for level, look in ((1.515, LOOKS[0]), (2.448, LOOKS[1])):  # roots of chi-square of two: 68.3 and 95 %
        axes.plot(
            found.values[row, x] + level * found.errors[row, x] * across[0],
            found.values[row, y] + level * found.errors[row, y] * across[1],
            **look.dash(),
        )
    axes.plot(found.values[row, x], found.values[row, y], marker="+", color="black", linestyle="")


def _label(axes: Axes, found: ParticleFit, left: str, below: str, is_last: bool, is_first: bool) -> None:
    """Label the outer axes of the triangle, and no others."""
    units = dict(zip(found.names.split("\n"), found.units.split("\n"), strict=True))
    axes.tick_params(labelbottom=is_last, labelleft=is_first, labelsize=6)
    if is_last:
        axes.set_xlabel(_with_unit(left, units[left]), fontsize=6.5)
    if is_first:
        axes.set_ylabel(_with_unit(below, units[below]), fontsize=6.5)


def _with_unit(name: str, unit: str) -> str:
    """A parameter's name and unit for an axis."""
    return name.replace("_", " ") + ("" if unit == "1" else rf" ({unit.replace('angstrom', 'Å')})")


FIGURES = {"fitted_curves": fitted_curves, "valley": valley}
