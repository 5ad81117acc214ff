"""saxs_figures: Curves and what was made of them -> figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.figures.sample import drawings
from madpipe.saxs.records import ParticleFit
from madpipe.saxs.records_separation import Separation
from madpipe.saxs.records_size import SizeDistribution

KINDS = {"fit": ParticleFit, "sizes": SizeDistribution, "anomalous": AnomalousFit, "partial": Separation}
files = snakemake.input
with runtime.job(snakemake.log[0]):
    made = {name: store.read(files[name], kind) for name, kind in KINDS.items() if name in dict(files.items())}
    curves = store.read(files.curves, Curves)
    draw = drawings(curves, **made, with_guinier="guinier" in snakemake.params.steps)
    process = provenance.process_of(snakemake)
    for path in [path for path in snakemake.output if path.endswith(".pdf")]:
        picture = draw[Path(path).stem]()
        plotting.save(picture.figure, path, process, caption=picture.caption)
