"""kinetics_simulate: a sample's section of the configuration -> Curves and their Truth."""

import numpy as np

from madpipe.base import provenance, runtime, store
from madpipe.kinetics.simulate.sample import simulate
from madpipe.kinetics.simulate.settings import SeriesSettings

given, name, process = snakemake.params, snakemake.wildcards.sample, provenance.process_of(snakemake)
with runtime.job(snakemake.log[0]):
    seed = runtime.generator_for(given.seed, "kinetics_simulate", str(given.get("own_seed") or name)).initial_seed()
    curves, truth = simulate(SeriesSettings(**given.config), name, np.random.default_rng(seed))
    store.write(snakemake.output.curves, curves, process=process)
    store.write(snakemake.output.truth, truth, process=process)
