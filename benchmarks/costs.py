"""Costs of jobs that ran, and what another configuration would cost: tables and a figure. `make costs` calls it."""

import argparse
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from madpipe.base import provenance
from madpipe.base.config import dropped_nulls, merge, read_yaml, validate
from madpipe.base.costs import JOBS, Cost, costs_from_csv, machine
from madpipe.base.estimate import (
    Estimate,
    Job,
    estimate,
    estimates_table,
    followers,
    jobs_from_dry_run,
    makespan,
    tails,
)
from madpipe.base.plotting import LOOKS, TWO_COLUMNS, Picture, name_panels, new_figure, save, styled
from madpipe.base.tables import frame
from madpipe.config import DEFAULT, Config
from madpipe.studies import STUDIES

DRAWN = ("mad_simulate", "mad_fit", "mad_infer", "mad_retrieve", "mad_retrieve_apart", "mad_validate")
NODES, CORES = 100, 16


def measured_rows(costs: Sequence[Cost]) -> list[str]:
    """Lines of the table of what was measured: one for each kind of job and size of the data."""
    names = ["cpu_seconds", "seconds", "memory_mb"]
    table = frame(JOBS, costs).fillna({"size": 0, **dict.fromkeys(names, 0.0)})
    rows = []
    for (kind, size), group in table.groupby(["kind", "size"]):  # sorted
        numbers = " | ".join(f"{value:.0f}" for value in group[names].max())
        rows.append(f"| {kind} | {f'{size:,}' if size else '-'} | {len(group)} | {numbers} |")
    return ["| jobs of | size | jobs | CPU s | wall s | MiB |", "|---|---|---|---|---|---|", *rows]


def estimated_rows(jobs: Sequence[Job], estimates: Sequence[Estimate]) -> list[str]:
    """Lines of the table of what each rule would take."""
    table = estimates_table(jobs, estimates)
    groups = dict(iter(table.groupby("rule")))
    rows = []
    for rule in table.groupby("rule", sort=False)["seconds"].sum().sort_values(ascending=False, kind="stable").index:
        seconds, memory = groups[rule]["seconds"], groups[rule]["memory_mb"].fillna(0.0).max()
        how = ", ".join(sorted(set(groups[rule]["how"])))
        numbers = f"{len(seconds)} | {seconds.sum() / 3600:.2f} | {seconds.max() / 60:.1f}"
        rows.append(f"| {rule} | {numbers} | {f'{memory:.0f}' if memory else '-'} | {how} |")
    return ["| rule | jobs | hours | longest (min) | MiB | how known |", "|---|---|---|---|---|---|", *rows]


def total_rows(jobs: Sequence[Job], estimates: Sequence[Estimate]) -> list[str]:
    """Lines of the table of what the whole run would take."""
    seconds = [one.seconds for one in estimates]
    on_gpu = {number for number, one in enumerate(estimates) if one.how == "told"}
    alone = {"one core and a GPU": sum(seconds), f"{CORES} cores and a GPU": makespan(jobs, seconds, CORES, on_gpu)}
    shared = {
        f"{NODES} nodes with a GPU, a job on each": makespan(jobs, seconds, NODES, on_gpu, NODES),
        "longest chain of jobs": max(tails(seconds, followers(jobs))),
    }
    rows = [f"| {name} | {value / 3600:.2f} |" for name, value in {**alone, **shared}.items()]
    return ["| on | hours |", "|---|---|", *rows]


@styled
def draw(costs: Sequence[Cost]) -> Picture:
    """Draw CPU time [s] and peak memory [MiB] of each step against points times energies, log-log."""
    figure = new_figure(TWO_COLUMNS, 3.4)
    panels = list(figure.subplots(1, 2))
    words = [f"CPU time and peak memory of single jobs against points times energies ({machine()}), one mark a job;"]
    words.append("the start of Python and its libraries is part of both. The largest of each:")
    for rule, look in zip(DRAWN, LOOKS, strict=True):
        own = sorted((cost for cost in costs if cost.rule == rule and cost.size), key=lambda cost: cost.size)
        for axes, name in zip(panels, ("cpu_seconds", "memory_mb"), strict=True):
            known = [cost for cost in own if getattr(cost, name)]
            marks = {**look.points(), "linestyle": ""}
            axes.plot([cost.size for cost in known], [getattr(cost, name) for cost in known], **marks, label=rule)
        if own:
            last = own[-1]
            words.append(f"{rule} of {last.size:,}: {last.cpu_seconds or 0:.0f} s, {last.memory_mb or 0:.0f} MiB.")
    for axes, label in zip(panels, ("CPU time (s)", "peak memory (MiB)"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="points x energies (1)", ylabel=label)
        axes.grid(visible=True)
    name_panels(panels, ["time", "memory"])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Picture(figure, " ".join(words))


def main() -> None:
    """Read what ran and what would run, and write both tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", nargs="+", help="jobs.csv of runs that were made")
    parser.add_argument(
        "--plan", required=True, help="what `snakemake --dry-run --forceall` printed of the run to estimate"
    )
    parser.add_argument("--config", nargs="+", required=True, help="its overlays, in their order")
    parser.add_argument("--told", nargs="*", default=[], metavar="KIND=SECONDS", help="jobs on a GPU, timed elsewhere")
    parser.add_argument("-o", "--output", required=True, help="folder")
    words = parser.parse_args()
    costs = [cost for file in words.measured for cost in costs_from_csv(file)]
    base = DEFAULT.model_dump(mode="json", by_alias=True)
    config = validate(Config, dropped_nulls(reduce(merge, map(read_yaml, words.config), base)))
    sizes = {study.name: study.sizes(getattr(config, study.name)) for study in STUDIES}
    jobs = jobs_from_dry_run(Path(words.plan).read_text(encoding="utf-8"), sizes)
    told = {kind: float(seconds) for kind, seconds in (item.split("=") for item in words.told)}
    estimates = [estimate(job, costs, told) for job in jobs]
    where = f"{machine()}; commit {provenance.git_commit()}."
    tables = {
        f"Measured on {where}": measured_rows(costs),
        f"Estimated: {' + '.join(words.config)}": estimated_rows(jobs, estimates),
        "Estimated, the whole run": total_rows(jobs, estimates),
    }
    folder = Path(words.output)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join("\n".join([title, "", *lines, ""]) for title, lines in tables.items())
    (folder / "costs.md").write_text(text, encoding="utf-8")
    picture = draw(costs)
    origin = provenance.process({"measured": words.measured})
    save(picture.figure, folder / "cost_against_size.pdf", origin, caption=picture.caption)


if __name__ == "__main__":
    main()
