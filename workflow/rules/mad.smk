rule mad_simulate:
    """Draw a particle and measure its Bragg peak at every energy."""
    output:
        f"{DATA}/{{sample}}/stack.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/simulate.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(SIMULATED),
    conda:
        CONDA
    params:
        config=sample_parameters,
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.sample"),
    script:
        "../scripts/mad_simulate.py"


rule mad_convert:
    """Turn a beamline's files into a stack."""
    input:
        measured_files,
    output:
        f"{DATA}/{{sample}}/stack.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/convert.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(MEASURED),
    conda:
        CONDA
    params:
        config=sample_parameters,
        code=fingerprint("madpipe.mad.convert"),
    script:
        "../scripts/mad_convert.py"


rule mad_fit:
    """Solve the MAD equation in every Q point."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
    output:
        f"{DATA}/{{sample}}/fit.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/fit.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/fit.tsv"
    conda:
        CONDA
    params:
        config=parameters(MAD.fit),
        refine=lambda wildcards: list(SAMPLES[wildcards.sample].refine),
        code=fingerprint("madpipe.mad.volume"),
    script:
        "../scripts/mad_fit.py"


rule mad_train:
    """Train the network on simulated particles."""
    output:
        weights=f"{DATA}/network/weights.pt",
        history=f"{DATA}/network/history.json",
    log:
        f"{MAD_LOGS}/network/train.log",
    benchmark:
        f"{MAD_LOGS}/network/train.tsv"
    conda:
        CONDA
    threads: MAD.train.threads
    params:
        config=parameters(MAD.train),
        seed=SETTINGS.seed,
        checkpoint=f"{DATA}/network/train.ckpt",
        code=fingerprint("madpipe.mad.train"),
    script:
        "../scripts/mad_train.py"


rule mad_infer:
    """Answer every Q point with the network."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        weights=f"{DATA}/network/weights.pt",
    output:
        f"{DATA}/{{sample}}/inferred.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/infer.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/infer.tsv"
    conda:
        CONDA
    threads: MAD.infer.threads
    params:
        config=parameters(MAD.infer),
        code=fingerprint("madpipe.mad.infer"),
    script:
        "../scripts/mad_infer.py"


rule mad_retrieve:
    """Retrieve the phase, with common phases and separately, and check the object."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        fit=f"{DATA}/{{sample}}/fit.h5",
    output:
        linked=f"{DATA}/{{sample}}/object.h5",
        separate=f"{DATA}/{{sample}}/object_separate.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/retrieve.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/retrieve.tsv"
    conda:
        CONDA
    threads: MAD.retrieve.threads
    params:
        config=parameters(MAD.retrieve),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.retrieve"),
    script:
        "../scripts/mad_retrieve.py"


rule mad_validate:
    """Score every answer against the data and, where there is one, the truth."""
    input:
        unpack(answers),
        stack=f"{DATA}/{{sample}}/stack.h5",
    output:
        json=f"{DATA}/{{sample}}/scores.json",
        csv=f"{DATA}/{{sample}}/scores.csv",
    log:
        f"{MAD_LOGS}/{{sample}}/validate.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/validate.tsv"
    conda:
        CONDA
    params:
        config=parameters(MAD.validate_),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.validate"),
    script:
        "../scripts/mad_validate.py"
