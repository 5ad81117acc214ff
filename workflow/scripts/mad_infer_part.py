"""mad_infer_part: Stack and weights -> some of the network's passes."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import InferConfig
from madpipe.mad.network.infer import infer_part
from madpipe.mad.network.weights import load_network
from madpipe.mad.records import Stack

given, params = snakemake.input, snakemake.params
config = InferConfig(**params.config)
with runtime.job(snakemake.log[0], config.threads):
    stack = store.read(given.stack, Stack)
    trained = load_network(given.weights)
    found = infer_part(stack, trained, config, int(snakemake.wildcards.part), params.parts)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
