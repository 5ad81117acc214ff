"""Figure of the composition's error against the photons spent, by every route and from every answer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, ONE_COLUMN, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.mad.scores.records import SampleScores

_Point = tuple[float, float, float, float]  # photons, rms error, its standard error, stated error
_ROUTES = {  # by the names that scores have them under
    "joint": ("joint, counts of all energies", LOOKS[0]),
    "linked": ("linked, exact fit", LOOKS[1]),
    "linked_network": ("linked, network", LOOKS[2]),
    "separate": ("separate, exact fit", LOOKS[3]),
    "separate_network": ("separate, network", LOOKS[4]),
}
_PANELS = {2: "frames", 3: "volumes"}
_SAME_BUDGET = 1.3  # ratio of photons, below which two samples count as of one budget


@styled
def composition_errors(scores: Sequence[SampleScores]) -> Picture:
    """Draw the voxels' rms error of the composition [1] against photons of the brightest energy, log-log.

    A panel for frames and one for volumes; a curve per route and answer that it starts from, through the means over
    samples of one budget. Error bars are standard errors over voxels; thin lines are what the objects state.

    Parameters
    ----------
    scores:
        Of simulated samples; those without objects are left out.
    """
    found = {ndim: _points(scores, ndim) for ndim in _PANELS}
    panels = {ndim: points for ndim, points in found.items() if points}
    figure = new_figure(TWO_COLUMNS if len(panels) > 1 else ONE_COLUMN, 3.4)
    axes_of = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
    for axes, points in zip(axes_of, panels.values(), strict=False):
        for route, of_route in points.items():
            _draw(axes, route, of_route)
        photons = [point[0] for of_route in points.values() for point in of_route]
        axes.set_xlim(min(photons) / 2, max(photons) * 2)
        axes.set(xscale="log", yscale="log", xlabel="photons of the brightest energy (photon)")
        axes.grid(visible=True)
    axes_of[0].set_ylabel("rms error of the composition (1)")
    name_panels(list(axes_of), [_PANELS[ndim] for ndim in panels])
    lines = {handle.get_label(): handle for axes in axes_of for handle in axes.get_legend_handles_labels()[0]}
    figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=2)
    return Picture(figure, _caption(panels))


def _points(scores: Sequence[SampleScores], ndim: int) -> dict[str, list[_Point]]:
    """Error of every object of frames or of volumes, by route, by rising photons."""
    found = defaultdict(list)
    for one in scores:
        for route, score in one.retrieved.items():
            if one.dimensions == ndim and route in _ROUTES and score.rms_error is not None:
                bar = score.rms_error_standard_error or 0.0
                found[route].append((one.photons, score.rms_error, bar, score.stated_rms))
    return {route: sorted(found[route]) for route in _ROUTES if route in found}


def _means(points: Sequence[_Point]) -> list[_Point]:
    """Means over the samples of one budget: photons that are nearly the same."""
    groups: list[list[_Point]] = []
    for point in points:
        if groups and point[0] < groups[-1][0][0] * _SAME_BUDGET:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups]


def _draw(axes: Axes, route: str, points: Sequence[_Point]) -> None:
    """Every object, the curve through the means, and what they state."""
    label, look = _ROUTES[route]
    photons, errors, bars, _ = zip(*points, strict=True)
    axes.errorbar(photons, errors, bars, **look.points(), linestyle="none", markersize=2.5)
    mean_photons, means, _, stated = zip(*_means(points), strict=True)
    axes.plot(mean_photons, means, **look.line(), label=label)
    axes.plot(mean_photons, stated, color=look.color, linewidth=0.5)


def _caption(panels: Mapping[int, Mapping[str, Sequence[_Point]]]) -> str:
    """All numbers."""
    parts = []
    for ndim, of_routes in panels.items():
        for route, points in of_routes.items():
            numbers = ", ".join(
                f"{error:.3g} (stated {stated:.2g}) at {photons:.1e}" for photons, error, _, stated in _means(points)
            )
            parts.append(f"{_PANELS[ndim]}, {_ROUTES[route][0]}: {numbers}")
    return (
        "Error of the composition against photons of the brightest energy. Points: rms over the voxels of an object, "
        "with standard error; curves: means over the objects of a budget; thin: stated errors, "
        "of the linked and separate routes lower bounds. " + "; ".join(parts) + "."
    )
