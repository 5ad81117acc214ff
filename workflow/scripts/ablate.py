"""ablate: a variant of a study's ablation -> trained weights and their scores."""

from importlib import import_module

from madpipe.base import provenance, runtime, store

given = snakemake.params
ablation, weights = (import_module(f"madpipe.{given.study}.network.{name}") for name in ("ablation", "weights"))
sections = {name: given[name] for name in ablation.SECTIONS}
which = {name: given[name] for name in ("variant", "training", "seed", "code")}
with runtime.job(snakemake.log[0], ablation.threads(given.config)):
    trained, scores = ablation.run(**sections, **which)
    process = provenance.process_of(snakemake)
    weights.save_network(snakemake.output.weights, trained, process=process)
    store.write_json(snakemake.output.scores, scores, process=process)
