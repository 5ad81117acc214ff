rule mad_overview:
    """Put every check of every sample on one page."""
    input:
        mad=files("scores.json", SAMPLES),
    output:
        html=report(
            f"{DATA}/overview.html",
            category="Checks and runtimes",
            labels={"table": "checks of every sample"},
        ),
        json=f"{DATA}/overview.json",
        csv=f"{DATA}/overview.csv",
    log:
        f"{MAD_LOGS}/overview.log",
    localrule: True
    conda:
        CONDA
    params:
        code=fingerprint("madpipe.base.overview", "madpipe.mad.scores.checks"),
    script:
        "../scripts/overview.py"


rule runtimes:
    """Sum what the jobs took, by rule; below the logs, for no two runs take the same time."""
    input:
        MAD_TARGETS,
        ROCKING_TARGETS,
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
        code=fingerprint("madpipe.base.costs"),
    script:
        "../scripts/runtimes.py"


OVERVIEW = [rules.runtimes.output.html, *(rules.mad_overview.output if SAMPLES else [])]
