"""saxs_simulate: a sample's section of the configuration -> Curves and their truth."""

import numpy as np

from madpipe.base import provenance, runtime, store
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.settings import SimulatedCurves

given = snakemake.params
with runtime.job(snakemake.log[0]):
    seed = runtime.generator_for(given.seed, "saxs_simulate", str(given.own)).initial_seed()
    curves, truth = simulate_curves(SimulatedCurves(**given.config), np.random.default_rng(seed))
    process = provenance.process_of(snakemake)
    store.write(snakemake.output.curves, curves, process=process)
    store.write(snakemake.output.truth, truth, process=process)
