"""rocking_simulate: a sample's section of the configuration -> Curve."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import SimulatedCurve
from madpipe.rocking.simulate.sample import simulate

with runtime.job(snakemake.log[0]):
    sample, name = SimulatedCurve(**snakemake.params.config), snakemake.wildcards.sample
    generator = runtime.generator_for(snakemake.params.seed, "rocking_simulate", str(sample.seed))
    store.write(snakemake.output[0], simulate(sample, name, generator), process=provenance.process_of(snakemake))
