"""rocking_infer: Curve and weights -> LayerProfile, by the network."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import RockingFitConfig, RockingInferConfig
from madpipe.rocking.network.infer import Predictor, infer
from madpipe.rocking.network.weights import load_network
from madpipe.rocking.records import Curve

given, files = snakemake.params, snakemake.input
with runtime.job(snakemake.log[0]):
    curve = store.read(files.curve, Curve)
    predictor = Predictor(load_network(files.weights))
    generator = runtime.generator_for(given.seed, "rocking_infer", curve.title)
    found = infer(curve, predictor, RockingInferConfig(**given.config), RockingFitConfig(**given.fit), generator)
    process = provenance.process_of(snakemake, [files.curve, files.weights])
    store.write(snakemake.output[0], found, process=process)
