from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


configfile: Path(workflow.basedir) / "config" / "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/config.smk"
include: "workflow/rules/mad_samples.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/mad.smk"
include: "workflow/rules/mad_figures.smk"


rule all:
    """Everything that the configuration asks for."""
    default_target: True
    input:
        MAD_TARGETS,
        f"{RESULTS}/config.yaml",
