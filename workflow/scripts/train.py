"""train: a section of a study's configuration -> weights and the history of the training."""

from importlib import import_module
from pathlib import Path

from madpipe.base import provenance, runtime, store

given = snakemake.params
train, weights = (import_module(f"madpipe.{given.study}.network.{name}") for name in ("train", "weights"))
config = {**given.config, **given.get("design", {})}
with runtime.job(snakemake.log[0], config["threads"]):
    trained, history = train.run(config, seed=given.seed, checkpoint=Path(given.checkpoint), code=given.code)
    process = provenance.process_of(snakemake)
    weights.save_network(snakemake.output.weights, trained, process=process)
    store.write_json(snakemake.output.history, history.as_dict(), process=process)
