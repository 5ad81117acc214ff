"""kinetics_decompose: Curves -> Parts."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.kinetics.decompose.decompose import decompose
from madpipe.kinetics.decompose.settings import DecomposeSettings

with runtime.job(snakemake.log[0]):
    curves = store.read(snakemake.input[0], Curves)
    found = decompose(curves, DecomposeSettings(**snakemake.params.config))
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
