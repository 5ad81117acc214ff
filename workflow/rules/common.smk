import hashlib

from snakemake.io import regex_from_filepattern

from madpipe.base import provenance
from madpipe.base.config import dropped_nulls, to_yaml, validate
from madpipe.base.errors import InputError
from madpipe.config import Config
from madpipe.base.shipped import shipped_weights
from madpipe.mad.scores.suite import outline
from madpipe.mad.network.variants import BASE, DROPPED, VARIANTS
from madpipe.rocking.network.variants import VARIANTS as CURVE_VARIANTS

try:
    SETTINGS = validate(Config, dropped_nulls(config))
except InputError as error:
    raise WorkflowError(str(error))

RESULTS = SETTINGS.results
LOGS = SETTINGS.logs


def parameters(section):
    """Give a section of the configuration as plain values, which Snakemake compares with those of the last run."""
    return section.model_dump(mode="json", by_alias=True, exclude_none=True)


def fingerprint(*modules):
    """Name the modules that a job runs, and hash them with all that they import; an edit in them reruns it."""
    return provenance.code_of(*modules)


def one_of(names):
    """Constrain a wildcard to some names; with none, to nothing."""
    return "|".join(sorted(names)) if names else "(?!)"


def benchmark_patterns():
    """Give the regular expression of each rule's benchmark files."""
    return {
        item.name: regex_from_filepattern(str(item.benchmark))
        for item in workflow.rules
        if item.benchmark
    }


def resolved_configuration():
    """Give the whole configuration as YAML, headed by what resolved it."""
    version, commit = provenance.versions()["madpipe"], provenance.git_commit()
    return f"# madpipe {version}, git commit: {commit}\n{to_yaml(SETTINGS)}"


def measured_path(path):
    """Resolve a measured file's path; a relative one starts at the project's folder, which holds config/."""
    return str(Path(PROJECT, path))


def files_of(sample):
    """Give the files that a measured sample needs, as configured: one or several, and an instrument function."""
    paths = getattr(sample, "path", ())
    paths = [paths] if isinstance(paths, str) else paths
    return [*paths, *filter(None, [getattr(sample, "instrument", None)])]


def at_hand(samples, study):
    """Give the samples that can be run; an optional one without its files is left out with a line."""
    return {
        name: sample
        for name, sample in samples.items()
        if is_at_hand(name, sample, study)
    }


def is_at_hand(name, sample, study):
    """Say whether one sample can be run."""
    absent = [
        path for path in files_of(sample) if not Path(measured_path(path)).exists()
    ]
    if absent and sample.optional:
        logger.warning(
            f"sample {name} is left out: {absent[0]} is absent; set {study}.samples.{name}.path to run it"
        )
    return not (absent and sample.optional)
