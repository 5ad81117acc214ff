"""All comparisons of the study in one file: what figures and pages quote."""

from collections.abc import Callable, Sequence

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.base.runtime import progress
from madpipe.kinetics.config import KineticsEvaluateConfig
from madpipe.kinetics.decompose.rank import Subtraction, find_rank, singular_values
from madpipe.kinetics.decompose.weights import separable_sigma
from madpipe.kinetics.events.find import find_events
from madpipe.kinetics.events.online import watch
from madpipe.kinetics.events.settings import EventsSettings
from madpipe.kinetics.rates.fit import fit_rates
from madpipe.kinetics.rates.settings import RatesSettings
from madpipe.kinetics.scores.events import EventScore, score_events
from madpipe.kinetics.scores.peers import PEERS, found_by, tuned
from madpipe.kinetics.scores.records import Evaluation, Latency, MethodRow, RankScore, SchemeScore
from madpipe.kinetics.simulate.events import EventPrior, EventSeries, TrueEvent, draw_series
from madpipe.kinetics.simulate.sample import chain
from madpipe.kinetics.simulate.series import (
    Drift,
    Measurement,
    drawn_elution,
    drawn_profiles,
    drawn_reaction,
    measure_series,
)

OURS = "lines and onsets, optimal partition"
_Find = Callable[[Curves], list[int]]


def evaluate(config: KineticsEvaluateConfig, seed: int) -> Evaluation:
    """Score each method on series that are drawn anew.

    Parameters
    ----------
    config:
        How many draws.
    seed:
        Of everything that is drawn.
    """
    generator = np.random.default_rng(seed)
    ranks = [rank_score(generator) for _ in progress(range(config.rank_draws), "ranks")]
    schemes = [scheme_score(generator, bool(k % 2)) for k in progress(range(config.scheme_draws), "schemes")]
    prior = EventPrior(frames=config.frames, signal=config.signal)
    tuning = [draw_series(generator, prior, quiet=False) for _ in range(config.event_series)]
    series = [draw_series(generator, prior, quiet=False) for _ in range(config.event_series)]
    quiet = [draw_series(generator, prior, quiet=True) for _ in range(config.quiet_series)]
    return Evaluation(
        conditions=config,
        ranks=tuple(ranks),
        schemes=tuple(schemes),
        methods=tuple(method_rows(tuning, series, quiet)),
        events=sum(len(one.events) for one in series),
        latencies=tuple(one for some in series for one in latencies(some, config.online_rate)),
        quiet_frames=sum(len(one.curves.intensity) for one in quiet),
        quiet_alarms=sum(len(watch(one.curves, config.online_rate)) for one in quiet),
    )


def rank_score(generator: np.random.Generator) -> RankScore:
    """Draw a reaction or an elution of two to four species, with or without drifts and a subtracted buffer."""
    count, frames = int(generator.integers(2, 5)), int(generator.integers(40, 160))
    q, time = np.linspace(0.01, 0.3, int(generator.integers(100, 250))), np.arange(frames) / 10
    elutes = generator.random() < 0.5
    c = drawn_elution(count, frames, generator) if elutes else drawn_reaction(count, time, generator)
    buffer_frames = int(generator.choice([0, 5, 20, 100]))
    drift = Drift(buffer=float(generator.choice([0, 0.01])), beam=float(generator.choice([0, 0.02])))
    measurement = Measurement(q, float(10 ** generator.uniform(-2.5, -1.5)), 0.02, buffer_frames, drift)
    curves, truth = measure_series(drawn_profiles(count, q, generator), c, time, measurement, generator)
    weights = separable_sigma(curves.sigma)
    product = weights.frame[:, None] * weights.q
    subtraction = Subtraction(None, buffer_frames)
    found = find_rank(curves.intensity / product, curves.sigma, weights, slice(None), subtraction, generator)
    visible = int(np.sum(singular_values(truth.expected / product) > found.detectable))
    return RankScore(found=found.rank, visible=visible, by_edge=found.rank_by_edge)


def scheme_score(generator: np.random.Generator, drifting: bool) -> SchemeScore:
    """Draw a reaction A->B->C of two rates a factor of 3 to 30 apart, noise of 1 %, and fit it.

    Drifting: 3 % of the beam and 2 % of the buffer.
    """
    fast, ratio = 10 ** generator.uniform(-0.3, 1.0), 10 ** generator.uniform(0.5, 1.5)
    rates = (float(fast), float(fast / ratio))
    time, q = np.geomspace(0.02, 50, 60), np.geomspace(0.01, 0.3, 100)
    drift = Drift(beam=0.03, buffer=0.02) if drifting else Drift()
    profiles = drawn_profiles(3, q, generator)
    curves, truth = measure_series(profiles, chain(rates, time), time, Measurement(q, 0.01, drift=drift), generator)
    found = fit_rates(curves, RatesSettings(scheme="A->B->C"))
    pulls = np.log(found.values / rates) / found.relative_error
    best = pulls[int(np.argmin(np.abs(np.log(found.values / rates)).sum(axis=1)))]
    error = float(np.sqrt(np.mean(np.square(found.concentration - truth.concentrations))))
    return SchemeScore(
        drifting=drifting, error=error, rejected=bool(found.rejected), pulls=tuple(float(one) for one in best)
    )


def method_rows(
    tuning: Sequence[EventSeries], series: Sequence[EventSeries], quiet: Sequence[EventSeries]
) -> list[MethodRow]:
    """Score ours as it is, and the peers with penalties that are tuned on series of their own."""
    rows = [
        _row(OURS, lambda curves: [one.frame for one in find_events(curves, EventsSettings()).events], series, quiet)
    ]
    for name, scored in progress(list(PEERS.items()), "peers"):
        factor = tuned(scored, tuning)

        def find(curves: Curves, scored=scored, factor: float = factor) -> list[int]:  # type: ignore[no-untyped-def]
            return found_by(scored, factor, curves)

        rows.append(_row(name, find, series, quiet))
    return rows


def _row(name: str, find: _Find, series: Sequence[EventSeries], quiet: Sequence[EventSeries]) -> MethodRow:
    """Count one method's answers."""
    total = EventScore(0, 0, 0, 0)
    for one in series:
        total += score_events(one.events, find(one.curves))
    return MethodRow(
        method=name,
        f1=total.f1(),
        f1_with_duplicates=total.f1(count_duplicates=True),
        missed=total.missed,
        false=total.false,
        quiet=sum(len(find(one.curves)) for one in quiet),
    )


def latencies(series: EventSeries, rate: float) -> list[Latency]:
    """Give the delay of the first alarm of each event, before the next one, beside that of the ideal observer."""
    alarms = [one.told for one in watch(series.curves, rate)]
    ends = [*(one.frame for one in series.events[1:]), len(series.curves.intensity)]
    return [_latency(one, end, alarms) for one, end in zip(series.events, ends, strict=True)]


def _latency(event: TrueEvent, end: int, alarms: Sequence[int]) -> Latency:
    """Delays of one event, in frames, the event's own frame counted."""
    after = [told for told in alarms if event.frame <= told < end]
    return Latency(ideal=event.told - event.frame + 1, online=after[0] - event.frame + 1 if after else None)
