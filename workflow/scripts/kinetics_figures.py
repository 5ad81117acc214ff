"""kinetics_figures: Curves and what was made of them -> figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime
from madpipe.kinetics.answers import read_answers
from madpipe.kinetics.figures.sample import drawings

with runtime.job(snakemake.log[0]):
    answers = read_answers(dict(snakemake.input.items()))
    folder, process = Path(snakemake.output[0]).parent, provenance.process_of(snakemake)
    for name, draw in drawings(*answers, snakemake.params.reference).items():
        picture = draw()
        plotting.save(picture.figure, folder / f"{name}.pdf", process, caption=picture.caption)
