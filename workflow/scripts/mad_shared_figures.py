"""mad_shared_figures: records and scores of several samples -> one figure as PDF and PNG, with its caption."""

from madpipe.base import plotting, provenance, runtime, store
from madpipe.base.plain import read_json
from madpipe.base.training import History
from madpipe.mad.figures import FIGURES
from madpipe.mad.records import Fit, Stack
from madpipe.mad.scores.records import Ablation, SampleScores, SuiteScores

SEVERAL = {"stacks": Stack, "fits": Fit, "networks": Fit, "scores": SampleScores, "comparisons": SuiteScores}
ONE = {"table": Ablation, "history": History}


def load(name, files):
    """Read an input by its name; a plural name stands for several files."""
    if name in SEVERAL:
        several = [files] if isinstance(files, str) else files
        return [(read_json if file.endswith(".json") else store.read)(file, SEVERAL[name]) for file in several]
    content = read_json(files, ONE[name])
    return getattr(content, "rows", content)


with runtime.job(snakemake.log[0]):
    records = {name: load(name, files) for name, files in snakemake.input.items()}
    picture = FIGURES[snakemake.wildcards.figure](**records)
    process, dpi = provenance.process_of(snakemake), snakemake.params.config["dpi"]
    plotting.save(picture.figure, snakemake.output[0], process, caption=picture.caption, dpi=dpi)
