"""mad_fit_part: Stack -> Fit of some of its points."""

from madpipe.base import provenance, runtime
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.parts import fit_part

given, params = snakemake.input, snakemake.params
with runtime.job(snakemake.log[0], snakemake.threads):
    fit_part(
        given.stack,
        snakemake.output[0],
        FitConfig(**params.config),
        int(snakemake.wildcards.part),
        params.parts,
        given.nuisance or None,
        provenance.process_of(snakemake),
    )
