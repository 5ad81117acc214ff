"""mad_figures: records and scores -> one figure as PDF and PNG, with its caption."""

import json
from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.mad.figures import FIGURES
from madpipe.mad.records import Fit, RealSpace, Stack

RECORDS = {"stack": Stack, "fit": Fit, "network": Fit, "real_space": RealSpace}


def load(name, files):
    """Read an input by its name; a plural name stands for several files."""
    if name in ("stacks", "fits", "networks", "scores", "comparisons"):
        return [load(name.removesuffix("s"), file) for file in ([files] if isinstance(files, str) else files)]
    if name in RECORDS:
        return store.read(files, RECORDS[name])
    content = json.loads(Path(files).read_text())
    return content.get("rows", content)


with runtime.job(snakemake.log[0]):
    records = {name: load(name, files) for name, files in snakemake.input.items()}
    picture = FIGURES[snakemake.wildcards.figure](**records)
    dpi = snakemake.params.config["dpi"]
    plotting.save(
        picture.figure, snakemake.output.pdf, provenance.process_of(snakemake), caption=picture.caption, dpi=dpi
    )
