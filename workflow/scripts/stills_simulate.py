"""stills_simulate: a sample's section of the configuration -> images, crystals, reference, truth."""

from madpipe.base import provenance, runtime
from madpipe.stills.config import SimulatedStills
from madpipe.stills.simulate.files import write_stills

with runtime.job(snakemake.log[0]):
    sample = SimulatedStills(**snakemake.params.config)
    generator = runtime.generator_for(snakemake.params.seed, "stills_simulate", str(sample.seed))
    write_stills(snakemake.output.images, sample, generator, provenance.process_of(snakemake))
