include: "rocking_samples.smk"


rule rocking_simulate:
    """Draw an implanted layer and measure its curve."""
    output:
        f"{ROCKING_AT.results}/{{sample}}/curve.h5",
    log:
        f"{ROCKING_AT.logs}/{{sample}}/simulate.log",
    benchmark:
        f"{ROCKING_AT.logs}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(ROCKING_SIMULATED),
    conda:
        CONDA
    resources:
        mem_mb=memory(800),
        runtime=minutes(10),
    params:
        **from_config(config="rocking.samples.{sample}", seed="seed"),
        code=fingerprint("madpipe.rocking.simulate.sample"),
    script:
        "../scripts/rocking_simulate.py"


rule rocking_convert:
    """Bring a measured curve into one layout."""
    input:
        lambda wildcards: files_of(ROCKING_SAMPLES[wildcards.sample]),
    output:
        f"{ROCKING_AT.results}/{{sample}}/curve.h5",
    log:
        f"{ROCKING_AT.logs}/{{sample}}/convert.log",
    benchmark:
        f"{ROCKING_AT.logs}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(ROCKING_MEASURED),
    conda:
        CONDA
    resources:
        mem_mb=memory(800),
        runtime=minutes(10),
    params:
        **from_config(config="rocking.samples.{sample}"),
        code=fingerprint("madpipe.rocking.measured.curve"),
    script:
        "../scripts/rocking_convert.py"


rule rocking_fit:
    """Fit strain and disorder against depth to a curve."""
    input:
        f"{ROCKING_AT.results}/{{sample}}/curve.h5",
    output:
        f"{ROCKING_AT.results}/{{sample}}/profile.h5",
    log:
        f"{ROCKING_AT.logs}/{{sample}}/fit.log",
    benchmark:
        f"{ROCKING_AT.logs}/{{sample}}/fit.tsv"
    wildcard_constraints:
        sample=one_of(ROCKING_SAMPLES),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(30),
    params:
        **from_config(
            config="rocking.fit", depth="rocking.samples.{sample}.depth", seed="seed"
        ),
        profile=lambda wildcards: profile_of(
            ROCKING_SAMPLES[wildcards.sample], ROCKING.fit
        ),
        code=fingerprint("madpipe.rocking.fit.fit"),
    script:
        "../scripts/rocking_fit.py"


rule rocking_train:
    """Train the network on curves drawn on the fly."""
    input:
        [BY_NAME["rocking"].weights] if ROCKING.train.begin == "shipped" else [],
    output:
        weights=f"{ROCKING_AT.network}/weights.safetensors",
        history=f"{ROCKING_AT.network}/history.json",
    log:
        f"{ROCKING_AT.logs}/network/train.log",
    benchmark:
        f"{ROCKING_AT.logs}/network/train.tsv"
    conda:
        CONDA
    threads: ROCKING.train.threads + ROCKING.train.workers
    resources:
        mem_mb=memory(4000),
        runtime=minutes(300),
        gpu=1,
    params:
        **from_config(config="rocking.train", seed="seed"),
        checkpoint=f"{ROCKING_AT.network}/train.ckpt",
        study="rocking",
        code=fingerprint("madpipe.rocking.network.train"),
    script:
        "../scripts/train.py"


rule rocking_infer:
    """Answer a curve by the network, and fit from its prediction on."""
    input:
        curve=f"{ROCKING_AT.results}/{{sample}}/curve.h5",
        weights=ROCKING_AT.weights,
    output:
        f"{ROCKING_AT.results}/{{sample}}/inferred.h5",
    log:
        f"{ROCKING_AT.logs}/{{sample}}/infer.log",
    benchmark:
        f"{ROCKING_AT.logs}/{{sample}}/infer.tsv"
    wildcard_constraints:
        sample=one_of(ROCKING_PREDICTED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        **from_config(config="rocking.infer", fit="rocking.fit", seed="seed"),
        code=fingerprint("madpipe.rocking.network.infer"),
    script:
        "../scripts/rocking_infer.py"


rule rocking_validate:
    """Score an answer against its curve and, where there is one, the truth."""
    input:
        curve=f"{ROCKING_AT.results}/{{sample}}/curve.h5",
        profile=lambda wildcards: (
            f"{ROCKING_AT.results}/{wildcards.sample}/{ROCKING_ANSWER_OF[wildcards.by]}.h5"
        ),
    output:
        f"{ROCKING_AT.results}/{{sample}}/scores{{by}}.json",
    log:
        f"{ROCKING_AT.logs}/{{sample}}/validate{{by}}.log",
    benchmark:
        f"{ROCKING_AT.logs}/{{sample}}/validate{{by}}.tsv"
    wildcard_constraints:
        sample=one_of(ROCKING_SAMPLES),
        by="|".join(ROCKING_ANSWER_OF),
    group:
        "scores"
    conda:
        CONDA
    resources:
        mem_mb=memory(800),
        runtime=minutes(10),
    params:
        code=fingerprint("madpipe.rocking.scores.validate"),
    script:
        "../scripts/rocking_validate.py"


for rocking_word, rocking_names in alike(ROCKING_SAMPLES, rocking_kind).items():

    rule:
        name:
            f"rocking_figures_{rocking_word}"
        input:
            curve=f"{ROCKING_AT.results}/{{sample}}/curve.h5",
            profiles=[
                f"{ROCKING_AT.results}/{{sample}}/{ROCKING_ANSWER_OF[by]}.h5"
                for by in rocking_answers(rocking_names[0])
            ],
        output:
            figure_files(
                f"{ROCKING_AT.figures}/{{sample}}",
                [
                    f"{name}{by}"
                    for by in rocking_answers(rocking_names[0])
                    for name in ("curve_fit", "layer_profile")
                ],
                "rocking",
                "{sample}",
            ),
        log:
            f"{ROCKING_AT.logs}/figures/{{sample}}/{rocking_word}.log",
        benchmark:
            f"{ROCKING_AT.logs}/figures/{{sample}}/{rocking_word}.tsv"
        wildcard_constraints:
            sample=one_of(rocking_names),
        group:
            "figures"
        conda:
            CONDA
        resources:
            mem_mb=memory(1000),
            runtime=minutes(10),
        params:
            answers=rocking_answers(rocking_names[0]),
            code=fingerprint("madpipe.rocking.figures.curve"),
        script:
            "../scripts/rocking_figures.py"


rule rocking_evaluate:
    """Score network and refinement on held-out curves, beside the information limit."""
    input:
        ROCKING_AT.weights,
    output:
        f"{ROCKING_AT.network}/evaluation.json",
    log:
        f"{ROCKING_AT.logs}/network/evaluate.log",
    benchmark:
        f"{ROCKING_AT.logs}/network/evaluate.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10) if ROCKING.evaluate.curves < 100 else 120,
    params:
        **from_config(
            config="rocking.evaluate",
            infer="rocking.infer",
            fit="rocking.fit",
            seed="seed",
        ),
        code=fingerprint("madpipe.rocking.network.evaluate"),
    script:
        "../scripts/rocking_evaluate.py"


rule rocking_evaluation_figures:
    """Draw the figures of the network's evaluation."""
    input:
        evaluation=f"{ROCKING_AT.network}/evaluation.json",
        weights=ROCKING_AT.weights,
    output:
        figure_files(
            f"{ROCKING_AT.figures}/network",
            ROCKING_EVALUATION_FIGURES,
            "rocking",
            "network",
        ),
    log:
        f"{ROCKING_AT.logs}/figures/network.log",
    benchmark:
        f"{ROCKING_AT.logs}/figures/network.tsv"
    group:
        "figures"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint(
            "madpipe.rocking.figures.network", "madpipe.rocking.network.weights"
        ),
    script:
        "../scripts/rocking_evaluation_figures.py"


rule rocking_ablate:
    """Train one variant of the network, and score it on the ablation's curves."""
    output:
        scores=f"{ROCKING_AT.results}/ablation/{{number}}_{{training}}.json",
        weights=f"{ROCKING_AT.results}/ablation/{{number}}_{{training}}.safetensors",
    log:
        f"{ROCKING_AT.logs}/ablation/{{number}}_{{training}}.log",
    benchmark:
        f"{ROCKING_AT.logs}/ablation/{{number}}_{{training}}.tsv"
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
            config="rocking.ablation",
            infer="rocking.infer",
            fit="rocking.fit",
            seed="seed",
        ),
        variant=lambda wildcards: ROCKING_VARIANTS[int(wildcards.number)],
        training=lambda wildcards: int(wildcards.training),
        study="rocking",
        code=fingerprint(
            "madpipe.rocking.network.ablation", "madpipe.rocking.network.train"
        ),
    script:
        "../scripts/ablate.py"


rule rocking_ablation:
    """Compare the remedies: a table and its figure."""
    input:
        expand(
            f"{ROCKING_AT.results}/ablation/{{number}}_{{training}}.json",
            number=range(len(ROCKING_VARIANTS)),
            training=range(ROCKING.ablation.seeds),
        ),
    output:
        json=f"{ROCKING_AT.results}/ablation/table.json",
        csv=f"{ROCKING_AT.results}/ablation/table.csv",
        figures=figure_files(
            f"{ROCKING_AT.figures}/network", ["ablation"], "rocking", "network"
        ),
    log:
        f"{ROCKING_AT.logs}/ablation/table.log",
    benchmark:
        f"{ROCKING_AT.logs}/ablation/table.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint(
            "madpipe.rocking.network.ablation",
            "madpipe.rocking.figures.network",
            "madpipe.rocking.scores.tables",
        ),
    script:
        "../scripts/rocking_ablation.py"


TARGETS += [
    *(
        f"{ROCKING_AT.results}/{sample}/scores{by}.json"
        for sample in ROCKING_SAMPLES
        for by in rocking_answers(sample)
    ),
    *(
        f"{ROCKING_AT.figures}/{sample}/{name}{by}.pdf"
        for sample in ROCKING_SAMPLES
        for by in rocking_answers(sample)
        for name in ("curve_fit", "layer_profile")
    ),
    *(
        f"{ROCKING_AT.figures}/network/{name}.pdf"
        for name in ROCKING_EVALUATION_FIGURES
        if ROCKING_PREDICTED
    ),
]
SCORES["rocking"] = [
    f"{ROCKING_AT.results}/{sample}/scores{by}.json"
    for sample in ROCKING_SAMPLES
    for by in rocking_answers(sample)
]
