"""mad_convert: a beamline's files -> Stack."""

from madpipe.base import provenance, runtime, store
from madpipe.base.config import with_files
from madpipe.mad.config import MeasuredSample
from madpipe.mad.measured.convert import convert

with runtime.job(snakemake.log[0]):
    sample = with_files(MeasuredSample(**snakemake.params.config), snakemake.input)
    stack = convert(sample, snakemake.wildcards.sample)
    store.write(snakemake.output[0], stack, process=provenance.process_of(snakemake))
