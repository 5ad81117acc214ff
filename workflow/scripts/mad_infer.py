"""mad_infer: Stack and weights, and the parts of a prediction where others made it -> Fit, by the network."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import InferConfig
from madpipe.mad.network.infer import infer_and_tell
from madpipe.mad.network.weights import load_network
from madpipe.mad.records import Passes, Stack

given, config = snakemake.input, InferConfig(**snakemake.params.config)
with runtime.job(snakemake.log[0], config.threads):
    stack = store.read(given.stack, Stack)
    parts = [store.read(file, Passes) for file in given.parts]
    answer = infer_and_tell(stack, load_network(given.weights), config, parts)
    store.write(snakemake.output[0], answer, process=provenance.process_of(snakemake, [given.stack, given.weights]))
