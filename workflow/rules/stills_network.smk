# samples of the kind that the network knows: small images of a simulated cube
STILLS_PREDICTED = [
    name
    for name in stills_with("fit")
    if name in STILLS_SIMULATED
    and STILLS_SAMPLES[name].size <= 256
    and len(set(STILLS_SAMPLES[name].cell[:3])) == 1
]


rule stills_train:
    """Train the network that finds where a fit begins, on images drawn on the fly."""
    input:
        [BY_NAME["stills"].weights] if STILLS.train.begin == "shipped" else [],
    output:
        weights=f"{STILLS_AT.network}/weights.safetensors",
        history=f"{STILLS_AT.network}/history.json",
    log:
        f"{STILLS_AT.logs}/network/train.log",
    benchmark:
        f"{STILLS_AT.logs}/network/train.tsv"
    conda:
        CONDA
    threads: STILLS.train.threads + STILLS.train.workers
    resources:
        mem_mb=memory(2000),
        runtime=minutes(120),
        gpu=1,
    params:
        **from_config(config="stills.train", seed="seed"),
        checkpoint=f"{STILLS_AT.network}/train.ckpt",
        study="stills",
        code=fingerprint("madpipe.stills.network.train"),
    script:
        "../scripts/train.py"


rule stills_infer:
    """Answer small images by the network: orientations where a fit begins, and the table of their errors."""
    input:
        images=lambda wildcards: stills_images(wildcards.sample),
        crystals=lambda wildcards: stills_told(wildcards.sample),
        weights=STILLS_AT.weights,
    output:
        crystals=f"{STILLS_AT.results}/{{sample}}/start.expt",
        table=f"{STILLS_AT.results}/{{sample}}/start.json",
    log:
        f"{STILLS_AT.logs}/{{sample}}/infer.log",
    benchmark:
        f"{STILLS_AT.logs}/{{sample}}/infer.tsv"
    wildcard_constraints:
        sample=one_of(STILLS_PREDICTED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        **from_config(
            cells="stills.fit.cells",
            as_stills="stills.samples.{sample}.as_stills",
            space_group="stills.samples.{sample}.space_group",
        ),
        code=fingerprint(
            "madpipe.stills.network.infer",
            "madpipe.stills.measured.reading",
            "madpipe.stills.measured.expt_writing",
        ),
    script:
        "../scripts/stills_infer.py"


TARGETS += STILLS_AT.of_samples("start.json", STILLS_PREDICTED)
