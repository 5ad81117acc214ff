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
        **from_config(
            config="saxs.samples.{sample}.simulate",
            own="saxs.samples.{sample}.seed",
            seed="seed",
        ),
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
        code=fingerprint(
            "madpipe.saxs.analysis.size_distribution",
            "madpipe.saxs.records_size",
            "madpipe.base.curves.records",
        ),
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
        code=fingerprint(
            "madpipe.saxs.anomalous.fit", "madpipe.saxs.analysis.separation"
        ),
    script:
        "../scripts/saxs_anomalous.py"


rule saxs_train:
    """Train the network on curves drawn on the fly."""
    output:
        weights=f"{SAXS_AT.network}/weights.safetensors",
        history=f"{SAXS_AT.network}/history.json",
    log:
        f"{SAXS_AT.logs}/network/train.log",
    benchmark:
        f"{SAXS_AT.logs}/network/train.tsv"
    conda:
        CONDA
    threads: SAXS.train.threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(300),
        gpu=1,
    params:
        **from_config(config="saxs.train", seed="seed"),
        checkpoint=f"{SAXS_AT.network}/train.ckpt",
        study="saxs",
        code=fingerprint("madpipe.saxs.network.train"),
    script:
        "../scripts/train.py"


rule saxs_infer:
    """Answer the curves by the network: probabilities of shapes, and fits of the likeliest."""
    input:
        curves=f"{SAXS_AT.results}/{{sample}}/curves.h5",
        weights=SAXS_AT.weights,
    output:
        f"{SAXS_AT.results}/{{sample}}/classes.json",
    log:
        f"{SAXS_AT.logs}/{{sample}}/infer.log",
    benchmark:
        f"{SAXS_AT.logs}/{{sample}}/infer.tsv"
    wildcard_constraints:
        sample=one_of(saxs_with("infer")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        **from_config(config="saxs.infer", fit="saxs.samples.{sample}.fit", seed="seed"),
        code=fingerprint("madpipe.saxs.network.refine"),
    script:
        "../scripts/saxs_infer.py"


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
        **from_config(steps="saxs.samples.{sample}.steps"),
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
            **from_config(steps="saxs.samples.{sample}.steps"),
            code=fingerprint("madpipe.saxs.figures.sample"),
        script:
            "../scripts/saxs_figures.py"


rule saxs_evaluate:
    """Score the network on curves that no training saw, known shapes and foreign ones."""
    input:
        SAXS_AT.weights,
    output:
        f"{SAXS_AT.network}/evaluation.json",
    log:
        f"{SAXS_AT.logs}/network/evaluate.log",
    benchmark:
        f"{SAXS_AT.logs}/network/evaluate.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(30),
    params:
        **from_config(
            config="saxs.evaluate",
            seed="seed",
        ),
        code=fingerprint("madpipe.saxs.network.evaluate"),
    script:
        "../scripts/saxs_evaluate.py"


rule saxs_evaluation_figures:
    """Draw the figures of the network's evaluation."""
    input:
        evaluation=f"{SAXS_AT.network}/evaluation.json",
        weights=SAXS_AT.weights,
    output:
        figure_files(
            f"{SAXS_AT.figures}/network",
            SAXS_EVALUATION_FIGURES,
            "saxs",
            "network",
        ),
    log:
        f"{SAXS_AT.logs}/figures/network.log",
    benchmark:
        f"{SAXS_AT.logs}/figures/network.tsv"
    group:
        "figures"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("madpipe.saxs.figures.network", "madpipe.saxs.network.weights"),
    script:
        "../scripts/saxs_evaluation_figures.py"


rule saxs_ablate:
    """Train one variant of the network, and score it on the ablation's curves."""
    output:
        scores=f"{SAXS_AT.results}/ablation/{{number}}_{{training}}.json",
        weights=f"{SAXS_AT.results}/ablation/{{number}}_{{training}}.safetensors",
    log:
        f"{SAXS_AT.logs}/ablation/{{number}}_{{training}}.log",
    benchmark:
        f"{SAXS_AT.logs}/ablation/{{number}}_{{training}}.tsv"
    wildcard_constraints:
        number=r"\d+",
        training=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(3000),
        runtime=minutes(120),
        gpu=1,
    params:
        **from_config(
            config="saxs.ablation",
            seed="seed",
        ),
        variant=lambda wildcards: SAXS_VARIANTS[int(wildcards.number)],
        training=lambda wildcards: int(wildcards.training),
        study="saxs",
        code=fingerprint("madpipe.saxs.network.ablation", "madpipe.saxs.network.train"),
    script:
        "../scripts/ablate.py"


rule saxs_ablation:
    """Compare the remedies: a table and its figure."""
    input:
        expand(
            f"{SAXS_AT.results}/ablation/{{number}}_{{training}}.json",
            number=range(len(SAXS_VARIANTS)),
            training=range(SAXS.ablation.seeds),
        ),
    output:
        json=f"{SAXS_AT.results}/ablation/table.json",
        csv=f"{SAXS_AT.results}/ablation/table.csv",
        figures=figure_files(
            f"{SAXS_AT.figures}/network", ["ablation"], "saxs", "network"
        ),
    log:
        f"{SAXS_AT.logs}/ablation/table.log",
    benchmark:
        f"{SAXS_AT.logs}/ablation/table.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint(
            "madpipe.saxs.network.ablation",
            "madpipe.saxs.figures.network",
            "madpipe.saxs.scores.tables",
        ),
    script:
        "../scripts/saxs_ablation.py"


TARGETS += [
    *SAXS_AT.of_samples("scores.json", SAXS_SAMPLES),
    *(
        f"{SAXS_AT.figures}/{sample}/{name}.pdf"
        for sample in SAXS_SAMPLES
        for name in saxs_figures(sample)
    ),
    *(
        f"{SAXS_AT.figures}/network/{name}.pdf"
        for name in SAXS_EVALUATION_FIGURES
        if saxs_with("infer")
    ),
]
SCORES["saxs"] = SAXS_AT.of_samples("scores.json", SAXS_SAMPLES)
