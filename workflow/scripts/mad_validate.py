"""mad_validate: Stack, answers and objects -> scores as JSON and CSV."""

from dataclasses import replace
from pathlib import Path

from madpipe.base import provenance, runtime, store, tables
from madpipe.mad.config import ValidateConfig
from madpipe.mad.records import Fit, RealSpace, Stack
from madpipe.mad.scores.tables import SHELLS, SPLIT, shells_table, split_table
from madpipe.mad.scores.validate import score

with runtime.job(snakemake.log[0]):
    given = snakemake.input
    stack = store.read(given.stack, Stack)
    named = {"fit": "fit", "network": "infer"}
    answers = {name: store.read(given.get(step), Fit) for name, step in named.items() if given.get(step)}
    # object.h5 is the joint route's; the others' names say how they came about
    named = {Path(file).stem.removeprefix("object").lstrip("_") or "joint": file for file in given.get("retrieve", [])}
    objects = {name: store.read(file, RealSpace) for name, file in named.items()}
    config = ValidateConfig(**snakemake.params.config)
    generator = runtime.generator_for(snakemake.params.seed, "mad_validate", snakemake.wildcards.sample)
    scores = score(stack, answers, objects, config, generator)
    scores = replace(scores, sample=snakemake.wildcards.sample)
    process = provenance.process_of(snakemake)
    store.write_json(snakemake.output.json, scores, process=process)
    tables.write_csv(snakemake.output.csv, shells_table(scores), SHELLS)
    table, beside = snakemake.output.split
    tables.write_csv(table, split_table(scores), SPLIT)
    split = {name: answer.split for name, answer in scores.answers.items() if answer.split is not None}
    store.write_json(beside, {"split": split}, process=process)
