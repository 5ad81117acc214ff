"""mad_infer: Stack and weights, and the parts of a prediction where others made it -> Fit, by the network."""

from madpipe.base import provenance, runtime
from madpipe.mad.config import InferConfig
from madpipe.mad.network.files import infer_file
from madpipe.mad.network.weights import load_network

given, config = snakemake.input, InferConfig(**snakemake.params.config)
with runtime.job(snakemake.log[0], config.threads):
    process = provenance.process_of(snakemake, [given.stack, given.weights])
    infer_file(given.stack, snakemake.output[0], load_network(given.weights), config, process, parts=given.parts)
