FIGURES = f"{DATA}/figures"
NETWORK = f"{DATA}/network"


def files(name, samples):
    """Name one kind of file of several samples."""
    return expand(f"{DATA}/{{sample}}/{name}", sample=samples)


# figure over several samples: what it is drawn from, by the name that the figure's function gives it
SHARED = {"dispersion": {"stacks": files("stack.h5", SAMPLES), "fits": files("fit.h5", runs("fit"))}}
if SAMPLES:
    SHARED["r_factor"] = {"scores": files("scores.json", SAMPLES)}
if SIMULATED:
    SHARED["error_vs_counts"] = {"scores": files("scores.json", SIMULATED)}
if runs("infer"):
    SHARED["training_curves"] = {"history": f"{NETWORK}/history.json"}


def drawn_from(figure, sample):
    """Name what a figure of one sample is drawn from; none where the sample does not run the step."""
    steps = SAMPLES[sample].steps
    network = {"network": "inferred.h5"} if "infer" in steps else {}
    needs = {
        "particle": {} if sample in MEASURED else {"stack": "stack.h5"},
        "fit_maps": {"stack": "stack.h5", "fit": "fit.h5"} if "fit" in steps else {},
        "network_maps": {"stack": "stack.h5", "fit": "inferred.h5"} if "infer" in steps else {},
        "f_normal": {"stack": "stack.h5", "fit": "fit.h5", **network} if "fit" in steps else {},
        "retrieved": {"stack": "stack.h5", "real_space": "object.h5"} if "retrieve" in steps else {},
    }
    return {name: f"{DATA}/{sample}/{file}" for name, file in needs[figure].items()}


OF_ONE_SAMPLE = ["particle", "fit_maps", "network_maps", "f_normal", "retrieved"]
MAD_FIGURES = expand(f"{FIGURES}/{{figure}}.pdf", figure=SHARED) + [
    f"{FIGURES}/{sample}/{figure}.pdf" for sample in SAMPLES for figure in OF_ONE_SAMPLE if drawn_from(figure, sample)
]


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
    wildcard_constraints:
        figure=one_of(SHARED),
    conda:
        CONDA
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
    wildcard_constraints:
        sample=one_of(SAMPLES),
        figure=one_of(OF_ONE_SAMPLE),
    conda:
        CONDA
    params:
        config=parameters(MAD.figures),
        caption=lambda wildcards, output: Path(output.caption),
        code=fingerprint("madpipe.mad.figures"),
    script:
        "../scripts/mad_figures.py"
