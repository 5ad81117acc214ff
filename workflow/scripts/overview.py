"""overview: scores of every sample, by study -> every check of them, as a page and as tables."""

from importlib import import_module

from madpipe.base import provenance, runtime, store, tables
from madpipe.base.overview import CHECKS, Listed, page
from madpipe.base.page import write_page

with runtime.job(snakemake.log[0]):
    found, said = [], []
    for study, files in snakemake.input.items():  # an input's name is its study's
        module = import_module(f"madpipe.{study}.scores.checks")
        for file in [files] if isinstance(files, str) else files:
            found += module.checks_of_file(file)
            said += module.said_of_file(file)
    write_page(snakemake.output.html, "Checks of every sample", page(found, said))
    store.write_json(snakemake.output.json, Listed(found, said), process=provenance.process_of(snakemake))
    tables.write_csv(snakemake.output.csv, tables.frame(CHECKS, found), CHECKS)
