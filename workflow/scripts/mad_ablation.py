"""mad_ablation: scores of every training -> the table, with an ensemble and Monte-Carlo dropout beside them."""

from madpipe.base import provenance, runtime, store, tables
from madpipe.base.plain import read_json
from madpipe.mad.config import AblationConfig
from madpipe.mad.network.ablation import committees, compare_on_particles, table
from madpipe.mad.network.weights import load_network
from madpipe.mad.scores.records import Ablation, TrainingScores
from madpipe.mad.scores.tables import ablation_schema

given = snakemake.params
config = AblationConfig(**given.config)
with runtime.job(snakemake.log[0], 1):
    runs = [read_json(file, TrainingScores) for file in snakemake.input.scores]
    weights = [load_network(file) for file in snakemake.input.weights]
    base, dropped = weights[: config.seeds], weights[config.seeds]
    for name, network in committees(base, dropped).items():
        runs.append(compare_on_particles(network, config, given.seed, name))
    rows = table(runs)
    store.write_json(snakemake.output.json, Ablation(tuple(rows)), process=provenance.process_of(snakemake))
    schema = ablation_schema(rows)
    tables.write_csv(snakemake.output.csv, tables.frame(schema, rows), schema)
