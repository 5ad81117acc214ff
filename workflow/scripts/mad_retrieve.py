"""mad_retrieve: Stack, and Fit where a route needs it -> RealSpace, by the routes that outputs are named after."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import NuisanceConfig, RetrieveConfig
from madpipe.mad.realspace.retrieve import retrieve
from madpipe.mad.records import Fit, Stack

given = snakemake.params
config, known = RetrieveConfig(**given.config), NuisanceConfig(**given.nuisance)
with runtime.job(snakemake.log[0], config.threads):
    stack = store.read(snakemake.input.stack, Stack)
    fit = store.read(snakemake.input.fit, Fit) if snakemake.input.get("fit") else None
    for route, path in snakemake.output.items():
        generator = runtime.generator_for(given.seed, "mad_retrieve", route, stack.name)
        found = retrieve(fit, stack, config, generator, route, given.partner, given.get("refine", ()), known)
        store.write(path, found, process=provenance.process_of(snakemake))
