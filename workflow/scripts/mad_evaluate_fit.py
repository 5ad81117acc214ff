"""mad_evaluate_fit: the suite's stacks and a way to fit -> its scores."""

from functools import partial
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import FitConfig, ValidateConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.scores.suite.scores import score_suite

given = snakemake.params
with runtime.job(snakemake.log[0], given.cores):
    answer = partial(fit_stack, config=FitConfig(**{**given.fit, "method": given.method}))
    stacks = [(Path(file).parent.name, Path(file).stem, Path(file)) for file in snakemake.input.stacks]
    scores = score_suite(stacks, answer, given.method, ValidateConfig(**given.validate))
    store.write_json(snakemake.output[0], scores, process=provenance.process_of(snakemake))
