"""mad_validate: Stack, answers and objects -> scores as JSON and CSV."""

from madpipe.base import runtime, store
from madpipe.mad.config import ValidateConfig
from madpipe.mad.records import Fit, RealSpace, Stack
from madpipe.mad.validate import rows, score

with runtime.job(snakemake.log[0]):
    given = snakemake.input
    stack = store.read(given.stack, Stack)
    named = {"fit": "fit", "network": "infer"}
    answers = {name: store.read(given.get(step), Fit) for name, step in named.items() if given.get(step)}
    objects = [store.read(file, RealSpace) for file in given.get("retrieve", [])]
    config = ValidateConfig(**snakemake.params.config)
    generator = runtime.generator_for(snakemake.params.seed, "mad_validate", snakemake.wildcards.sample)
    scores = score(stack, answers, {item.route: item for item in objects}, config, generator)
    scores["sample"] = snakemake.wildcards.sample
    store.write_json(snakemake.output.json, scores)
    store.write_csv(snakemake.output.csv, rows(scores))
