"""Figure of |F_N|: what the non-resonant atoms scatter, recovered against true, and against its standard error."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from madpipe.base import metrics
from madpipe.base.plotting import (
    MAGNITUDE,
    REFERENCE,
    TWO_COLUMNS,
    Look,
    Picture,
    colour_bar,
    colour_map,
    name_panels,
    new_figure,
    styled,
)
from madpipe.mad.figures.picture import FIT_LOOK, MODULUS_UNIT, NETWORK_LOOK, SYMBOLS, mean_photons, seen, true_values
from madpipe.mad.records import Fit, Stack

_BINS = 60
_PER_DECADE = 2  # shells of photons
_FEWEST = 10  # points in a shell
_ZERO = 1e-6  # rms |F_N| over rms |F_T| below which the truth is zero to rounding


@styled
def f_normal(stack: Stack, fit: Fit, network: Fit | None = None) -> Picture:
    """Draw recovered |F_N| against the true one, point by point, and its rms against photons per point and energy.

    Where there is no truth, or it is zero as in the control of pure resonant element, the first panels show |F_N|
    over its standard error instead, against |F_T|. [sqrt(photon)]
    """
    answers = {"fit": (fit, FIT_LOOK)} | ({"network": (network, NETWORK_LOOK)} if network is not None else {})
    figure = new_figure(TWO_COLUMNS, 2.3) if len(answers) > 1 else new_figure(5.2, 2.5)
    panels = list(figure.subplots(1, len(answers) + 1))
    comparable = has_normal(stack)
    for axes, (answer, _) in zip(panels, answers.values(), strict=False):
        _draw_points(axes, stack, answer, comparable=comparable)
    _draw_by_photons(panels[-1], stack, answers)
    name_panels(panels, [*answers, "by counts"])
    return Picture(figure, _caption(stack, answers, comparable))


def has_normal(stack: Stack) -> bool:
    """Tell whether the truth is known and holds non-resonant atoms."""
    if stack.truth is None:
        return False
    total, _ = metrics.root_mean_square(np.abs(stack.truth.f_total))
    normal, _ = metrics.root_mean_square(np.abs(stack.truth.f_normal))
    return normal > _ZERO * total


def _draw_points(axes: Axes, stack: Stack, answer: Fit, *, comparable: bool) -> None:
    """Number of points by recovered |F_N| and true |F_N|, or |F_T|, with the line of equality."""
    points = seen(stack)
    against = true_values(stack, "F_N")[points] if comparable else answer.f_total[points]
    recovered = answer.f_normal[points]
    top = max(float(against.max()), float(recovered.max()))
    edges = np.geomspace(max(0.07, top / 1e5), top * 1.2, _BINS)
    counts, _, _ = np.histogram2d(np.maximum(against, edges[0]), np.maximum(recovered, edges[0]), [edges, edges])
    norm, cmap = LogNorm(1, max(10.0, counts.max())), colour_map(MAGNITUDE).with_extremes(bad="white")
    image = axes.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), norm=norm, cmap=cmap, rasterized=True)
    axes.plot(edges[[0, -1]], edges[[0, -1]], **REFERENCE.dash(), linewidth=0.9)
    axes.set(xscale="log", yscale="log", xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
    axes.set_box_aspect(1)
    name = f"true {SYMBOLS['F_N']}" if comparable else SYMBOLS["F_T"]
    axes.set(xlabel=f"{name} ({MODULUS_UNIT})", ylabel=f"recovered {SYMBOLS['F_N']} ({MODULUS_UNIT})")
    colour_bar(image, axes, "points per cell (1)")


def photon_shells(photons: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Boolean arrays of the shells, half a decade each, that hold enough of the points."""
    decade = np.floor(_PER_DECADE * np.log10(np.maximum(photons, 1e-3)))
    shells = [points & (decade == value) for value in np.unique(decade[points])]
    return [shell for shell in shells if np.count_nonzero(shell) >= _FEWEST]


def _draw_by_photons(axes: Axes, stack: Stack, answers: dict[str, tuple[Fit, Look]]) -> None:
    """Rms of recovered |F_N|, of its standard error and of the truth, in shells of photons."""
    photons = mean_photons(stack)
    shells = photon_shells(photons, seen(stack))
    centre = [float(np.exp(np.log(np.maximum(photons[shell], 1e-3)).mean())) for shell in shells]
    if has_normal(stack):
        true = true_values(stack, "F_N")
        axes.plot(centre, [metrics.root_mean_square(true[shell])[0] for shell in shells], color="black", label="true")
    for name, (answer, look) in answers.items():
        rms = np.array([metrics.root_mean_square(answer.f_normal[shell]) for shell in shells])
        sigma = [metrics.root_mean_square(answer.f_normal_errors[shell])[0] for shell in shells]
        axes.errorbar(centre, rms[:, 0], rms[:, 1], **look.line(), label=name)
        axes.plot(centre, sigma, color=look.color, linestyle=REFERENCE.linestyle)
    axes.set(xscale="log", yscale="log", xlabel="mean counts (photon)")
    axes.set_box_aspect(1)
    axes.set_ylabel(f"rms {SYMBOLS['F_N']} ({MODULUS_UNIT})")
    axes.plot([], [], color="black", linestyle=REFERENCE.linestyle, label=r"stated $\sigma$")
    axes.set_ylim(top=axes.get_ylim()[1] * 4)  # room above the curves for the key
    axes.legend(loc="upper left", handlelength=1.8)


def _caption(stack: Stack, answers: dict[str, tuple[Fit, Look]], comparable: bool) -> str:
    """Rms error, or rms over standard error, of all points and of the bright ones."""
    photons, points = mean_photons(stack), seen(stack)
    bright = points & (photons >= 1000)
    kind = "against the truth" if comparable else "against |F_T|"
    words = [
        f"{stack.name}: |F_N| {kind}, and in shells of photons per point and energy; dotted: stated standard error."
    ]
    for name, (answer, _) in answers.items():
        for label, chosen in (("all points", points), ("points above 1000 photons", bright)):
            if np.count_nonzero(chosen) >= _FEWEST:
                words.append(
                    f"{name}, {label} ({np.count_nonzero(chosen)}): {_numbers(stack, answer, chosen, comparable)}."
                )
    return " ".join(words)


def _numbers(stack: Stack, answer: Fit, chosen: np.ndarray, comparable: bool) -> str:
    """How far |F_N| is from the truth, or from zero."""
    value, half_95 = answer.f_normal[chosen], answer.half_width_95("f_normal")[chosen]
    if comparable:
        true = true_values(stack, "F_N")[chosen]
        error = metrics.root_mean_square(value - true)[0] / metrics.root_mean_square(true)[0]
        return f"rms error over rms truth {error:.3f}"
    ratio = metrics.root_mean_square(value)[0] / metrics.root_mean_square(answer.f_total[chosen])[0]
    covered = 100 * float((value < half_95).mean())
    return f"rms |F_N| over rms |F_T| {ratio:.4f}, zero in the stated 95 % interval of {covered:.0f} % of the points"
