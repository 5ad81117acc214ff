"""rocking_convert: text of 2 theta and intensity -> Curve."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.measured import read_curve

with runtime.job(snakemake.log[0]):
    path, *instrument = snakemake.input
    sample = MeasuredCurve(**snakemake.params.config)
    curve = read_curve(path, sample.model_copy(update={"instrument": instrument[0] if instrument else None}))
    store.write(snakemake.output[0], curve, process=provenance.process_of(snakemake))
