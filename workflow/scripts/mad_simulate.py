"""mad_simulate: a sample's section of the configuration -> Stack."""

from madpipe.base import provenance, runtime, store
from madpipe.base.config import with_files
from madpipe.mad.config import SimulatedSample
from madpipe.mad.simulate.sample import simulate

with runtime.job(snakemake.log[0]):
    sample = with_files(SimulatedSample(**snakemake.params.config), snakemake.input)
    generator = runtime.generator_for(snakemake.params.seed, "mad_simulate", str(sample.seed))
    stack = simulate(sample, generator)
    store.write(snakemake.output[0], stack, process=provenance.process_of(snakemake))
