"""rocking_validate: Curve and LayerProfile -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.scores.validate import score

with runtime.job(snakemake.log[0]):
    curve, found = store.read(snakemake.input.curve, Curve), store.read(snakemake.input.profile, LayerProfile)
    store.write_json(snakemake.output[0], score(curve, found), process=provenance.process_of(snakemake))
