"""mad_evaluation: scores of every method -> a table beside the exact fit, as JSON and CSV, and one of coverages."""

from pathlib import Path

from madpipe.base import provenance, runtime, store, tables
from madpipe.base.plain import read_json
from madpipe.mad.scores.records import Comparison, SuiteScores
from madpipe.mad.scores.suite.scores import compare
from madpipe.mad.scores.tables import COMPARISON, COVERAGE, coverage_table

with runtime.job(snakemake.log[0]):
    results = {Path(file).stem: read_json(file, SuiteScores) for file in snakemake.input}
    rows = compare(results)
    process = provenance.process_of(snakemake)
    store.write_json(snakemake.output.json, Comparison(tuple(rows)), process=process)
    tables.write_csv(snakemake.output.csv, tables.frame(COMPARISON, rows), COMPARISON)
    table, beside = snakemake.output.coverage
    tables.write_csv(table, coverage_table(results), COVERAGE)
    store.write_json(beside, {"methods": sorted(results)}, process=process)
