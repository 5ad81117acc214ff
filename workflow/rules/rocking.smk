ROCKING = SETTINGS.rocking
CURVES_FOLDER = f"{RESULTS}/rocking"
ROCKING_LOGS = f"{LOGS}/rocking"
CURVES = at_hand(ROCKING.samples, "rocking")
MEASURED_CURVES = [name for name in CURVES if hasattr(CURVES[name], "path")]
SIMULATED_CURVES = [name for name in CURVES if name not in MEASURED_CURVES]
CURVE_FIGURES = ["curve_fit", "layer_profile"]


rule rocking_simulate:
    """Draw an implanted layer and measure its curve."""
    output:
        f"{CURVES_FOLDER}/{{sample}}/curve.h5",
    log:
        f"{ROCKING_LOGS}/{{sample}}/simulate.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(SIMULATED_CURVES),
    conda:
        CONDA
    resources:
        mem_mb=memory(800, values=0),
        runtime=minutes(10, values=0),
    params:
        config=lambda wildcards: parameters(CURVES[wildcards.sample]),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.sample"),
    script:
        "../scripts/rocking_simulate.py"


rule rocking_convert:
    """Bring a measured curve into one layout."""
    input:
        lambda wildcards: measured_path(CURVES[wildcards.sample].path),
    output:
        f"{CURVES_FOLDER}/{{sample}}/curve.h5",
    log:
        f"{ROCKING_LOGS}/{{sample}}/convert.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(MEASURED_CURVES),
    conda:
        CONDA
    resources:
        mem_mb=memory(800, values=0),
        runtime=minutes(10, values=0),
    params:
        config=lambda wildcards: parameters(CURVES[wildcards.sample]),
        code=fingerprint("madpipe.rocking.readers"),
    script:
        "../scripts/rocking_convert.py"


rule rocking_fit:
    """Fit strain and disorder against depth to a curve."""
    input:
        f"{CURVES_FOLDER}/{{sample}}/curve.h5",
    output:
        f"{CURVES_FOLDER}/{{sample}}/profile.h5",
    log:
        f"{ROCKING_LOGS}/{{sample}}/fit.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/fit.tsv"
    wildcard_constraints:
        sample=one_of(CURVES),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500, values=0),
        runtime=minutes(30, values=0),
    params:
        config=parameters(ROCKING.fit),
        depth=lambda wildcards: getattr(CURVES[wildcards.sample], "depth", None),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.fit"),
    script:
        "../scripts/rocking_fit.py"


rule rocking_validate:
    """Score a fit against its curve and, where there is one, the truth."""
    input:
        curve=f"{CURVES_FOLDER}/{{sample}}/curve.h5",
        profile=f"{CURVES_FOLDER}/{{sample}}/profile.h5",
    output:
        f"{CURVES_FOLDER}/{{sample}}/scores.json",
    log:
        f"{ROCKING_LOGS}/{{sample}}/validate.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/validate.tsv"
    wildcard_constraints:
        sample=one_of(CURVES),
    conda:
        CONDA
    resources:
        mem_mb=memory(800, values=0),
        runtime=minutes(10, values=0),
    params:
        code=fingerprint("madpipe.rocking.validate"),
    script:
        "../scripts/rocking_validate.py"


rule rocking_figures:
    """Draw one figure of one curve."""
    input:
        curve=f"{CURVES_FOLDER}/{{sample}}/curve.h5",
        profile=f"{CURVES_FOLDER}/{{sample}}/profile.h5",
    output:
        pdf=f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}.pdf",
        png=report(
            f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}.png",
            caption="../report/figure.rst",
            category="Rocking curves",
            subcategory="{sample}",
            labels={"figure": "{figure}"},
        ),
        caption=f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}.txt",
    log:
        f"{ROCKING_LOGS}/figures/{{sample}}_{{figure}}.log",
    benchmark:
        f"{ROCKING_LOGS}/figures/{{sample}}_{{figure}}.tsv"
    wildcard_constraints:
        sample=one_of(CURVES),
        figure=one_of(CURVE_FIGURES),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, values=0),
        runtime=minutes(10, values=0),
    params:
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.rocking.figures"),
    script:
        "../scripts/rocking_figures.py"


ROCKING_TARGETS = [
    *expand(f"{CURVES_FOLDER}/{{sample}}/scores.json", sample=CURVES),
    *expand(
        f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}.pdf",
        sample=CURVES,
        figure=CURVE_FIGURES,
    ),
]
