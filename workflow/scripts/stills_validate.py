"""stills_validate: what was made of a set of images -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.measured.reading import read_images
from madpipe.stills.records import StillsTruth
from madpipe.stills.scores.validate import answers_of, score

came = snakemake.input
with runtime.job(snakemake.log[0]):
    images = read_images(came.images, snakemake.params.get("as_stills") or False)
    [truth] = [store.read(file, StillsTruth) for file in came.get("truth", [])] or [None]
    found = score(snakemake.wildcards.sample, len(images), answers_of(dict(came.items())), truth)
    store.write_json(snakemake.output[0], found, process=provenance.process_of(snakemake))
