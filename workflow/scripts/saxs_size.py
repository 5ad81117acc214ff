"""saxs_size: Curves -> SizeDistribution of the first."""

import numpy as np

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.saxs.analysis.size_distribution import size_distribution
from madpipe.saxs.config_size import SizeSettings
from madpipe.saxs.records_size import size_record

given = snakemake.params
with runtime.job(snakemake.log[0]):
    curves, settings = store.read(snakemake.input[0], Curves), SizeSettings(**given.config)
    data = curves.q, curves.intensity[0], curves.sigma[0]
    answer = size_distribution(*data, settings, np.random.default_rng(given.seed))
    found = size_record(answer, settings.method)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
