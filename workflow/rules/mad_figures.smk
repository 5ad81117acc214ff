rule mad_figures:
    """Draw one figure over several samples."""
    input:
        unpack(lambda wildcards: SHARED[wildcards.figure]),
    output:
        pdf=f"{FIGURES}/{{figure}}.pdf",
        png=report(
            f"{FIGURES}/{{figure}}.png",
            caption="../report/figure.rst",
            category="MAD",
            subcategory="all samples",
            labels={"figure": "{figure}"},
        ),
        caption=f"{FIGURES}/{{figure}}.txt",
    log:
        f"{MAD_LOGS}/figures/{{figure}}.log",
    benchmark:
        f"{MAD_LOGS}/figures/{{figure}}.tsv"
    wildcard_constraints:
        figure=one_of(SHARED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, 40, ALL_VALUES),
        runtime=minutes(10, 1, ALL_VALUES),
    params:
        config=parameters(MAD.figures),
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.mad.figures"),
    script:
        "../scripts/mad_figures.py"


rule mad_sample_figures:
    """Draw one figure of one sample."""
    input:
        unpack(lambda wildcards: drawn_from(wildcards.figure, wildcards.sample)),
    output:
        pdf=f"{FIGURES}/{{sample}}/{{figure}}.pdf",
        png=report(
            f"{FIGURES}/{{sample}}/{{figure}}.png",
            caption="../report/figure.rst",
            category="MAD",
            subcategory="{sample}",
            labels={"figure": "{figure}"},
        ),
        caption=f"{FIGURES}/{{sample}}/{{figure}}.txt",
    log:
        f"{MAD_LOGS}/figures/{{sample}}_{{figure}}.log",
    benchmark:
        f"{MAD_LOGS}/figures/{{sample}}_{{figure}}.tsv"
    wildcard_constraints:
        sample=one_of(SAMPLES),
        figure=one_of(OF_ONE_SAMPLE),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, 40),
        runtime=minutes(10),
    params:
        config=parameters(MAD.figures),
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.mad.figures"),
    script:
        "../scripts/mad_figures.py"
