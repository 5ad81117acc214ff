"""rocking_evaluation_figures: scores on held-out curves and weights -> figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime
from madpipe.base.plain import read_json
from madpipe.rocking.figures.network import FIGURES
from madpipe.rocking.network.weights import load_network
from madpipe.rocking.scores.records import HeldOutScores

files = snakemake.input
with runtime.job(snakemake.log[0]):
    scores, trained = read_json(files.evaluation, HeldOutScores), load_network(files.weights)
    process = provenance.process_of(snakemake, [files.evaluation, files.weights])
    for path in [path for path in snakemake.output if path.endswith(".pdf")]:
        picture = FIGURES[Path(path).stem](scores, trained.about)
        plotting.save(picture.figure, path, process, caption=picture.caption)
