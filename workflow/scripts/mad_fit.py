"""mad_fit: Stack -> Fit."""

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import FitConfig
from madpipe.mad.fit import fit_with_nuisances
from madpipe.mad.records import Stack

with runtime.job(snakemake.log[0]):
    stack = store.read(snakemake.input.stack, Stack)
    fit = fit_with_nuisances(stack, FitConfig(**snakemake.params.config), tuple(snakemake.params.refine))
    store.write(snakemake.output[0], fit, process=provenance.process(dict(snakemake.params)))
