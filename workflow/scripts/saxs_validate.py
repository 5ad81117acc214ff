"""saxs_validate: Curves and what was made of them -> scores as JSON."""

from madpipe.base import provenance, runtime, store
from madpipe.base.curves.records import Curves
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.records import ParticleFit
from madpipe.saxs.records_size import SizeDistribution
from madpipe.saxs.scores.validate import score
from madpipe.saxs.simulate.records import SaxsTruth

KINDS = {"fit": ParticleFit, "sizes": SizeDistribution, "anomalous": AnomalousFit}
files, given = snakemake.input, snakemake.params
with runtime.job(snakemake.log[0]):
    curves = store.read(files.curves, Curves)
    made = {name: store.read(files[name], kind) for name, kind in KINDS.items() if name in dict(files.items())}
    truth = store.read(files.truth[0], SaxsTruth) if files.truth else None
    scores = score(curves, **made, with_guinier="guinier" in given.steps, truth=truth)
    store.write_json(snakemake.output[0], scores, process=provenance.process_of(snakemake))
