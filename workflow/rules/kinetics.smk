include: "kinetics_samples.smk"


rule kinetics_simulate:
    """Draw species or events, and measure their series."""
    output:
        curves=f"{KINETICS_AT.results}/{{sample}}/curves.h5",
        truth=f"{KINETICS_AT.results}/{{sample}}/truth.h5",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/simulate.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(KINETICS_SIMULATED),
    conda:
        CONDA
    resources:
        mem_mb=memory(800),
        runtime=minutes(10),
    params:
        **from_config(
            config="kinetics.samples.{sample}.simulate",
            own_seed="kinetics.samples.{sample}.seed",
            seed="seed",
        ),
        code=fingerprint("madpipe.kinetics.simulate.sample"),
    script:
        "../scripts/kinetics_simulate.py"


rule kinetics_convert:
    """Bring a measured series into one layout."""
    input:
        lambda wildcards: files_of(KINETICS_SAMPLES[wildcards.sample]),
    output:
        f"{KINETICS_AT.results}/{{sample}}/curves.h5",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/convert.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(KINETICS_MEASURED),
    conda:
        CONDA
    resources:
        mem_mb=memory(800),
        runtime=minutes(10),
    params:
        **from_config(config="kinetics.samples.{sample}.read"),
        code=fingerprint("madpipe.base.curves.reading"),
    script:
        "../scripts/kinetics_convert.py"


rule kinetics_decompose:
    """Find how many components a series has, resolve them, and give each its band."""
    input:
        f"{KINETICS_AT.results}/{{sample}}/curves.h5",
    output:
        f"{KINETICS_AT.results}/{{sample}}/parts.h5",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/decompose.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/decompose.tsv"
    wildcard_constraints:
        sample=one_of(kinetics_with("decompose")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        **from_config(config="kinetics.samples.{sample}.decompose"),
        code=fingerprint("madpipe.kinetics.decompose.decompose"),
    script:
        "../scripts/kinetics_decompose.py"


rule kinetics_rates:
    """Fit the rates of a scheme, and say whether it explains the series."""
    input:
        f"{KINETICS_AT.results}/{{sample}}/curves.h5",
    output:
        f"{KINETICS_AT.results}/{{sample}}/rates.h5",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/rates.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/rates.tsv"
    wildcard_constraints:
        sample=one_of(kinetics_with("rates")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        **from_config(config="kinetics.samples.{sample}.rates"),
        code=fingerprint("madpipe.kinetics.rates.fit"),
    script:
        "../scripts/kinetics_rates.py"


rule kinetics_events:
    """Find the frames where the law of change changes."""
    input:
        f"{KINETICS_AT.results}/{{sample}}/curves.h5",
    output:
        f"{KINETICS_AT.results}/{{sample}}/events.json",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/events.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/events.tsv"
    wildcard_constraints:
        sample=one_of(kinetics_with("events")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        **from_config(config="kinetics.samples.{sample}.events"),
        code=fingerprint("madpipe.kinetics.events.find"),
    script:
        "../scripts/kinetics_events.py"


rule kinetics_validate:
    """Score what was made of a series, beside the truth where there is one."""
    input:
        unpack(lambda wildcards: kinetics_answers(wildcards.sample)),
        curves=f"{KINETICS_AT.results}/{{sample}}/curves.h5",
        truth=lambda wildcards: kinetics_truth(wildcards.sample),
    output:
        f"{KINETICS_AT.results}/{{sample}}/scores.json",
    log:
        f"{KINETICS_AT.logs}/{{sample}}/validate.log",
    benchmark:
        f"{KINETICS_AT.logs}/{{sample}}/validate.tsv"
    wildcard_constraints:
        sample=one_of(KINETICS_SAMPLES),
    group:
        "scores"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(reference="kinetics.samples.{sample}.reference"),
        code=fingerprint("madpipe.kinetics.scores.validate", "madpipe.kinetics.answers"),
    script:
        "../scripts/kinetics_validate.py"


for kinetics_word, kinetics_names in alike(KINETICS_SAMPLES, kinetics_kind).items():

    rule:
        name:
            f"kinetics_figures_{kinetics_word}"
        input:
            unpack(lambda wildcards: kinetics_answers(wildcards.sample)),
            curves=f"{KINETICS_AT.results}/{{sample}}/curves.h5",
            truth=lambda wildcards: kinetics_truth(wildcards.sample),
        output:
            figure_files(
                f"{KINETICS_AT.figures}/{{sample}}",
                kinetics_figures(kinetics_names[0]),
                "kinetics",
                "{sample}",
            ),
        log:
            f"{KINETICS_AT.logs}/figures/{{sample}}/{kinetics_word}.log",
        benchmark:
            f"{KINETICS_AT.logs}/figures/{{sample}}/{kinetics_word}.tsv"
        wildcard_constraints:
            sample=one_of(kinetics_names),
        group:
            "figures"
        conda:
            CONDA
        resources:
            mem_mb=memory(1000),
            runtime=minutes(10),
        params:
            **from_config(reference="kinetics.samples.{sample}.reference"),
            code=fingerprint(
                "madpipe.kinetics.figures.sample", "madpipe.kinetics.answers"
            ),
        script:
            "../scripts/kinetics_figures.py"


rule kinetics_evaluate:
    """Score the methods on series that are drawn anew: rank, rates, events."""
    output:
        json=f"{KINETICS_AT.results}/evaluation/evaluation.json",
        csv=f"{KINETICS_AT.results}/evaluation/evaluation.csv",
    log:
        f"{KINETICS_AT.logs}/evaluation/evaluate.log",
    benchmark:
        f"{KINETICS_AT.logs}/evaluation/evaluate.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        **from_config(config="kinetics.evaluate", seed="seed"),
        code=fingerprint(
            "madpipe.kinetics.scores.evaluate", "madpipe.kinetics.scores.tables"
        ),
    script:
        "../scripts/kinetics_evaluate.py"


rule kinetics_evaluation_figures:
    """Draw the comparison of methods."""
    input:
        f"{KINETICS_AT.results}/evaluation/evaluation.json",
    output:
        figure_files(
            f"{KINETICS_AT.figures}/evaluation",
            KINETICS_EVALUATION_FIGURES,
            "kinetics",
            "evaluation",
        ),
    log:
        f"{KINETICS_AT.logs}/figures/evaluation.log",
    benchmark:
        f"{KINETICS_AT.logs}/figures/evaluation.tsv"
    group:
        "figures"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("madpipe.kinetics.figures.evaluation"),
    script:
        "../scripts/kinetics_evaluation_figures.py"


TARGETS += [
    *KINETICS_AT.of_samples("scores.json", KINETICS_SAMPLES),
    *(
        f"{KINETICS_AT.figures}/{sample}/{name}.pdf"
        for sample in KINETICS_SAMPLES
        for name in kinetics_figures(sample)
    ),
    *(
        f"{KINETICS_AT.figures}/evaluation/{name}.pdf"
        for name in KINETICS_EVALUATION_FIGURES
        if KINETICS_SIMULATED
    ),
]
SCORES["kinetics"] = KINETICS_AT.of_samples("scores.json", KINETICS_SAMPLES)
