"""The file of the events."""

from dataclasses import dataclass

from madpipe.base.plain import told


@dataclass(frozen=True)
class Event:
    """A frame where the law of change changes."""

    frame: int = told("first frame of the new law, from 0")
    time: float | None = told("of that frame", "s")
    kind: str = told("step: the signal jumps; kink: its slope changes")
    evident: int = told("frame by which the data differ from the law before by the standard deviations asked for")
    size: float = told("of the change at its largest, in standard deviations of one frame")
    gain: float = told("of the squares, less what the penalty asks: evidence for the event")


@dataclass(frozen=True)
class Segment:
    """Frames of one law."""

    first: int = told("frame, from 0")
    last: int = told("frame")
    law: str = told("constant, line, or onset")
    time_constant: float | None = told("of an onset", "frame")


@dataclass(frozen=True)
class Events:
    """Events of a series, and the laws between them."""

    frames: int = told("of the series")
    components: int = told("above the noise, beam and buffer left out; 0: nothing changes that the data show")
    noise_level: float = told("of the data over their sigmas")
    beam_spread: float = told("relative standard deviation of the beam, which is no event")
    penalty: float = told("what an event has to gain, by the chance of false alarms")
    chi2: float = told(
        "of what the laws leave of the components, per degree of freedom: 1 where they explain the series"
    )
    chi2_limit: float = told("four standard deviations above 1: the laws do not explain what is beyond")
    events: list[Event] = told("in the order of their frames")
    segments: list[Segment] = told("between them")
