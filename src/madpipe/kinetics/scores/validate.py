"""Scores of a series' answers: what they say of themselves and, where there is a truth, how far off they are."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from madpipe.base.curves.records import Curves
from madpipe.base.metrics import root_mean_square
from madpipe.base.verdict import Verdict, verdict, verdicts_in
from madpipe.base.warned import kept, lines_of
from madpipe.kinetics.limits import CONCENTRATION, FOUND, INSIDE, REFERENCE
from madpipe.kinetics.records import Events, EventsTruth, Parts, Rates, SeriesTruth, Truth
from madpipe.kinetics.scores.events import EventScore, score_events
from madpipe.kinetics.scores.records import EventsScore, PartsScore, RatesScore, SeriesScores
from madpipe.kinetics.simulate.events import TrueEvent

_Verdicts = dict[str, Verdict]


def score(
    curves: Curves,
    parts: Parts | None = None,
    rates: Rates | None = None,
    events: Events | None = None,
    truth: Truth | None = None,
    reference: Mapping[str, Sequence[float]] | None = None,
) -> SeriesScores:
    """Score the answers that there are.

    Parameters
    ----------
    reference:
        Shares of I(0) of components by name, one for each frame that is analysed.
    """
    series = truth.series if truth is not None else None
    of_parts, one = _parts(parts, series, reference or {}) if parts is not None else (None, {})
    of_rates, two = _rates(rates, series) if rates is not None else (None, {})
    of_events, three = (
        _events(events, truth.events if truth is not None else None) if events is not None else (None, {})
    )
    told = [record.warnings for record in (curves, parts, rates) if record is not None]
    return SeriesScores(
        title=curves.title,
        frames=len(curves.intensity),
        parts=of_parts,
        rates=of_rates,
        events=of_events,
        warnings=lines_of(kept(*told)),
        verdicts={**one, **two, **three},
    )


def _parts(
    parts: Parts, truth: SeriesTruth | None, reference: Mapping[str, Sequence[float]]
) -> tuple[PartsScore, _Verdicts]:
    """Score a decomposition."""
    made = {f"parts.{name}": one for name, one in verdicts_in(parts.verdict).items()}
    error = inside = off = None
    names = parts.names.split("\n")
    expected = truth_in_order(parts, truth) if truth is not None else None
    if expected is not None:
        known = np.isfinite(expected)
        error = root_mean_square((parts.concentrations - expected)[known])[0]
        if "parts.ambiguity" in made:  # the band was sought
            inside = float(np.mean(((expected >= parts.low) & (expected <= parts.high))[known]))
            words = "share of frames and components whose truth lies in the band"
            made["parts.inside"] = verdict(inside, INSIDE, False, words)
    shares = forward_shares(parts)
    compared = [name for name in names if len(reference.get(name, ())) == len(parts.frame)]
    if shares is not None and compared:
        off = max(float(np.abs(shares[:, names.index(name)] - reference[name]).max()) for name in compared)
        words = "largest difference to another program's shares of I(0)"
        made["parts.reference"] = verdict(off, REFERENCE, True, words)
    scored = PartsScore(
        rank=int(parts.rank),
        resolved=len(names),
        chi2=float(parts.chi2),
        chi2_floor=float(parts.chi2_floor),
        noise_factor=float(parts.noise_factor),
        width=float(np.ptp(parts.share_band, axis=1).max()),
        error=error,
        inside=inside,
        off_reference=off,
    )
    return scored, made


def forward_shares(parts: Parts) -> Float[np.ndarray, "frame component"] | None:
    """Shares of the components in I(0), where each has a P(r), whose integral I(0) is; None elsewhere."""
    if not np.isfinite(parts.pair_distances).all():
        return None
    forward = parts.concentrations * (
        parts.pair_distances.sum(axis=1) * (parts.distances[:, 1] - parts.distances[:, 0])
    )
    found: np.ndarray = forward / forward.sum(axis=1, keepdims=True)
    return found


def truth_in_order(parts: Parts, truth: SeriesTruth) -> Float[np.ndarray, "frame component"] | None:
    """True concentrations in the answer's unit, in the order of the answer's components that fits best.

    A concentration as a share of the signal is its component's part of it: true curves are written in the answer's,
    of which each has the same signal at a concentration of 1, and the sum of the numbers is the true curve's. A
    component beyond the species, a buffer, is not a number; None where there are more species than components.
    """
    expected = (truth.beam[:, None] * truth.concentrations)[parts.frame]
    species, count = expected.shape[1], parts.concentrations.shape[1]
    if species > count or truth.profiles.shape[1] != len(parts.q):
        return None
    if parts.unit == "fraction":
        expected = expected / expected.sum(axis=1, keepdims=True)
    else:
        weight = 1 / parts.profiles_sigma[0]
        own = np.linalg.lstsq((parts.profiles * weight).T, (truth.profiles * weight).T, rcond=None)[0]
        expected = expected * own.sum(axis=0)
    distance = np.abs(expected[:, :, None] - parts.concentrations[:, None, :]).sum(axis=0)
    rows, columns = linear_sum_assignment(distance)
    found = np.full(parts.concentrations.shape, np.nan)
    found[:, columns] = expected[:, rows]
    return found


def _rates(rates: Rates, truth: SeriesTruth | None) -> tuple[RatesScore, _Verdicts]:
    """Score a fit of rates."""
    made = {"rates.scheme": verdict(float(rates.rejected), 0.0, True, "1: the scheme does not explain the series")}
    error = None
    if truth is not None and truth.concentrations.shape == rates.concentration.shape:
        error = root_mean_square(rates.concentration - truth.concentrations)[0]
        words = "root mean square error of the concentrations"
        made["rates.concentrations"] = verdict(error, CONCENTRATION, True, words)
    scored = RatesScore(
        scheme=rates.scheme,
        drift=rates.drift,
        rejected=bool(rates.rejected),
        solutions=len(rates.values),
        undetermined=tuple(rates.undetermined.split()),
        error=error,
    )
    return scored, made


def true_events(truth: EventsTruth) -> list[TrueEvent]:
    """Give the events that a simulation drew, as rows."""
    columns = (truth.frame, truth.kind.split("\n"), truth.told, truth.settled, truth.seen)
    if not len(truth.frame):
        return []
    return [
        TrueEvent(int(frame), kind, int(by), int(settled), int(seen))
        for frame, kind, by, settled, seen in zip(*columns, strict=True)
    ]


def _events(events: Events, truth: EventsTruth | None) -> tuple[EventsScore, _Verdicts]:
    """Score a search for events."""
    if truth is None:
        return EventsScore(found=len(events.events), noise_level=float(events.noise_level)), {}
    counted: EventScore = score_events(true_events(truth), [one.frame for one in events.events])
    made = {
        "events.f1": verdict(counted.f1(), FOUND, False, "harmonic mean of precision and recall of the events"),
        "events.false": verdict(float(counted.false), 0.0, True, "answers where no event is"),
    }
    scored = EventsScore(
        found=len(events.events),
        noise_level=float(events.noise_level),
        right=counted.right,
        missed=counted.missed,
        false=counted.false,
        duplicates=counted.duplicates,
    )
    return scored, made
