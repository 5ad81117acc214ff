"""rocking_convert: text of 2 theta and intensity -> Curve."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.readers import read_curve

with runtime.job(snakemake.log[0]):
    curve = read_curve(snakemake.input[0], MeasuredCurve(**snakemake.params.config))
    store.write(snakemake.output[0], curve, process=provenance.process_of(snakemake))
