for mad_word, mad_names in alike(MAD_SAMPLES, mad_kind).items():

    rule:
        name:
            f"mad_figures_{mad_word}"
        input:
            **{
                file: f"{MAD_AT.results}/{{sample}}/{file}.h5"
                for records in mad_drawn(mad_names[0]).values()
                for file in records.values()
            },
        output:
            figure_files(
                f"{MAD_AT.figures}/{{sample}}",
                mad_drawn(mad_names[0]),
                "mad",
                "{sample}",
            ),
        log:
            f"{MAD_AT.logs}/figures/{{sample}}/{mad_word}.log",
        benchmark:
            f"{MAD_AT.logs}/figures/{{sample}}/{mad_word}.tsv"
        wildcard_constraints:
            sample=one_of(mad_names),
        group:
            "figures"
        conda:
            CONDA
        resources:
            mem_mb=memory(1000, 40, mad_values),
            runtime=minutes(10),
        params:
            **from_config(config="mad.figures"),
            drawn=mad_drawn(mad_names[0]),
            code=fingerprint("madpipe.mad.figures"),
        script:
            "../scripts/mad_figures.py"


rule mad_shared_figures:
    """Draw one figure over several samples."""
    input:
        unpack(lambda wildcards: MAD_SHARED[wildcards.figure]),
    output:
        figure_files(MAD_AT.figures, ["{figure}"], "mad", "all samples"),
    log:
        f"{MAD_AT.logs}/figures/{{figure}}.log",
    benchmark:
        f"{MAD_AT.logs}/figures/{{figure}}.tsv"
    wildcard_constraints:
        figure=one_of(MAD_SHARED),
    group:
        "figures"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, 40, sum(map(mad_size, MAD_SAMPLES))),
        runtime=minutes(10, 1, sum(map(mad_size, MAD_SAMPLES))),
    params:
        **from_config(config="mad.figures"),
        code=fingerprint("madpipe.mad.figures"),
    script:
        "../scripts/mad_shared_figures.py"
