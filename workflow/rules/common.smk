import hashlib

from madpipe.base import provenance
from madpipe.base.config import dropped_nulls, to_yaml, validate
from madpipe.base.errors import InputError
from madpipe.config import Config
from madpipe.mad.shipped import shipped_weights
from madpipe.mad.suite import outline
from madpipe.mad.variants import BASE, DROPPED, VARIANTS

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
