"""mad_comparison: scores of every method -> one table."""

import json
from pathlib import Path

from madpipe.base import runtime, store
from madpipe.mad.suite.scores import compare

with runtime.job(snakemake.log[0]):
    results = {Path(file).stem: json.loads(Path(file).read_text()) for file in snakemake.input}
    store.write_csv(snakemake.output[0], compare(results))
