"""rocking_figures: Curve and its LayerProfiles -> figures of each as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.rocking.figures.curve import FIGURES
from madpipe.rocking.records import Curve, LayerProfile

with runtime.job(snakemake.log[0]):
    curve = store.read(snakemake.input.curve, Curve)
    folder, process = Path(snakemake.output[0]).parent, provenance.process_of(snakemake)
    for by, file in zip(snakemake.params.answers, snakemake.input.profiles, strict=True):
        found = store.read(file, LayerProfile)
        for name, draw in FIGURES.items():
            picture = draw(curve, found)
            plotting.save(picture.figure, folder / f"{name}{by}.pdf", process, caption=picture.caption)
