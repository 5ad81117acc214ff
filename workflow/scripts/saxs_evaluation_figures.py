"""saxs_evaluation_figures: scores on held-out curves -> figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime
from madpipe.base.plain import read_json
from madpipe.saxs.figures.network import FIGURES
from madpipe.saxs.network.evaluate import ShapeScores

files = snakemake.input
with runtime.job(snakemake.log[0]):
    scores = read_json(files.evaluation, ShapeScores)
    process = provenance.process_of(snakemake, [files.evaluation, files.weights])
    for path in [path for path in snakemake.output if path.endswith(".pdf")]:
        picture = FIGURES[Path(path).stem](scores)
        plotting.save(picture.figure, path, process, caption=picture.caption)
