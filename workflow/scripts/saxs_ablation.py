"""saxs_ablation: scores of every training -> the table and its figure."""

from madpipe.base import plotting, provenance, runtime, store, tables
from madpipe.base.plain import read_json
from madpipe.saxs.figures.network import ablation
from madpipe.saxs.network.ablation import VariantScores, table
from madpipe.saxs.scores.tables import ABLATION

made = snakemake.output
with runtime.job(snakemake.log[0]):
    rows = table([read_json(file, VariantScores) for file in snakemake.input])
    cells = [row.flat() for row in rows]
    process = provenance.process_of(snakemake)
    store.write_json(made.json, {"rows": cells}, process=process)
    tables.write_csv(made.csv, tables.frame(ABLATION, cells), ABLATION)
    picture = ablation(rows)
    plotting.save(picture.figure, made.figures[0], process, caption=picture.caption)
