"""A sample's series, with its truth."""

from dataclasses import replace

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.kinetics.records_truth import EventsTruth, Truth
from madpipe.kinetics.simulate.events import EventPrior, EventSeries, draw_series
from madpipe.kinetics.simulate.series import (
    Drift,
    Measurement,
    drawn_elution,
    drawn_profiles,
    linear_scheme,
    measure_series,
)
from madpipe.kinetics.simulate.settings import SeriesSettings


def simulate(settings: SeriesSettings, title: str, generator: np.random.Generator) -> tuple[Curves, Truth]:
    """Draw species, let them react or elute, and measure them; or draw a series with events."""
    if settings.kind == "events":
        series = draw_series(generator, _prior(settings), settings.quiet)
        return replace(series.curves, title=title), Truth(kind="events", events=events_truth(series))
    q = np.geomspace(*settings.q_range, settings.points)
    if settings.kind == "reaction":
        time = np.geomspace(*settings.times, settings.frames)
        concentrations = chain(settings.rates, time)
    else:
        time = np.arange(settings.frames, dtype=float)
        concentrations = drawn_elution(settings.species, settings.frames, generator)
    profiles = drawn_profiles(concentrations.shape[1], q, generator)
    measured = Measurement(q, settings.noise, drift=Drift(beam=settings.beam, buffer=settings.buffer))
    curves, truth = measure_series(profiles, concentrations, time, measured, generator, title)
    return curves, Truth(kind=settings.kind, series=truth)


def chain(rates: tuple[float, ...], time: np.ndarray) -> np.ndarray:
    """Concentrations (frame, species) of a chain of first order that begins at the time 0 as its first species."""
    count = len(rates) + 1
    matrix = np.zeros((count, count))
    matrix[np.arange(1, count), np.arange(count - 1)] = rates
    from_zero = np.concatenate([[0.0], time])
    return linear_scheme(matrix, np.eye(count)[0], from_zero)[1:]


def _prior(settings: SeriesSettings) -> EventPrior:
    """What a series with events is drawn from."""
    return EventPrior(
        frames=(settings.frames, settings.frames),
        points=(settings.points, settings.points),
        signal=settings.signal,
        beam=settings.beam,
        buffer=settings.buffer,
        noise=(settings.noise, settings.noise),
    )


def events_truth(series: EventSeries) -> EventsTruth:
    """Write the events of a drawn series as a record."""
    columns = {
        name: np.array([getattr(one, name) for one in series.events], dtype=int)
        for name in ("frame", "told", "settled", "seen")
    }
    return EventsTruth(kind="\n".join(one.kind for one in series.events), **columns)
