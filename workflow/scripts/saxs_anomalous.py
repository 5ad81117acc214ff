"""saxs_anomalous: Curves at several energies -> AnomalousFit and Separation."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.saxs.analysis.separation import separate_series
from madpipe.saxs.anomalous.fit import fit_anomalous
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.config_separation import SeparationSettings

given, process = snakemake.params, provenance.process_of(snakemake)
with runtime.job(snakemake.log[0]):
    curves = store.read(snakemake.input[0], Curves)
    found = fit_anomalous(curves, AnomalousFitConfig(**given.config), given.seed)
    store.write(snakemake.output.fit, found, process=process)
    partial = separate_series(curves, SeparationSettings(**given.separation))
    store.write(snakemake.output.partial, partial, process=process)
