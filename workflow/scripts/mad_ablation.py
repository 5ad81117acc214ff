"""mad_ablation: scores of every training -> the table, with an ensemble and Monte-Carlo dropout beside them."""

import json
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import AblationConfig
from madpipe.mad.network.ablation import committees, compare_on_particles, table
from madpipe.mad.network.weights import load_network

given = snakemake.params
config = AblationConfig(**given.config)
with runtime.job(snakemake.log[0], 1):
    runs = [json.loads(Path(file).read_text()) for file in snakemake.input.scores]
    weights = [load_network(file) for file in snakemake.input.weights]
    base, dropped = weights[: config.seeds], weights[config.seeds]
    for name, network in committees(base, dropped).items():
        scores = compare_on_particles(network, config, given.seed)
        runs.append({"variant": name, "seed": 0, **scores})
    rows = table(runs)
    store.write_json(snakemake.output.json, {"rows": rows}, process=provenance.process_of(snakemake))
    store.write_csv(snakemake.output.csv, rows)
