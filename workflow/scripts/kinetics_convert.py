"""kinetics_convert: files of curves -> Curves."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.reading import read_curves
from madpipe.base.curves.settings import CurvesSettings

with runtime.job(snakemake.log[0]):
    curves = read_curves(list(snakemake.input), CurvesSettings(**snakemake.params.config))
    store.write(snakemake.output[0], curves, process=provenance.process_of(snakemake))
