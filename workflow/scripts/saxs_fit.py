"""saxs_fit: Curves -> ParticleFit."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.saxs.fit.fit import fit_curves
from madpipe.saxs.fit.settings import SaxsFitConfig

given = snakemake.params
with runtime.job(snakemake.log[0]):
    curves = store.read(snakemake.input[0], Curves)
    found = fit_curves(curves, SaxsFitConfig(**given.config), given.seed)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
