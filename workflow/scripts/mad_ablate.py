"""mad_ablate: a variant of the ablation -> trained weights and their scores."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import AblationConfig
from madpipe.mad.network.ablation import compare_on_particles, variant_config
from madpipe.mad.network.train import train
from madpipe.mad.network.weights import save_network

given = snakemake.params
config = AblationConfig(**given.config)
with runtime.job(snakemake.log[0], 1):
    generator = runtime.generator_for(given.seed, "mad_ablation", given.variant, str(given.training))
    trained, _ = train(variant_config(config, given.variant), generator, code=given.code)
    process = provenance.process_of(snakemake)
    save_network(snakemake.output.weights, trained, process=process)
    scores = compare_on_particles(trained.network(), config, given.seed, given.variant, given.training)
    store.write_json(snakemake.output.scores, scores, process=process)
