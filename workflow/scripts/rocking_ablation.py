"""rocking_ablation: scores of every training -> the table and its figure."""

from madpipe.base import plotting, provenance, runtime, store, tables
from madpipe.base.plain import read_json
from madpipe.rocking.figures.network import ablation
from madpipe.rocking.network.ablation import table
from madpipe.rocking.scores.records import TrainingScores
from madpipe.rocking.scores.tables import ABLATION

made = snakemake.output
with runtime.job(snakemake.log[0]):
    rows = table([read_json(file, TrainingScores) for file in snakemake.input])
    cells = [row.flat() for row in rows]
    process = provenance.process_of(snakemake)
    store.write_json(made.json, {"rows": cells}, process=process)
    tables.write_csv(made.csv, tables.frame(ABLATION, cells), ABLATION)
    picture = ablation(rows)
    plotting.save(picture.figure, made.figures[0], process, caption=picture.caption)
