"""stills_fit: images and crystals -> PixelFits."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.config import StillsFitConfig
from madpipe.stills.fit.images import factors_of, fit_images
from madpipe.stills.measured.reading import read_set

given = snakemake.params
with runtime.job(snakemake.log[0]):
    images, crystals = read_set(
        snakemake.input.images, snakemake.input.crystals, given.get("space_group") or "P 1", given.get("as_stills")
    )
    factors = factors_of(next(iter(snakemake.input.get("reference", [])), None), crystals)
    found = fit_images(images, crystals, StillsFitConfig(**given.config), factors)
    store.write(snakemake.output[0], found, process=provenance.process_of(snakemake))
