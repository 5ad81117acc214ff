"""saxs_evaluate: weights -> scores on held-out curves as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.saxs.network.evaluate import evaluate
from madpipe.saxs.network.settings import SaxsEvaluateConfig
from madpipe.saxs.network.weights import load_network

given, weights = snakemake.params, snakemake.input[0]
with runtime.job(snakemake.log[0]):
    scores = evaluate(load_network(weights), SaxsEvaluateConfig(**given.config), given.seed)
    store.write_json(snakemake.output[0], scores, process=provenance.process_of(snakemake, [weights]))
