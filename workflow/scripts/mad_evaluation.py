"""mad_evaluation: scores of every method -> one table, as JSON and CSV."""

import json
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.scores.suite.scores import compare

with runtime.job(snakemake.log[0]):
    results = {Path(file).stem: json.loads(Path(file).read_text()) for file in snakemake.input}
    rows = compare(results)
    store.write_json(snakemake.output.json, {"rows": rows}, process=provenance.process_of(snakemake))
    store.write_csv(snakemake.output.csv, rows)
