"""kinetics_evaluation_figures: the comparison of methods -> its figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime
from madpipe.base.plain import read_json
from madpipe.kinetics.figures.evaluation import FIGURES
from madpipe.kinetics.scores.records import Evaluation

with runtime.job(snakemake.log[0]):
    evaluation = read_json(snakemake.input[0], Evaluation)
    folder, process = Path(snakemake.output[0]).parent, provenance.process_of(snakemake)
    for name, draw in FIGURES.items():
        picture = draw(evaluation)
        plotting.save(picture.figure, folder / f"{name}.pdf", process, caption=picture.caption)
