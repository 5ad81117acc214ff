"""mad_shared_figures: records and scores of several samples -> one figure as PDF and PNG, with its caption."""

import json
from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.base.plain import read_json
from madpipe.mad.figures import FIGURES
from madpipe.mad.records import Fit, Stack
from madpipe.mad.scores.records import SampleScores

RECORDS = {"stacks": Stack, "fits": Fit, "networks": Fit}


def load(name, files):
    """Read an input by its name; a plural name stands for several files."""
    if name in RECORDS:
        return [store.read(file, RECORDS[name]) for file in ([files] if isinstance(files, str) else files)]
    if name == "scores":
        return [read_json(file, SampleScores) for file in ([files] if isinstance(files, str) else files)]
    if name == "comparisons":
        return [json.loads(Path(file).read_text()) for file in ([files] if isinstance(files, str) else files)]
    content = json.loads(Path(files).read_text())
    return content.get("rows", content)


with runtime.job(snakemake.log[0]):
    records = {name: load(name, files) for name, files in snakemake.input.items()}
    picture = FIGURES[snakemake.wildcards.figure](**records)
    process, dpi = provenance.process_of(snakemake), snakemake.params.config["dpi"]
    plotting.save(picture.figure, snakemake.output[0], process, caption=picture.caption, dpi=dpi)
