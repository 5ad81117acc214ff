"""rocking_ablation: scores of every training -> the table and its figure."""

import json
from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.rocking.figures.network import ablation
from madpipe.rocking.network.ablation import table

made = snakemake.output
with runtime.job(snakemake.log[0]):
    rows = table([json.loads(Path(file).read_text()) for file in snakemake.input])
    process = provenance.process_of(snakemake)
    store.write_json(made.json, {"rows": rows}, process=process)
    store.write_csv(made.csv, rows)
    picture = ablation(rows)
    plotting.save(picture.figure, made.figures[0], process, caption=picture.caption)
