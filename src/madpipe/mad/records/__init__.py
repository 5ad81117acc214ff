"""One dataclass per file that crosses a rule: its arrays, their places in the file and their units (docs/format.md)."""

from madpipe.mad.records.explained import Explained
from madpipe.mad.records.fit import NORMAL_95, PHASES, QUANTITIES, Fit, Passes
from madpipe.mad.records.nuisance import Nuisance
from madpipe.mad.records.points import axis_fields, joined, listed, sorted_by_energy
from madpipe.mad.records.realspace import LOWER_BOUNDS, STANDARD, RealSpace, factor_in_words
from madpipe.mad.records.split import JUDGED, Split
from madpipe.mad.records.stack import PointAxes, Stack, check_photons, check_stack
from madpipe.mad.records.truth import Truth

__all__ = [
    "JUDGED",
    "LOWER_BOUNDS",
    "NORMAL_95",
    "PHASES",
    "QUANTITIES",
    "STANDARD",
    "Explained",
    "Fit",
    "Nuisance",
    "Passes",
    "PointAxes",
    "RealSpace",
    "Split",
    "Stack",
    "Truth",
    "axis_fields",
    "check_photons",
    "check_stack",
    "factor_in_words",
    "joined",
    "listed",
    "sorted_by_energy",
]
