"""Answers of a search for events against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from madpipe.kinetics.simulate.events import TrueEvent


@dataclass(frozen=True)
class EventScore:
    """Counts of answers; those of several series add up."""

    right: int
    missed: int
    false: int
    duplicates: int

    def __add__(self, other: "EventScore") -> "EventScore":
        return EventScore(
            self.right + other.right,
            self.missed + other.missed,
            self.false + other.false,
            self.duplicates + other.duplicates,
        )

    def f1(self, count_duplicates: bool = False) -> float:
        """Give the harmonic mean of precision and recall; 1 where there was nothing to find and nothing was."""
        wrong = self.missed + self.false + (self.duplicates if count_duplicates else 0)
        return 2 * self.right / (2 * self.right + wrong) if self.right + wrong else 1.0


def score_events(truth: Sequence[TrueEvent], found: Sequence[int], room: int = 2) -> EventScore:
    """Compare found frames with the truth.

    An event is found where an answer lies from it to the frame where an ideal observer has seen it, with ``room``
    frames on
    either side, as a kink's place has an error. A further answer there, or inside an onset, is a duplicate; any other
    is false.
    """
    left = list(found)
    right = duplicates = 0
    for one in truth:
        hits = [frame for frame in left if one.frame - room <= frame <= one.seen + room]
        right += bool(hits)
        duplicates += max(len(hits) - 1, 0)
        left = [frame for frame in left if frame not in hits]
    inside = [frame for frame in left if any(one.frame <= frame <= one.settled for one in truth)]
    return EventScore(right, len(truth) - right, len(left) - len(inside), duplicates + len(inside))
