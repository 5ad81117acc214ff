"""mad_train: a section of the configuration -> weights and the history of the training."""

import dataclasses
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import TrainConfig
from madpipe.mad.network.train import train
from madpipe.mad.network.weights import save_network

given = snakemake.params
config = TrainConfig(**{**given.config, **given.design})
with runtime.job(snakemake.log[0], config.threads):
    generator = runtime.generator_for(given.seed, "mad_train", config.network)
    trained, history = train(config, generator, checkpoint=Path(given.checkpoint), code=given.code)
    process = provenance.process_of(snakemake)
    save_network(snakemake.output.weights, trained, process=process)
    store.write_json(snakemake.output.history, dataclasses.asdict(history), process=process)
