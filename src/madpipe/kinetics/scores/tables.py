"""Tables of the scores: their schemas."""

from madpipe.base.tables import Schema, columns_of
from madpipe.kinetics.scores.records import MethodRow

METHODS = Schema("methods for events", columns_of(MethodRow))
