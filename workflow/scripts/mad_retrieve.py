"""mad_retrieve: Fit -> RealSpace, by the linked and by the separate route."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import RetrieveConfig
from madpipe.mad.records import Fit, Stack
from madpipe.mad.retrieve import retrieve

config = RetrieveConfig(**snakemake.params.config)
with runtime.job(snakemake.log[0], config.threads):
    stack, fit = store.read(snakemake.input.stack, Stack), store.read(snakemake.input.fit, Fit)
    for route in ("linked", "separate"):
        generator = runtime.generator_for(snakemake.params.seed, "mad_retrieve", route, stack.name)
        found = retrieve(fit, stack, config, generator, route)
        store.write(snakemake.output[route], found, process=provenance.process(dict(snakemake.params)))
