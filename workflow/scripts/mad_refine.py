"""mad_refine: Stack -> Nuisance."""

from madpipe.base import runtime
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.parts import refine_file

given = snakemake.params
with runtime.job(snakemake.log[0], snakemake.threads):
    refine_file(snakemake.input.stack, snakemake.output[0], FitConfig(**given.config), tuple(given.refine))
