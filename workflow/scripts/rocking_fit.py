"""rocking_fit: Curve -> LayerProfile."""

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.fit import fit_curve
from madpipe.rocking.records import Curve

given = snakemake.params
with runtime.job(snakemake.log[0]):
    curve = store.read(snakemake.input[0], Curve)
    generator = runtime.generator_for(given.seed, "rocking_fit", curve.title)
    config = RockingFitConfig(**{**given.config, "profile": given.profile})
    found = fit_curve(curve, config, given.get("depth") or 0.0, generator)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
