"""Events of a series: an optimal partition, its kinks placed where the laws meet."""

from itertools import pairwise

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.kinetics.events.laws import Law, evident_by, is_jump, kink_between, law_of
from madpipe.kinetics.events.partition import bends_of, partition
from madpipe.kinetics.events.penalty import curve_penalty, event_penalty
from madpipe.kinetics.events.scores import Scores, scores_of
from madpipe.kinetics.events.settings import EventsSettings
from madpipe.kinetics.records_events import Event, Events, Segment

_GOOD = 4.0  # standard deviations of chi-square
_STILL = 3.0  # standard deviations of a slope below which a line is a constant


def find_events(curves: Curves, settings: EventsSettings) -> Events:
    """Find the frames where the law of change changes.

    A segment's law is a line or an onset for each component above the noise; beam and buffer are left out. An event
    that begins before the one before it was evident is part of that one.

    Parameters
    ----------
    curves:
        A series; times are not needed.
    settings:
        Chance of false alarms.

    Raises
    ------
    InputError
        Too many frames, too few, or sigmas that are no numbers.
    """
    frames = len(curves.intensity)
    if frames > settings.most_frames:
        raise InputError(
            f"events: need at most {settings.most_frames} frames; {frames} came; cut the series or raise most_frames."
        )
    scores = scores_of(curves)
    components = scores.values.shape[1]
    known = bends_of(frames)
    penalty = event_penalty(frames, components, settings.false_alarms)
    laws, events = _whole(scores, frames), list[Event]()
    if components:
        bend = curve_penalty(frames, components, len(known), settings.false_alarms)
        found = partition(scores.values, scores.weights, penalty, bend)
        ends = [*found.starts[1:], frames]
        laws = [
            law_of(scores.values, scores.weights, int(start), int(end), known[kind] if kind >= 0 else None)
            for start, end, kind in zip(found.starts, ends, found.bends, strict=True)
        ]
        events = _merged([_event(scores, before, after, curves, settings, penalty) for before, after in pairwise(laws)])
    chi2, limit = _misfit(scores, laws)
    return Events(
        frames=frames,
        components=components,
        noise_level=scores.noise.level,
        beam_spread=float(scores.beam.std()),
        penalty=penalty if components else 0.0,
        chi2=chi2,
        chi2_limit=limit,
        events=events,
        segments=[_segment(law) for law in laws],
    )


def _whole(scores: Scores, frames: int) -> list[Law]:
    """One law for everything, where nothing changes."""
    return [law_of(np.zeros((frames, 1)), scores.weights, 0, frames, None)]


def _event(scores: Scores, before: Law, after: Law, curves: Curves, settings: EventsSettings, penalty: float) -> Event:
    """Say what happens between two laws."""
    values, weights = scores.values, scores.weights
    apart = _squares(scores, before) + _squares(scores, after)
    frame, meeting = kink_between(values, weights, before, after)
    kind = "kink"
    if is_jump(meeting, apart, values.shape[1]):
        frame, kind = after.start, "step"
    place = np.arange(frame, after.end, dtype=float)
    difference = np.linalg.norm(after.at(place) - before.at(place), axis=1) * np.sqrt(weights[frame : after.end])
    joined = law_of(values, weights, before.start, after.end, before.bend)
    gain = _squares(scores, joined) - apart - penalty
    return Event(
        frame=int(frame),
        time=None if curves.time is None else float(curves.time[frame]),
        kind=kind,
        evident=evident_by(weights, before, after, frame, settings.sigmas),
        size=float(difference.max(initial=0.0)),
        gain=gain,
    )


def _misfit(scores: Scores, laws: list[Law]) -> tuple[float, float]:
    """Chi-square per degree of freedom about the laws, and four standard deviations above 1."""
    freedom = scores.values.size - sum(law.coefficients.size for law in laws)
    if not scores.values.size or freedom <= 0:
        return 1.0, 1.0
    return sum(_squares(scores, law) for law in laws) / freedom, 1 + _GOOD * float(np.sqrt(2 / freedom))


def _squares(scores: Scores, law: Law) -> float:
    """Weighted squares about a law."""
    some = slice(law.start, law.end)
    left = scores.values[some] - law.at(np.arange(law.start, law.end, dtype=float))
    return float((scores.weights[some, None] * np.square(left)).sum())


def _merged(events: list[Event]) -> list[Event]:
    """Leave out what begins before the event before it was evident."""
    kept: list[Event] = []
    for one in events:
        if not kept or one.frame > kept[-1].evident:
            kept.append(one)
    return kept


def _segment(law: Law) -> Segment:
    """Say what law a segment has."""
    size = np.square(law.coefficients[1]).sum() / max(law.inverse[1, 1], 1e-300)
    line = "line" if size > _STILL**2 * law.coefficients.shape[1] else "constant"
    kind = line if law.bend is None else "onset"
    return Segment(law.start, law.end - 1, kind, None if law.bend is None else law.bend.time)
