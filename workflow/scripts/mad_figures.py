"""mad_figures: records and scores -> one figure as PDF and PNG, with its caption."""

from madpipe.base import plotting, provenance, runtime, store
from madpipe.base.plain import read_json
from madpipe.base.training import History
from madpipe.mad.figures import FIGURES
from madpipe.mad.records import Fit, RealSpace, Stack
from madpipe.mad.scores.records import Ablation, SampleScores, SuiteScores

RECORDS = {"stack": Stack, "fit": Fit, "network": Fit, "real_space": RealSpace}
JSON = {"score": SampleScores, "comparison": SuiteScores, "table": Ablation, "history": History}


def load(name, files):
    """Read an input by its name; a plural name stands for several files."""
    if name in ("stacks", "fits", "networks", "scores", "comparisons"):
        return [load(name.removesuffix("s"), file) for file in ([files] if isinstance(files, str) else files)]
    if name in RECORDS:
        return store.read(files, RECORDS[name])
    content = read_json(files, JSON[name])
    return getattr(content, "rows", content)


with runtime.job(snakemake.log[0]):
    records = {name: load(name, files) for name, files in snakemake.input.items()}
    picture = FIGURES[snakemake.wildcards.figure](**records)
    dpi = snakemake.params.config["dpi"]
    plotting.save(
        picture.figure, snakemake.output.pdf, provenance.process_of(snakemake), caption=picture.caption, dpi=dpi
    )
