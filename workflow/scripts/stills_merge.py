"""stills_merge: Integrated -> merged and unmerged reflections, their quality, the table of images."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.config import StillsMergeConfig
from madpipe.stills.merge.files import write_set
from madpipe.stills.records import Integrated

given = snakemake.params
with runtime.job(snakemake.log[0]):
    integrated = store.read(snakemake.input[0], Integrated)
    least = StillsMergeConfig(**given.config).least_partiality
    write_set(snakemake.output.merged, integrated, least, given.seed, provenance.process_of(snakemake))
