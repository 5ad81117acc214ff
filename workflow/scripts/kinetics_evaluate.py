"""kinetics_evaluate: methods on series whose truth is known -> scores as JSON, and the table of the events."""

from madpipe.base import provenance, runtime, store, tables
from madpipe.base.plain import to_plain
from madpipe.kinetics.config import KineticsEvaluateConfig
from madpipe.kinetics.scores.evaluate import evaluate
from madpipe.kinetics.scores.tables import METHODS

given = snakemake.params
with runtime.job(snakemake.log[0]):
    found = evaluate(KineticsEvaluateConfig(**given.config), given.seed)
    store.write_json(snakemake.output.json, found, process=provenance.process_of(snakemake))
    tables.write_csv(snakemake.output.csv, tables.frame(METHODS, [to_plain(one) for one in found.methods]), METHODS)
