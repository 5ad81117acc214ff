import hashlib
import re
from math import ceil

from snakemake.io import regex_from_filepattern

from madpipe.base import provenance
from madpipe.base.config import (
    dropped_nulls,
    input_files,
    plain,
    read_yaml,
    to_yaml,
    validate,
    value_at,
)
from madpipe.base.errors import InputError
from madpipe.base.overview import in_words
from madpipe.config import RESOLVED_HEAD, Config, require_places
from madpipe.studies import BY_NAME

try:
    for path in map(Path, workflow.configfiles):
        if path.suffix in (".yaml", ".yml"):
            read_yaml(path)  # Snakemake takes the last of two equal keys
    SETTINGS = validate(Config, dropped_nulls(config))
    require_places(SETTINGS, PROJECT)
except InputError as error:
    raise WorkflowError(str(error))

VALUES = plain(SETTINGS)
RESULTS = SETTINGS.results
LOGS = SETTINGS.logs
CONDA = "../../envs/madpipe.yaml"
# what there is to do, by study, then by sample or by rule
SIZES = {
    study: dict(BY_NAME[study].sizes(getattr(SETTINGS, study)))
    for study in SETTINGS.studies
}

# what each study's rules add to, at their end
TARGETS = []  # files that `rule all` makes
SCORES = (
    {}
)  # scores of its samples, by study: their checks stand on the report's first page


class Paths:
    """Where the files of one study lie."""

    def __init__(self, study):
        self.results = f"{RESULTS}/{study}"
        self.logs = f"{LOGS}/{study}"
        self.figures = f"{self.results}/figures"
        self.network = f"{self.results}/network"
        infer = getattr(getattr(SETTINGS, study), "infer", None)
        is_trained = infer is None or infer.weights == "trained"
        own = f"{self.network}/weights.safetensors"
        self.weights = own if is_trained else str(BY_NAME[study].weights)

    def of_samples(self, name, samples):
        """Name one kind of file of several samples."""
        return expand(f"{self.results}/{{sample}}/{name}", sample=samples)


def is_measured(sample):
    """Say whether a sample is read from files, not simulated."""
    return hasattr(sample, "path")


def measured_path(path):
    """Resolve a measured file's path; a relative one starts at the project's folder, which holds config/."""
    return str(Path(PROJECT, path))


def files_of(sample):
    """Give every file that a sample is made from."""
    return [
        measured_path(path) for files in input_files(sample).values() for path in files
    ]


def at_hand(study):
    """Give the samples of a study that can be run; an optional one without its files is left out with a line."""
    samples = getattr(SETTINGS, study).samples
    return {
        name: sample
        for name, sample in samples.items()
        if is_at_hand(study, name, sample)
    }


def is_at_hand(study, name, sample):
    """Say whether one sample can be run."""
    absent = [path for path in files_of(sample) if not Path(path).exists()]
    is_left_out = bool(absent) and getattr(sample, "optional", False)
    if is_left_out:
        logger.warning(
            f"sample {name} is left out: {absent[0]} is absent; set {study}.samples.{name}.path to run it"
        )
    return not is_left_out


def from_config(**keys):
    """Give parameters by their names: what the configuration says at a dotted key, and the keys themselves.

    A result keeps both, so that `madpipe verify` knows what to compare it with. A word of a key may be a wildcard.
    """

    def words(key, wildcards):
        return [word.format(**dict(wildcards.items())) for word in key.split(".")]

    def parameter(key):
        return lambda wildcards: value_at(VALUES, words(key, wildcards))

    def config_keys(wildcards):
        return {name: words(key, wildcards) for name, key in keys.items()}

    return {name: parameter(key) for name, key in keys.items()} | {
        "config_keys": config_keys
    }


def fingerprint(*modules):
    """Name the modules that a job runs, and hash them with all that they import; an edit in them reruns it."""
    return provenance.code_of(*modules)


def one_of(names):
    """Constrain a wildcard to some names; with none, to nothing."""
    return "|".join(map(re.escape, sorted(names))) if names else "(?!)"


def alike(samples, kind_of):
    """Put samples of one kind together: those whose jobs make the same files."""
    kinds = {}
    for name in samples:
        kinds.setdefault(kind_of(name), []).append(name)
    return kinds


def figure_files(folder, figures, study, subcategory):
    """Name what a job that draws figures makes: each as PDF and, for the report, PNG, with its caption."""
    category = BY_NAME[study].title
    others = [
        f"{folder}/{figure}.{kind}" for figure in figures for kind in ("pdf", "txt")
    ]
    return others + [
        in_report(folder, figure, category, subcategory) for figure in figures
    ]


def in_report(folder, figure, category, subcategory):
    """Give one picture its place in the report."""
    about = {
        "category": category,
        "subcategory": subcategory,
        "labels": {"figure": figure},
    }
    return report(f"{folder}/{figure}.png", caption="../report/figure.rst", **about)


def memory(megabytes, bytes_per_value=0, values=0):
    """Give a rule's mem_mb: what every job needs and what its data take; a second attempt asks for twice as much.

    The data are so many values, or as many as a function of the wildcards says.
    """

    def mem_mb(wildcards, attempt):
        count = values(wildcards) if callable(values) else values
        return attempt * ceil(megabytes + bytes_per_value * count / 1e6)

    return mem_mb


def minutes(least, microseconds_per_value=0, values=0):
    """Give a rule's runtime in the same way, on one processor."""

    def runtime(wildcards, attempt):
        count = values(wildcards) if callable(values) else values
        return attempt * ceil(least + microseconds_per_value * count / 60e6)

    return runtime


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
    return f"{RESOLVED_HEAD}{version}, git commit: {commit}\n{to_yaml(SETTINGS)}"


def verdicts_in_words():
    """How many checks pass, which fail and what is warned of, where the overview is made: a run's last lines."""
    path = Path(RESULTS, "overview.json")
    return in_words(path) if path.is_file() else []
