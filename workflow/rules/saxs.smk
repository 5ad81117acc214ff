include: "saxs_samples.smk"


rule saxs_simulate:
    """Draw particles and expose them: curves and their truth."""
    output:
        curves=f"{SAXS_AT.results}/{{sample}}/curves.h5",
        truth=f"{SAXS_AT.results}/{{sample}}/truth.h5",
    log:
        f"{SAXS_AT.logs}/{{sample}}/simulate.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(SAXS_SIMULATED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(config="saxs.samples.{sample}.simulate", seed="seed"),
        code=fingerprint("madpipe.saxs.simulate.curves"),
    script:
        "../scripts/saxs_simulate.py"


rule saxs_convert:
    """Bring measured curves into one layout."""
    input:
        lambda wildcards: files_of(SAXS_SAMPLES[wildcards.sample]),
    output:
        f"{SAXS_AT.results}/{{sample}}/curves.h5",
    log:
        f"{SAXS_AT.logs}/{{sample}}/convert.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(SAXS_MEASURED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(
            config="saxs.samples.{sample}.read", path="saxs.samples.{sample}.path"
        ),
        code=fingerprint("madpipe.base.curves.reading"),
    script:
        "../scripts/saxs_convert.py"


rule saxs_fit:
    """Fit a model to the curves."""
    input:
        f"{SAXS_AT.results}/{{sample}}/curves.h5",
    output:
        f"{SAXS_AT.results}/{{sample}}/fit.h5",
    log:
        f"{SAXS_AT.logs}/{{sample}}/fit.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/fit.tsv"
    wildcard_constraints:
        sample=one_of(saxs_with("fit")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        **from_config(config="saxs.samples.{sample}.fit", seed="seed"),
        code=fingerprint("madpipe.saxs.fit.fit"),
    script:
        "../scripts/saxs_fit.py"


rule saxs_size:
    """Estimate the size distribution of a curve."""
    input:
        f"{SAXS_AT.results}/{{sample}}/curves.h5",
    output:
        f"{SAXS_AT.results}/{{sample}}/size.h5",
    log:
        f"{SAXS_AT.logs}/{{sample}}/size.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/size.tsv"
    wildcard_constraints:
        sample=one_of(saxs_with("size")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(config="saxs.samples.{sample}.size", seed="seed"),
        code=fingerprint("madpipe.saxs.analysis.size_distribution", "madpipe.saxs.records_size"),
    script:
        "../scripts/saxs_size.py"


rule saxs_anomalous:
    """Fit core and shell by their elements to an energy series, and separate its partial intensities."""
    input:
        f"{SAXS_AT.results}/{{sample}}/curves.h5",
    output:
        fit=f"{SAXS_AT.results}/{{sample}}/anomalous.h5",
        partial=f"{SAXS_AT.results}/{{sample}}/partial.h5",
    log:
        f"{SAXS_AT.logs}/{{sample}}/anomalous.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/anomalous.tsv"
    wildcard_constraints:
        sample=one_of(saxs_with("anomalous")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        **from_config(
            config="saxs.samples.{sample}.anomalous",
            separation="saxs.separation",
            seed="seed",
        ),
        code=fingerprint("madpipe.saxs.anomalous.fit", "madpipe.saxs.analysis.separation"),
    script:
        "../scripts/saxs_anomalous.py"


rule saxs_validate:
    """Score what was made of a sample's curves, beside the truth where there is one."""
    input:
        unpack(lambda wildcards: saxs_answers(wildcards.sample)),
        curves=f"{SAXS_AT.results}/{{sample}}/curves.h5",
        truth=lambda wildcards: saxs_truth(wildcards.sample),
    output:
        f"{SAXS_AT.results}/{{sample}}/scores.json",
    log:
        f"{SAXS_AT.logs}/{{sample}}/validate.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/validate.tsv"
    wildcard_constraints:
        sample=one_of(SAXS_SAMPLES),
    group:
        "scores"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        steps=lambda wildcards: SAXS_SAMPLES[wildcards.sample].steps,
        code=fingerprint("madpipe.saxs.scores.validate"),
    script:
        "../scripts/saxs_validate.py"


for saxs_word, saxs_names in alike(SAXS_SAMPLES, saxs_kind).items():

    rule:
        name:
            f"saxs_figures_{saxs_word}"
        input:
            unpack(lambda wildcards: saxs_answers(wildcards.sample)),
            curves=f"{SAXS_AT.results}/{{sample}}/curves.h5",
            truth=lambda wildcards: saxs_truth(wildcards.sample),
        output:
            figure_files(
                f"{SAXS_AT.figures}/{{sample}}",
                saxs_figures(saxs_names[0]),
                "saxs",
                "{sample}",
            ),
        log:
            f"{SAXS_AT.logs}/figures/{{sample}}/{saxs_word}.log",
        benchmark:
            f"{SAXS_AT.logs}/figures/{{sample}}/{saxs_word}.tsv"
        wildcard_constraints:
            sample=one_of(saxs_names),
        group:
            "figures"
        conda:
            CONDA
        resources:
            mem_mb=memory(1000),
            runtime=minutes(10),
        params:
            code=fingerprint("madpipe.saxs.figures.sample"),
        script:
            "../scripts/saxs_figures.py"


TARGETS += [
    *SAXS_AT.of_samples("scores.json", SAXS_SAMPLES),
    *(
        f"{SAXS_AT.figures}/{sample}/{name}.pdf"
        for sample in SAXS_SAMPLES
        for name in saxs_figures(sample)
    ),
]
SCORES["saxs"] = SAXS_AT.of_samples("scores.json", SAXS_SAMPLES)
