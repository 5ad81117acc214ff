import hashlib

from madpipe.base import provenance
from madpipe.base.config import dropped_nulls, to_yaml, validate
from madpipe.base.errors import InputError
from madpipe.config import Config

try:
    SETTINGS = validate(Config, dropped_nulls(config))
except InputError as error:
    raise WorkflowError(str(error))

RESULTS = SETTINGS.results
LOGS = SETTINGS.logs


def parameters(section):
    """Give a section of the configuration to a rule as plain values, which Snakemake compares with the last run's."""
    return section.model_dump(mode="json", by_alias=True, exclude_none=True)


def fingerprint(*modules):
    """Hash the modules that a rule runs, and all that they import: an edit in them reruns the rule."""
    return provenance.fingerprint(*modules)


def one_of(names):
    """Constrain a wildcard to some names; with none, to nothing."""
    return "|".join(sorted(names)) if names else "(?!)"


rule resolved_config:
    """Write the configuration that the results were made with beside them."""
    output:
        f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/resolved_config.log",
    params:
        settings=hashlib.sha256(to_yaml(SETTINGS).encode()).hexdigest()[:16],
        code=fingerprint("madpipe.config"),
    localrule: True
    run:
        Path(output[0]).write_text(to_yaml(SETTINGS), encoding="utf-8")
