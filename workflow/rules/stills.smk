include: "stills_samples.smk"


rule stills_simulate:
    """Draw crystals and expose them: images, crystals as told, reference intensities, the truth."""
    output:
        images=f"{STILLS_AT.results}/{{sample}}/images.nxs",
        crystals=f"{STILLS_AT.results}/{{sample}}/images.expt",
        reference=f"{STILLS_AT.results}/{{sample}}/images_reference.mtz",
        about=f"{STILLS_AT.results}/{{sample}}/images_reference.json",
        truth=f"{STILLS_AT.results}/{{sample}}/images_truth.h5",
    log:
        f"{STILLS_AT.logs}/{{sample}}/simulate.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(STILLS_SIMULATED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        **from_config(config="stills.samples.{sample}", seed="seed"),
        code=fingerprint("madpipe.stills.simulate.files"),
    script:
        "../scripts/stills_simulate.py"


rule stills_index:
    """Find the crystal of each image from its cell alone."""
    input:
        lambda wildcards: stills_images(wildcards.sample),
    output:
        crystals=f"{STILLS_AT.results}/{{sample}}/crystals.expt",
        table=f"{STILLS_AT.results}/{{sample}}/crystals.json",
    log:
        f"{STILLS_AT.logs}/{{sample}}/index.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/index.tsv"
    wildcard_constraints:
        sample=one_of(stills_with("index")),
    conda:
        CONDA
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        **from_config(
            config="stills.index",
            cell="stills.samples.{sample}.cell",
            space_group="stills.samples.{sample}.space_group",
            as_stills="stills.samples.{sample}.as_stills",
        ),
        code=fingerprint(
            "madpipe.stills.index.files",
            "madpipe.stills.measured.reading",
            "madpipe.stills.measured.expt_writing",
            "madpipe.stills.symmetry",
        ),
    script:
        "../scripts/stills_index.py"


rule stills_fit:
    """Fit misset and mosaic spread to the pixels of each image."""
    input:
        images=lambda wildcards: stills_images(wildcards.sample),
        crystals=lambda wildcards: stills_told(wildcards.sample),
        reference=lambda wildcards: stills_reference(wildcards.sample),
    output:
        f"{STILLS_AT.results}/{{sample}}/fit.h5",
    log:
        f"{STILLS_AT.logs}/{{sample}}/fit.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/fit.tsv"
    wildcard_constraints:
        sample=one_of(stills_with("fit")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(30),
    params:
        **from_config(
            config="stills.fit",
            as_stills="stills.samples.{sample}.as_stills",
            space_group="stills.samples.{sample}.space_group",
        ),
        code=fingerprint("madpipe.stills.fit.images", "madpipe.stills.measured.reading"),
    script:
        "../scripts/stills_fit.py"


rule stills_integrate:
    """Integrate spots with scales, orientations and instrument in one fit."""
    input:
        images=lambda wildcards: stills_images(wildcards.sample),
        crystals=lambda wildcards: stills_told(wildcards.sample),
        table=lambda wildcards: stills_table(wildcards.sample),
        reference=lambda wildcards: stills_reference(wildcards.sample),
    output:
        f"{STILLS_AT.results}/{{sample}}/integrated.h5",
    log:
        f"{STILLS_AT.logs}/{{sample}}/integrate.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/integrate.tsv"
    wildcard_constraints:
        sample=one_of(stills_with("integrate")),
    conda:
        CONDA
    resources:
        mem_mb=memory(2500),
        runtime=minutes(30),
    params:
        **from_config(
            config="stills.integrate",
            as_stills="stills.samples.{sample}.as_stills",
            space_group="stills.samples.{sample}.space_group",
        ),
        code=fingerprint(
            "madpipe.stills.integrate.files",
            "madpipe.stills.measured.reading",
            "madpipe.stills.index.records",
        ),
    script:
        "../scripts/stills_integrate.py"


rule stills_merge:
    """Merge integrated spots; how good they are, and the table of images."""
    input:
        f"{STILLS_AT.results}/{{sample}}/integrated.h5",
    output:
        merged=f"{STILLS_AT.results}/{{sample}}/merged.mtz",
        quality=f"{STILLS_AT.results}/{{sample}}/merged.json",
        unmerged=f"{STILLS_AT.results}/{{sample}}/merged_images.mtz",
        table=f"{STILLS_AT.results}/{{sample}}/merged_images.csv",
        rows=f"{STILLS_AT.results}/{{sample}}/merged_images.json",
    log:
        f"{STILLS_AT.logs}/{{sample}}/merge.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/merge.tsv"
    wildcard_constraints:
        sample=one_of(stills_with("integrate")),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(config="stills.merge", seed="seed"),
        code=fingerprint("madpipe.stills.merge.files", "madpipe.stills.config"),
    script:
        "../scripts/stills_merge.py"


rule stills_validate:
    """Score what was made of a set of images, beside the truth where there is one."""
    input:
        unpack(lambda wildcards: stills_answers(wildcards.sample)),
        truth=lambda wildcards: stills_truth(wildcards.sample),
        images=lambda wildcards: stills_images(wildcards.sample),
    output:
        f"{STILLS_AT.results}/{{sample}}/scores.json",
    log:
        f"{STILLS_AT.logs}/{{sample}}/validate.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/validate.tsv"
    wildcard_constraints:
        sample=one_of(STILLS_SAMPLES),
    group:
        "scores"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(as_stills="stills.samples.{sample}.as_stills"),
        code=fingerprint(
            "madpipe.stills.scores.validate", "madpipe.stills.measured.reading"
        ),
    script:
        "../scripts/stills_validate.py"


rule stills_evaluate:
    """Compare methods on images whose truth is known: how far they reach, and whether their errors are right."""
    input:
        weights=STILLS_AT.weights,
    output:
        f"{STILLS_AT.results}/evaluation/evaluation.json",
    log:
        f"{STILLS_AT.logs}/evaluation/evaluate.log",
    benchmark:
        f"{STILLS_AT.logs}/evaluation/evaluate.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        **from_config(config="stills.evaluate", seed="seed"),
        code=fingerprint(
            "madpipe.stills.scores.evaluate", "madpipe.stills.network.weights"
        ),
    script:
        "../scripts/stills_evaluate.py"


for stills_word, stills_names in alike(STILLS_SAMPLES, stills_kind).items():

    rule:
        name:
            f"stills_figures_{stills_word}"
        input:
            unpack(lambda wildcards: stills_answers(wildcards.sample)),
            images=lambda wildcards: stills_images(wildcards.sample),
            crystals=lambda wildcards: stills_told(wildcards.sample),
            truth=lambda wildcards: stills_truth(wildcards.sample),
            reference=lambda wildcards: stills_reference(wildcards.sample),
        output:
            figure_files(
                f"{STILLS_AT.figures}/{{sample}}",
                stills_figures(stills_names[0]),
                "stills",
                "{sample}",
            ),
        log:
            f"{STILLS_AT.logs}/figures/{{sample}}/{stills_word}.log",
        benchmark:
            f"{STILLS_AT.logs}/figures/{{sample}}/{stills_word}.tsv"
        wildcard_constraints:
            sample=one_of(stills_names),
        group:
            "figures"
        conda:
            CONDA
        resources:
            mem_mb=memory(2000),
            runtime=minutes(10),
        params:
            **from_config(
                fit="stills.fit",
                as_stills="stills.samples.{sample}.as_stills",
                space_group="stills.samples.{sample}.space_group",
            ),
            code=fingerprint(
                "madpipe.stills.figures.sample",
                "madpipe.stills.fit.images",
                "madpipe.stills.measured.reading",
            ),
        script:
            "../scripts/stills_figures.py"


rule stills_evaluation_figures:
    """Draw the comparison of methods."""
    input:
        f"{STILLS_AT.results}/evaluation/evaluation.json",
    output:
        figure_files(
            f"{STILLS_AT.figures}/evaluation",
            STILLS_EVALUATION_FIGURES,
            "stills",
            "evaluation",
        ),
    log:
        f"{STILLS_AT.logs}/figures/evaluation.log",
    benchmark:
        f"{STILLS_AT.logs}/figures/evaluation.tsv"
    group:
        "figures"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("madpipe.stills.figures.evaluation"),
    script:
        "../scripts/stills_evaluation_figures.py"


TARGETS += [
    *STILLS_AT.of_samples("scores.json", STILLS_SAMPLES),
    *STILLS_AT.of_samples("merged.mtz", stills_with("integrate")),
    *(
        f"{STILLS_AT.figures}/{sample}/{name}.pdf"
        for sample in STILLS_SAMPLES
        for name in stills_figures(sample)
    ),
    *(
        f"{STILLS_AT.figures}/evaluation/{name}.pdf"
        for name in STILLS_EVALUATION_FIGURES
    ),
]
SCORES["stills"] = STILLS_AT.of_samples("scores.json", STILLS_SAMPLES)


include: "stills_network.smk"
