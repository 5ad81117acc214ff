"""kinetics_rates: Curves -> Rates."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.kinetics.rates.fit import fit_rates
from madpipe.kinetics.rates.settings import RatesSettings

with runtime.job(snakemake.log[0]):
    curves = store.read(snakemake.input[0], Curves)
    found = fit_rates(curves, RatesSettings(**snakemake.params.config))
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
