"""kinetics_validate: Curves and what was made of them -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.kinetics.answers import read_answers
from madpipe.kinetics.scores.validate import score

with runtime.job(snakemake.log[0]):
    answers = read_answers(dict(snakemake.input.items()))
    found = score(*answers, snakemake.params.reference)
    store.write_json(snakemake.output[0], found, process=provenance.process_of(snakemake))
