"""mad_convert: a beamline's files -> Stack."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import MeasuredSample
from madpipe.mad.measured.convert import convert

with runtime.job(snakemake.log[0]):
    sample = MeasuredSample(**snakemake.params.config)
    files = list(snakemake.input)
    sample = sample.model_copy(update={"path": tuple(files[: len(sample.path)])})
    if sample.spectrum:
        sample = sample.model_copy(update={"spectrum": files[-1]})
    stack = convert(sample, snakemake.wildcards.sample)
    store.write(snakemake.output[0], stack, process=provenance.process_of(snakemake))
