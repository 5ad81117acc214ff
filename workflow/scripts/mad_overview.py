"""mad_overview: scores of every sample -> every check of them, as a page and as tables."""

import json
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.base.page import write_page
from madpipe.mad.overview import checks, page

with runtime.job(snakemake.log[0]):
    found = [check for file in snakemake.input for check in checks(json.loads(Path(file).read_text()))]
    write_page(snakemake.output.html, "Checks of the MAD study", page(found))
    store.write_json(snakemake.output.json, {"checks": found}, process=provenance.process_of(snakemake))
    store.write_csv(snakemake.output.csv, found)
