"""runtimes: benchmark files of the jobs that ran -> what each rule took, as a page and as a table."""

from madpipe.base import provenance, runtime, tables
from madpipe.base.costs import JOBS, RUNTIMES, by_rule, machine, read_costs
from madpipe.base.page import columns, paragraph, table, write_page

with runtime.job(snakemake.log[0]):
    costs = read_costs(snakemake.params.logs, snakemake.params.benchmarks, snakemake.params.sizes)
    rows = by_rule(costs)
    words = (
        "Measured by Snakemake in each job's last run. "
        f"This page was written on {machine()}, commit {provenance.git_commit()}."
    )
    parts = [paragraph(words), table(RUNTIMES.names, columns(tables.records(rows), RUNTIMES.names))]
    write_page(snakemake.output.html, "What the rules took", parts)
    tables.write_csv(snakemake.output.csv, rows, RUNTIMES)
    tables.write_csv(snakemake.output.jobs, tables.frame(JOBS, costs), JOBS)
