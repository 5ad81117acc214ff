"""stills_evaluate: methods of recovery on images whose truth is known -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.config import StillsEvaluateConfig
from madpipe.stills.scores.evaluate import evaluate

given = snakemake.params
with runtime.job(snakemake.log[0]):
    found = evaluate(StillsEvaluateConfig(**given.config), given.seed)
    store.write_json(snakemake.output[0], found, process=provenance.process_of(snakemake))
