"""rocking_evaluate: weights -> scores on held-out curves as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import RockingEvaluateConfig, RockingFitConfig, RockingInferConfig
from madpipe.rocking.network.evaluate import evaluate
from madpipe.rocking.network.infer import Predictor
from madpipe.rocking.network.weights import load_network

given = snakemake.params
with runtime.job(snakemake.log[0]):
    predictor = Predictor(load_network(snakemake.input[0]))
    how = RockingInferConfig(**given.infer), RockingFitConfig(**given.fit)
    scores = evaluate(predictor, RockingEvaluateConfig(**given.config), *how, given.seed)
    process = provenance.process_of(snakemake, [snakemake.input[0]])
    store.write_json(snakemake.output[0], scores, process=process)
