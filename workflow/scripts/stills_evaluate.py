"""stills_evaluate: methods of recovery on images whose truth is known -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.config import StillsEvaluateConfig
from madpipe.stills.network.infer import Predictor
from madpipe.stills.network.weights import load_network
from madpipe.stills.scores.evaluate import evaluate

given = snakemake.params
with runtime.job(snakemake.log[0]):
    predictor = Predictor(load_network(snakemake.input.weights))
    found = evaluate(StillsEvaluateConfig(**given.config), given.seed, predictor)
    store.write_json(snakemake.output[0], found, process=provenance.process_of(snakemake))
