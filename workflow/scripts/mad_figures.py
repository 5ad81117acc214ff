"""mad_figures: Stack, answers and object of one sample -> its figures as PDF and PNG, each with its caption."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.mad.figures import FIGURES
from madpipe.mad.records import Fit, RealSpace, Stack

RECORDS = {"stack": Stack, "fit": Fit, "inferred": Fit, "object": RealSpace}

given = snakemake.params
with runtime.job(snakemake.log[0]):
    held = {name: store.read(file, RECORDS[name]) for name, file in snakemake.input.items()}
    process = provenance.process_of(snakemake)
    for path in runtime.progress([path for path in snakemake.output if path.endswith(".pdf")], "figures"):
        name = Path(path).stem
        picture = FIGURES[name](**{record: held[file] for record, file in given.drawn[name].items()})
        plotting.save(picture.figure, path, process, caption=picture.caption, dpi=given.config["dpi"])
