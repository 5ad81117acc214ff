"""mad_fit: Stack -> Fit, by this job or from the parts that others fitted."""

from madpipe.base import provenance, runtime
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.files import fit_file

given, config = snakemake.input, FitConfig(**snakemake.params.config)
with runtime.job(snakemake.log[0], snakemake.threads):
    process = provenance.process_of(snakemake, [given.stack])  # the same, however many jobs shared the work
    refine, shared = tuple(snakemake.params.refine), {"parts": given.parts, "nuisance": given.nuisance or None}
    fit_file(given.stack, snakemake.output[0], config, refine, process, **shared)
