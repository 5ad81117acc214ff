"""mad_infer: Stack and weights -> Fit, by the network."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import InferConfig
from madpipe.mad.infer import infer
from madpipe.mad.records import Stack
from madpipe.mad.weights import load_network

config = InferConfig(**snakemake.params.config)
with runtime.job(snakemake.log[0], config.threads):
    stack = store.read(snakemake.input.stack, Stack)
    answer = infer(stack, load_network(snakemake.input.weights), config)
    store.write(snakemake.output[0], answer, process=provenance.process_of(snakemake))
