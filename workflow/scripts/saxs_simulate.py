"""saxs_simulate: a sample's section of the configuration -> Curves and their truth."""

from madpipe.base import provenance, runtime, store
from madpipe.saxs.simulate.sample import simulate
from madpipe.saxs.simulate.settings import SimulatedCurves

with runtime.job(snakemake.log[0]):
    sample, name = SimulatedCurves(**snakemake.params.config), snakemake.wildcards.sample
    generator = runtime.generator_for(snakemake.params.seed, "saxs_simulate", str(sample.seed))
    curves, truth = simulate(sample, name, generator)
    process = provenance.process_of(snakemake)
    store.write(snakemake.output.curves, curves, process=process)
    store.write(snakemake.output.truth, truth, process=process)
