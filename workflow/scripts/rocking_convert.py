"""rocking_convert: text of 2 theta and intensity -> Curve."""

from madpipe.base import provenance, runtime, store
from madpipe.base.config import with_files
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.measured.curve import read_curve

with runtime.job(snakemake.log[0]):
    sample = with_files(MeasuredCurve(**snakemake.params.config), snakemake.input)
    curve = read_curve(sample.path, sample)
    store.write(snakemake.output[0], curve, process=provenance.process_of(snakemake))
