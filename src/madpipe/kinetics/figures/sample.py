"""All figures of one sample, by the steps that it went through."""

from collections.abc import Callable, Mapping, Sequence

from madpipe.base.curves.records import Curves
from madpipe.base.plotting import Picture
from madpipe.kinetics.figures import decomposition
from madpipe.kinetics.figures.events import raster
from madpipe.kinetics.figures.rates import rates
from madpipe.kinetics.records import Events, Parts, Rates, Truth


def drawings(
    curves: Curves,
    parts: Parts | None,
    found_rates: Rates | None,
    events: Events | None,
    truth: Truth | None,
    reference: Mapping[str, Sequence[float]],
) -> dict[str, Callable[[], Picture]]:
    """Give what draws each figure, by its name."""
    series = None if truth is None else truth.series
    made: dict[str, Callable[[], Picture]] = {}
    if parts is not None:
        made["scree"] = lambda: decomposition.scree(parts)
        made["evolving_factors"] = lambda: decomposition.evolving(parts)
        made["concentrations"] = lambda: decomposition.concentrations(parts, series, reference)
        made["components"] = lambda: decomposition.components(parts)
    if found_rates is not None:
        made["rates"] = lambda: rates(found_rates, series)
    if events is not None:
        made["events"] = lambda: raster(curves, events, None if truth is None else truth.events)
    return made
