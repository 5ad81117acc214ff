"""Files that cross a step of the study, each described where its step writes it."""

from madpipe.kinetics.records_events import Event, Events, Segment
from madpipe.kinetics.records_parts import Parts
from madpipe.kinetics.records_rates import Rates
from madpipe.kinetics.records_truth import EventsTruth, SeriesTruth, Truth

__all__ = ["Event", "Events", "EventsTruth", "Parts", "Rates", "Segment", "SeriesTruth", "Truth"]
