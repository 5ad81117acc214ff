"""The file of what a simulation drew."""

from dataclasses import dataclass

import numpy as np

from madpipe.base.store import Groups, entry, part

_Array = np.ndarray


@dataclass(frozen=True)
class SeriesTruth:
    """Species of a series, and what drifted."""

    profiles: _Array = entry("profiles", "1/cm")  # (component, q), at concentration 1
    concentrations: _Array = entry("concentrations")  # (frame, component)
    beam: _Array = entry("beam")  # (frame), intensity over its mean
    buffer: _Array = entry("buffer", "1/cm")  # (frame), constant in q, left after subtraction
    expected: _Array = entry("expected", "1/cm")  # (frame, q), without noise
    buffer_frames: int = entry("buffer_frames")  # of the measurement whose mean was subtracted; 0: none

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class EventsTruth:
    """Events of a series, one row each."""

    frame: _Array = entry("frame")  # (event), first of the new law, from 0
    kind: str = entry("kind")  # step or kink, one a line
    told: _Array = entry("told")  # (event), frame by which an ideal observer tells it at a false alarm in 1,000 frames
    settled: _Array = entry("settled")  # (event), frame by which an onset is within a hundredth of its end
    seen: _Array = entry("seen")  # (event), frame by which an ideal observer has six standard deviations

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class Truth:
    """What a simulation drew: species or events."""

    kind: str = entry("entry_1/kind")  # reaction, elution or events
    series: SeriesTruth | None = part("entry_1/series_1", SeriesTruth)
    events: EventsTruth | None = part("entry_1/events_1", EventsTruth)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"entry_1": {"NX_class": "NXentry"}}
