rule overview:
    """Put every check of every sample of every study on one page."""
    input:
        **SCORES,  # by study
    output:
        html=report(
            f"{RESULTS}/overview.html",
            category="Checks and runtimes",
            labels={"table": "checks of every sample"},
        ),
        json=f"{RESULTS}/overview.json",
        csv=f"{RESULTS}/overview.csv",
    log:
        f"{LOGS}/overview.log",
    localrule: True
    conda:
        CONDA
    params:
        code=fingerprint(
            "madpipe.base.overview",
            *(f"madpipe.{study}.scores.checks" for study in SCORES),
        ),
    script:
        "../scripts/overview.py"


rule runtimes:
    """Sum what the jobs took, by rule; below the logs, for no two runs take the same time."""
    input:
        TARGETS,
    output:
        html=report(
            f"{LOGS}/runtimes.html",
            category="Checks and runtimes",
            labels={"table": "time and memory of every rule"},
        ),
        csv=f"{LOGS}/runtimes.csv",
        jobs=f"{LOGS}/jobs.csv",
    log:
        f"{LOGS}/runtimes.log",
    localrule: True
    conda:
        CONDA
    params:
        logs=lambda wildcards, output: str(Path(output.csv).parent),
        benchmarks=benchmark_patterns(),
        sizes=SIZES,
        code=fingerprint("madpipe.base.costs", "madpipe.base.page"),
    script:
        "../scripts/runtimes.py"


TARGETS += [
    rules.runtimes.output.html,
    rules.resolved_config.output[0],
    *(rules.overview.output if SCORES else []),
]
