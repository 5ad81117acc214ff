import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# folder of whoever runs this: the checkout, or the project that uses the workflow as a module; it holds config/
PROJECT = Path(workflow.basedir)
PROJECT = PROJECT.parent if PROJECT.name == "workflow" else PROJECT


configfile: PROJECT / "config" / "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/config.smk"


for study in SETTINGS.studies:

    include: f"workflow/rules/{study}.smk"


include: "workflow/rules/overview.smk"


onsuccess:
    print(*verdicts_in_words(), sep="\n", file=sys.stderr)


rule all:
    """Everything that the configuration asks for."""
    default_target: True
    input:
        TARGETS,
