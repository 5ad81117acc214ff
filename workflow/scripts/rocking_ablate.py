"""rocking_ablate: a variant of the ablation -> trained weights and their scores."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import RockingAblationConfig, RockingFitConfig, RockingInferConfig
from madpipe.rocking.network.ablation import compare, training_scores, variant_config
from madpipe.rocking.network.train import train
from madpipe.rocking.network.weights import TrainedCurveNetwork, save_network

given = snakemake.params
config = RockingAblationConfig(**given.config)
with runtime.job(snakemake.log[0], config.train.threads):
    generator = runtime.generator_for(given.seed, "rocking_ablation", given.variant, str(given.training))
    own = variant_config(config, given.variant)
    network, history = train(own, generator, code=given.code)
    trained = TrainedCurveNetwork.of(network, own, given.code, history)
    process = provenance.process_of(snakemake)
    save_network(snakemake.output.weights, trained, process=process)
    how = RockingInferConfig(**given.infer), RockingFitConfig(**given.fit)
    scores = training_scores(given.variant, given.training, compare(trained, config, *how, given.seed))
    store.write_json(snakemake.output.scores, scores, process=process)
