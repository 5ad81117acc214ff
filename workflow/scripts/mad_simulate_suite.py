"""mad_simulate_suite: the suite's section of the configuration -> a Stack for each case, {set}/{case}.h5."""

from pathlib import Path

from madpipe.base import provenance, runtime, store
from madpipe.mad.config import SuiteConfig
from madpipe.mad.scores.suite.cases import cases, suite_generator
from madpipe.mad.simulate.sample import simulate

with runtime.job(snakemake.log[0]):
    drawn = cases(SuiteConfig(**snakemake.params.config))
    process = provenance.process_of(snakemake)
    for path in runtime.progress(snakemake.output, "test suite"):
        name, case = Path(path).parent.name, Path(path).stem
        stack = simulate(drawn[name][case], suite_generator(name, case))
        store.write(path, stack, process=process)
