"""mad_fit: Stack -> Fit."""

from madpipe.base import provenance, runtime
from madpipe.mad.config import FitConfig
from madpipe.mad.volume import fit_file

with runtime.job(snakemake.log[0]):
    fit_file(
        snakemake.input.stack,
        snakemake.output[0],
        FitConfig(**snakemake.params.config),
        tuple(snakemake.params.refine),
        provenance.process_of(snakemake),
    )
