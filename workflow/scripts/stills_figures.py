"""stills_figures: what was made of a set of images -> its figures as PDF and PNG, with their captions."""

from pathlib import Path

from madpipe.base import plotting, provenance, runtime, store
from madpipe.stills.config import StillsFitConfig
from madpipe.stills.figures.sample import FIGURES, Drawn
from madpipe.stills.fit.images import factors_of
from madpipe.stills.measured.reading import read_set
from madpipe.stills.records import StillsTruth
from madpipe.stills.scores.validate import answers_of

given, came = snakemake.params, snakemake.input
with runtime.job(snakemake.log[0]):
    images, crystals = read_set(came.images, came.crystals, given.get("space_group") or "P 1", given.get("as_stills"))
    [truth] = [store.read(file, StillsTruth) for file in came.get("truth", [])] or [None]
    answers = answers_of(dict(came.items()))
    name, fit = snakemake.wildcards.sample, StillsFitConfig(**given.fit)
    factors = factors_of(next(iter(came.get("reference", [])), None), crystals) if answers.fitted else None
    drawn = Drawn(name, images, crystals, answers, truth, fit, factors)
    process = provenance.process_of(snakemake)
    for path in (Path(file) for file in snakemake.output if file.endswith(".pdf")):
        picture = FIGURES[path.stem](drawn)
        plotting.save(picture.figure, path, process, caption=picture.caption)
