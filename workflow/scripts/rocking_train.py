"""rocking_train: a section of the configuration -> weights and the history of the training."""

import dataclasses
from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.network.train import train
from madpipe.rocking.network.weights import TrainedCurveNetwork, save_network

given = snakemake.params
config = RockingTrainConfig(**given.config)
with runtime.job(snakemake.log[0], config.threads):
    generator = runtime.generator_for(given.seed, "rocking_train")
    network, history = train(config, generator, checkpoint=Path(given.checkpoint), code=given.code)
    process = provenance.process_of(snakemake)
    trained = TrainedCurveNetwork.of(network, config, given.code, history)
    save_network(snakemake.output.weights, trained, process=process)
    store.write_json(snakemake.output.history, dataclasses.asdict(history), process=process)
