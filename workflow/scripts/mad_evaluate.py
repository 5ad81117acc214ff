"""mad_evaluate: the suite's stacks and a network -> its scores."""

from functools import partial
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import InferConfig, ValidateConfig
from madpipe.mad.network.infer import infer
from madpipe.mad.network.weights import load_network
from madpipe.mad.scores.suite.scores import score_suite

given = snakemake.params
with runtime.job(snakemake.log[0], given.cores):
    config = InferConfig(**{**given.infer, "refine": given.method == "network_refined"})
    answer = partial(infer, trained=load_network(snakemake.input.weights), config=config)
    stacks = [(Path(file).parent.name, Path(file).stem, Path(file)) for file in snakemake.input.stacks]
    scores = score_suite(stacks, answer, given.method, ValidateConfig(**given.validate))
    store.write_json(snakemake.output[0], scores, process=provenance.process_of(snakemake))
