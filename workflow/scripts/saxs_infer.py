"""saxs_infer: Curves and weights -> probabilities of shapes as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.base.plain import to_plain
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.network.refine import classes_of
from madpipe.saxs.network.settings import SaxsInferConfig

given, files = snakemake.params, snakemake.input
with runtime.job(snakemake.log[0]):
    curves = store.read(files.curves, Curves)
    how = SaxsInferConfig(**given.config), SaxsFitConfig(**given.fit)
    found = classes_of(curves, files.weights, *how, given.seed)
    process = provenance.process_of(snakemake, [files.curves, files.weights])
    store.write_json(snakemake.output[0], {"curves": to_plain(found)}, process=process)
