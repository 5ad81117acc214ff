from madpipe.rocking.config import profile_of

ROCKING = SETTINGS.rocking
CURVES_FOLDER = f"{RESULTS}/rocking"
ROCKING_LOGS = f"{LOGS}/rocking"
CURVES = at_hand(ROCKING.samples, "rocking")
MEASURED_CURVES = [name for name in CURVES if hasattr(CURVES[name], "path")]
SIMULATED_CURVES = [name for name in CURVES if name not in MEASURED_CURVES]
CURVE_FIGURES = ["curve_fit", "layer_profile"]
PREDICTED_CURVES = [
    name for name in SIMULATED_CURVES if CURVES[name].scan == ROCKING.train.scan
]
CURVE_WEIGHTS = (
    f"{CURVES_FOLDER}/network/weights.safetensors"
    if ROCKING.infer.weights == "trained"
    else str(shipped_weights("rocking"))
)
PROFILE_OF = {
    "": "profile",
    "_network": "inferred",
}  # by what follows the names of scores and figures
NETWORK_FIGURES = ["parameter_errors", "calibration", "sensitivities", "convergence"]
NETWORK_FIGURES += ["speed"] if ROCKING.evaluate.timed else []


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
        code=fingerprint("madpipe.rocking.simulate.sample"),
    script:
        "../scripts/rocking_simulate.py"


rule rocking_convert:
    """Bring a measured curve into one layout."""
    input:
        lambda wildcards: map(measured_path, files_of(CURVES[wildcards.sample])),
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
        code=fingerprint("madpipe.rocking.measured"),
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
        profile=lambda wildcards: profile_of(CURVES[wildcards.sample], ROCKING.fit),
        depth=lambda wildcards: getattr(CURVES[wildcards.sample], "depth", None),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.fit.fit"),
    script:
        "../scripts/rocking_fit.py"


rule rocking_train:
    """Train the network on curves drawn on the fly."""
    input:
        [shipped_weights("rocking")] if ROCKING.train.begin == "shipped" else [],
    output:
        weights=f"{CURVES_FOLDER}/network/weights.safetensors",
        history=f"{CURVES_FOLDER}/network/history.json",
    log:
        f"{ROCKING_LOGS}/network/train.log",
    benchmark:
        f"{ROCKING_LOGS}/network/train.tsv"
    conda:
        CONDA
    threads: ROCKING.train.threads + ROCKING.train.workers
    resources:
        mem_mb=memory(4000, values=0),
        runtime=minutes(300, values=0),
        gpu=1,
    params:
        config=parameters(ROCKING.train),
        seed=SETTINGS.seed,
        checkpoint=f"{CURVES_FOLDER}/network/train.ckpt",
        code=fingerprint("madpipe.rocking.network.train"),
    script:
        "../scripts/rocking_train.py"


rule rocking_infer:
    """Answer a curve by the network, and fit from its prediction on."""
    input:
        curve=f"{CURVES_FOLDER}/{{sample}}/curve.h5",
        weights=CURVE_WEIGHTS,
    output:
        f"{CURVES_FOLDER}/{{sample}}/inferred.h5",
    log:
        f"{ROCKING_LOGS}/{{sample}}/infer.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/infer.tsv"
    wildcard_constraints:
        sample=one_of(PREDICTED_CURVES),
    conda:
        CONDA
    resources:
        mem_mb=memory(1500, values=0),
        runtime=minutes(10, values=0),
    params:
        config=parameters(ROCKING.infer),
        fit=parameters(ROCKING.fit),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.network.infer"),
    script:
        "../scripts/rocking_infer.py"


rule rocking_validate:
    """Score an answer against its curve and, where there is one, the truth."""
    input:
        curve=f"{CURVES_FOLDER}/{{sample}}/curve.h5",
        profile=lambda wildcards: (
            f"{CURVES_FOLDER}/{wildcards.sample}/{PROFILE_OF[wildcards.by]}.h5"
        ),
    output:
        f"{CURVES_FOLDER}/{{sample}}/scores{{by}}.json",
    log:
        f"{ROCKING_LOGS}/{{sample}}/validate{{by}}.log",
    benchmark:
        f"{ROCKING_LOGS}/{{sample}}/validate{{by}}.tsv"
    wildcard_constraints:
        sample=one_of(CURVES),
        by="|".join(PROFILE_OF),
    conda:
        CONDA
    resources:
        mem_mb=memory(800, values=0),
        runtime=minutes(10, values=0),
    params:
        code=fingerprint("madpipe.rocking.scores.validate"),
    script:
        "../scripts/rocking_validate.py"


rule rocking_figures:
    """Draw one figure of one curve."""
    input:
        curve=f"{CURVES_FOLDER}/{{sample}}/curve.h5",
        profile=lambda wildcards: (
            f"{CURVES_FOLDER}/{wildcards.sample}/{PROFILE_OF[wildcards.by]}.h5"
        ),
    output:
        pdf=f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}{{by}}.pdf",
        png=report(
            f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}{{by}}.png",
            caption="../report/figure.rst",
            category="Rocking curves",
            subcategory="{sample}",
            labels={"figure": "{figure}{by}"},
        ),
        caption=f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}{{by}}.txt",
    log:
        f"{ROCKING_LOGS}/figures/{{sample}}_{{figure}}{{by}}.log",
    benchmark:
        f"{ROCKING_LOGS}/figures/{{sample}}_{{figure}}{{by}}.tsv"
    wildcard_constraints:
        sample=one_of(CURVES),
        figure=one_of(CURVE_FIGURES),
        by="|".join(PROFILE_OF),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, values=0),
        runtime=minutes(10, values=0),
    params:
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.rocking.figures.curve"),
    script:
        "../scripts/rocking_figures.py"


rule rocking_evaluate:
    """Score network and refinement on held-out curves, beside the information limit."""
    input:
        CURVE_WEIGHTS,
    output:
        f"{CURVES_FOLDER}/network/evaluation.json",
    log:
        f"{ROCKING_LOGS}/network/evaluate.log",
    benchmark:
        f"{ROCKING_LOGS}/network/evaluate.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500, values=0),
        runtime=minutes(10, values=0) if ROCKING.evaluate.curves < 100 else 120,
    params:
        config=parameters(ROCKING.evaluate),
        infer=parameters(ROCKING.infer),
        fit=parameters(ROCKING.fit),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.scores.evaluate"),
    script:
        "../scripts/rocking_evaluate.py"


rule rocking_evaluation_figures:
    """Draw one figure of the network's evaluation."""
    input:
        evaluation=f"{CURVES_FOLDER}/network/evaluation.json",
        weights=CURVE_WEIGHTS,
    output:
        pdf=f"{CURVES_FOLDER}/figures/network/{{figure}}.pdf",
        png=report(
            f"{CURVES_FOLDER}/figures/network/{{figure}}.png",
            caption="../report/figure.rst",
            category="Rocking curves",
            subcategory="network",
            labels={"figure": "{figure}"},
        ),
        caption=f"{CURVES_FOLDER}/figures/network/{{figure}}.txt",
    log:
        f"{ROCKING_LOGS}/figures/network_{{figure}}.log",
    benchmark:
        f"{ROCKING_LOGS}/figures/network_{{figure}}.tsv"
    wildcard_constraints:
        figure=one_of(NETWORK_FIGURES),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, values=0),
        runtime=minutes(10, values=0),
    params:
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.rocking.figures.network"),
    script:
        "../scripts/rocking_evaluation_figures.py"


rule rocking_ablate:
    """Train one variant of the network, and score it on the ablation's curves."""
    output:
        scores=f"{CURVES_FOLDER}/ablation/{{number}}_{{training}}.json",
        weights=f"{CURVES_FOLDER}/ablation/{{number}}_{{training}}.safetensors",
    log:
        f"{ROCKING_LOGS}/ablation/{{number}}_{{training}}.log",
    benchmark:
        f"{ROCKING_LOGS}/ablation/{{number}}_{{training}}.tsv"
    wildcard_constraints:
        number=r"\d+",
        training=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(3000, values=0),
        runtime=minutes(120, values=0),
        gpu=1,
    params:
        variant=lambda wildcards: list(CURVE_VARIANTS)[int(wildcards.number)],
        training=lambda wildcards: int(wildcards.training),
        config=parameters(ROCKING.ablation),
        infer=parameters(ROCKING.infer),
        fit=parameters(ROCKING.fit),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.rocking.network.ablation", "madpipe.rocking.network.train"),
    script:
        "../scripts/rocking_ablate.py"


rule rocking_ablation:
    """Compare the remedies: a table and its figure."""
    input:
        expand(
            f"{CURVES_FOLDER}/ablation/{{number}}_{{training}}.json",
            number=range(len(CURVE_VARIANTS)),
            training=range(ROCKING.ablation.seeds),
        ),
    output:
        json=f"{CURVES_FOLDER}/ablation/table.json",
        csv=f"{CURVES_FOLDER}/ablation/table.csv",
        pdf=f"{CURVES_FOLDER}/figures/network/ablation.pdf",
        png=report(
            f"{CURVES_FOLDER}/figures/network/ablation.png",
            caption="../report/figure.rst",
            category="Rocking curves",
            subcategory="network",
            labels={"figure": "ablation"},
        ),
        caption=f"{CURVES_FOLDER}/figures/network/ablation.txt",
    log:
        f"{ROCKING_LOGS}/ablation/table.log",
    benchmark:
        f"{ROCKING_LOGS}/ablation/table.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, values=0),
        runtime=minutes(10, values=0),
    params:
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.rocking.network.ablation", "madpipe.rocking.figures.network"),
    script:
        "../scripts/rocking_ablation.py"


ROCKING_TARGETS = [
    *expand(f"{CURVES_FOLDER}/{{sample}}/scores.json", sample=CURVES),
    *expand(f"{CURVES_FOLDER}/{{sample}}/scores_network.json", sample=PREDICTED_CURVES),
    *expand(
        f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}.pdf",
        sample=CURVES,
        figure=CURVE_FIGURES,
    ),
    *expand(
        f"{CURVES_FOLDER}/figures/{{sample}}/{{figure}}_network.pdf",
        sample=PREDICTED_CURVES,
        figure=CURVE_FIGURES,
    ),
    *expand(
        f"{CURVES_FOLDER}/figures/network/{{figure}}.pdf",
        figure=NETWORK_FIGURES if PREDICTED_CURVES else [],
    ),
]
