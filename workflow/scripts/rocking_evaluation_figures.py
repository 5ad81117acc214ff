"""rocking_evaluation_figures: scores on held-out curves and weights -> one figure as PDF and PNG, with its caption."""

from madpipe.base import plotting, provenance, runtime
from madpipe.base.plain import read_json
from madpipe.rocking.figures.network import FIGURES
from madpipe.rocking.network.weights import load_network
from madpipe.rocking.scores.records import HeldOutScores

files = snakemake.input
with runtime.job(snakemake.log[0]):
    scores, trained = read_json(files.evaluation, HeldOutScores), load_network(files.weights)
    picture = FIGURES[snakemake.wildcards.figure](scores, trained.about)
    process = provenance.process_of(snakemake, [files.evaluation, files.weights])
    plotting.save(picture.figure, snakemake.output.pdf, process, caption=picture.caption)
