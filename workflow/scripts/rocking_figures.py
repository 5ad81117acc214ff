"""rocking_figures: Curve and LayerProfile -> one figure as PDF and PNG, with its caption."""

from madpipe.base import plotting, provenance, runtime, store
from madpipe.rocking.figures.curve import FIGURES
from madpipe.rocking.records import Curve, LayerProfile

with runtime.job(snakemake.log[0]):
    curve, found = store.read(snakemake.input.curve, Curve), store.read(snakemake.input.profile, LayerProfile)
    picture = FIGURES[snakemake.wildcards.figure](curve, found)
    process = provenance.process_of(snakemake)
    plotting.save(picture.figure, snakemake.output.pdf, process, caption=picture.caption)
