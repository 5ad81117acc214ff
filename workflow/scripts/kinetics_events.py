"""kinetics_events: Curves -> Events as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.kinetics.events.find import find_events
from madpipe.kinetics.events.settings import EventsSettings

with runtime.job(snakemake.log[0]):
    curves = store.read(snakemake.input[0], Curves)
    found = find_events(curves, EventsSettings(**snakemake.params.config))
    store.write_json(snakemake.output[0], found, process=provenance.process_of(snakemake))
