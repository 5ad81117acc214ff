"""stills_integrate: images, crystals and reference -> Integrated."""

from madpipe.base import provenance, runtime, store
from madpipe.base.plain import read_json
from madpipe.stills.index.records import CrystalList
from madpipe.stills.integrate.files import integrate_images, reference_of
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.measured.reading import read_set

given, came = snakemake.params, snakemake.input
with runtime.job(snakemake.log[0]):
    config = IntegrateConfig(**given.config)
    images, crystals = read_set(came.images, came.crystals, given.get("space_group") or "P 1", given.get("as_stills"))
    reference = reference_of(next(iter(came.get("reference", [])), None), images, config)
    [excitation] = [read_json(one, CrystalList).excitation for one in came.get("table", [])] or [None]
    found = integrate_images(images, crystals, config, reference, excitation)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
