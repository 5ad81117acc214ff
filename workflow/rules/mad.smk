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
    resources:
        mem_mb=memory(800, 60),
        runtime=minutes(10, 20),
    params:
        config=sample_parameters,
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.simulate.sample"),
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
    resources:
        mem_mb=memory(1000, 40),
        runtime=minutes(10, 5),
    params:
        config=sample_parameters,
        code=fingerprint("madpipe.mad.measured.convert"),
    script:
        "../scripts/mad_convert.py"


rule mad_fit:
    """Solve the MAD equation in every Q point, or put the parts together that other jobs solved."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        parts=parts_of("fit"),
        nuisance=nuisance_of_parts,
    output:
        f"{DATA}/{{sample}}/fit.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/fit.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/fit.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500, 20),
        runtime=minutes(10, 5),
    params:
        config=parameters(MAD.fit),
        refine=lambda wildcards: list(SAMPLES[wildcards.sample].refine),
        code=fingerprint("madpipe.mad.fit.files"),
    script:
        "../scripts/mad_fit.py"


rule mad_refine:
    """Refine the nuisances that the parts of a fit share."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
    output:
        temp(f"{DATA}/{{sample}}/parts/nuisance.h5"),
    log:
        f"{MAD_LOGS}/{{sample}}/refine.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/refine.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(2500),
        runtime=minutes(30),
    params:
        config=parameters(MAD.fit),
        refine=lambda wildcards: list(SAMPLES[wildcards.sample].refine),
        code=fingerprint("madpipe.mad.fit.parts"),
    script:
        "../scripts/mad_refine.py"


rule mad_fit_part:
    """Solve the MAD equation in some of the Q points."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        nuisance=nuisance_of_parts,
    output:
        temp(f"{DATA}/{{sample}}/parts/fit_{{part}}.h5"),
    log:
        f"{MAD_LOGS}/{{sample}}/fit_{{part}}.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/fit_{{part}}.tsv"
    wildcard_constraints:
        part=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10, 5),
    params:
        config=parameters(MAD.fit),
        parts=lambda wildcards: SAMPLES[wildcards.sample].parts,
        code=fingerprint("madpipe.mad.fit.parts"),
    script:
        "../scripts/mad_fit_part.py"


rule mad_train:
    """Train a network on simulated particles: this run's own, or the reference design."""
    output:
        weights=f"{DATA}/{{network}}/weights.safetensors",
        history=f"{DATA}/{{network}}/history.json",
    log:
        f"{MAD_LOGS}/{{network}}/train.log",
    benchmark:
        f"{MAD_LOGS}/{{network}}/train.tsv"
    wildcard_constraints:
        network="network|unet_patches",
    conda:
        CONDA
    threads: MAD.train.threads
    resources:
        mem_mb=memory(4000, values=0),
        runtime=minutes(30, 60, TRAINING_POINTS),
        gpu=1,
    params:
        config=training_of,
        seed=SETTINGS.seed,
        checkpoint=lambda wildcards: f"{DATA}/{wildcards.network}/train.ckpt",
        code=fingerprint("madpipe.mad.network.train"),
    script:
        "../scripts/mad_train.py"


rule mad_infer:
    """Answer every Q point with the network, or from the parts of its prediction that other jobs made."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        weights=WEIGHTS,
        parts=parts_of("inferred"),
    output:
        f"{DATA}/{{sample}}/inferred.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/infer.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/infer.tsv"
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000, 80),
        runtime=minutes(10, 15),
        gpu=1,
    params:
        config=parameters(MAD.infer),
        code=fingerprint("madpipe.mad.network.infer"),
    script:
        "../scripts/mad_infer.py"


rule mad_infer_part:
    """Run some of the network's passes over a sample."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        weights=WEIGHTS,
    output:
        temp(f"{DATA}/{{sample}}/parts/inferred_{{part}}.h5"),
    log:
        f"{MAD_LOGS}/{{sample}}/infer_{{part}}.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/infer_{{part}}.tsv"
    wildcard_constraints:
        part=r"\d+",
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000, 60),
        runtime=minutes(10, 15),
        gpu=1,
    params:
        config=parameters(MAD.infer),
        parts=lambda wildcards: SAMPLES[wildcards.sample].parts,
        code=fingerprint("madpipe.mad.network.infer"),
    script:
        "../scripts/mad_infer_part.py"


rule mad_retrieve:
    """Retrieve both kinds of atoms from the counts of all energies at once, and check the object."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
    output:
        joint=f"{DATA}/{{sample}}/object.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/retrieve.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/retrieve.tsv"
    conda:
        CONDA
    threads: MAD.retrieve.threads
    resources:
        mem_mb=memory(4000, 200),
        runtime=minutes(30, 300),
        gpu=1,
    params:
        config=parameters(MAD.retrieve),
        refine=lambda wildcards: list(SAMPLES[wildcards.sample].refine),
        partner=lambda wildcards: SAMPLES[wildcards.sample].partner,
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.realspace.retrieve"),
    script:
        "../scripts/mad_retrieve.py"


rule mad_retrieve_apart:
    """Retrieve from the fit's or the network's answer, with common phases and separately: to compare joint with."""
    input:
        stack=f"{DATA}/{{sample}}/stack.h5",
        fit=lambda wildcards: (
            f"{DATA}/{wildcards.sample}/{ANSWER_OF[wildcards.answer]}.h5"
        ),
    output:
        linked=f"{DATA}/{{sample}}/object_linked{{answer}}.h5",
        separate=f"{DATA}/{{sample}}/object_separate{{answer}}.h5",
    log:
        f"{MAD_LOGS}/{{sample}}/retrieve_apart{{answer}}.log",
    benchmark:
        f"{MAD_LOGS}/{{sample}}/retrieve_apart{{answer}}.tsv"
    wildcard_constraints:
        answer="|".join(ANSWER_OF),
    conda:
        CONDA
    threads: MAD.retrieve.threads
    resources:
        mem_mb=memory(1500, 200),
        runtime=minutes(30, 300),
    params:
        config=parameters(MAD.retrieve),
        partner=lambda wildcards: SAMPLES[wildcards.sample].partner,
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.realspace.retrieve"),
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
    resources:
        mem_mb=memory(1000, 60),
        runtime=minutes(10, 5),
    params:
        config=parameters(MAD.validate_),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.scores.validate"),
    script:
        "../scripts/mad_validate.py"


rule mad_testsuite:
    """Simulate the stacks of the test suite, which no training sees."""
    output:
        SUITE_STACKS,
    log:
        f"{MAD_LOGS}/testsuite/testsuite.log",
    benchmark:
        f"{MAD_LOGS}/testsuite/testsuite.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, values=0),
        runtime=minutes(10, 20, SUITE_VALUES),
    params:
        config={
            key: value
            for key, value in parameters(MAD.testsuite).items()
            if key != "methods"
        },
        code=fingerprint("madpipe.mad.scores.suite.cases", "madpipe.mad.simulate.sample"),
    script:
        "../scripts/mad_testsuite.py"


rule mad_compare:
    """Let one method answer the test suite and score it against the truth."""
    input:
        unpack(suite_weights),
        stacks=SUITE_STACKS,
    output:
        f"{SUITE}/{{method}}.json",
    log:
        f"{MAD_LOGS}/testsuite/{{method}}.log",
    benchmark:
        f"{MAD_LOGS}/testsuite/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(MAD.testsuite.methods),
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000, values=0),
        runtime=minutes(10, 15, SUITE_VALUES),
        gpu=1,
    params:
        method=lambda wildcards: wildcards.method,
        fit=lambda wildcards: of_method(wildcards, "fit"),
        infer=lambda wildcards: of_method(wildcards, "infer"),
        validate=parameters(MAD.validate_),
        cores=MAD.infer.threads,
        code=lambda wildcards: method_fingerprint(wildcards.method),
    script:
        "../scripts/mad_compare.py"


rule mad_comparison:
    """Put the scores of all methods side by side, as a table."""
    input:
        SUITE_SCORES,
    output:
        json=f"{SUITE}/comparison.json",
        csv=f"{SUITE}/comparison.csv",
    log:
        f"{MAD_LOGS}/testsuite/comparison.log",
    localrule: True
    conda:
        CONDA
    params:
        code=fingerprint("madpipe.mad.scores.suite.scores"),
    script:
        "../scripts/mad_comparison.py"


rule mad_ablate:
    """Train one variant of the network, and compare it on the ablation's particles."""
    output:
        scores=f"{DATA}/ablation/{{number}}_{{training}}.json",
        weights=f"{DATA}/ablation/{{number}}_{{training}}.safetensors",
    log:
        f"{MAD_LOGS}/ablation/{{number}}_{{training}}.log",
    benchmark:
        f"{MAD_LOGS}/ablation/{{number}}_{{training}}.tsv"
    wildcard_constraints:
        number=r"\d+",
        training=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(4000, values=0),
        runtime=minutes(120, values=0),
        gpu=1,
    params:
        variant=lambda wildcards: list(VARIANTS)[int(wildcards.number)],
        training=lambda wildcards: int(wildcards.training),
        config=parameters(MAD.ablation),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.network.ablation", "madpipe.mad.network.train"),
    script:
        "../scripts/mad_ablate.py"


rule mad_ablation:
    """Compare losses and designs, an ensemble and Monte-Carlo dropout among them."""
    input:
        scores=expand(
            f"{DATA}/ablation/{{number}}_{{training}}.json",
            number=range(len(VARIANTS)),
            training=range(MAD.ablation.seeds),
        ),
        weights=expand(
            f"{DATA}/ablation/{{number}}_{{training}}.safetensors",
            number=COMMITTEE_OF,
            training=range(MAD.ablation.seeds),
        ),
    output:
        json=f"{DATA}/ablation/table.json",
        csv=f"{DATA}/ablation/table.csv",
    log:
        f"{MAD_LOGS}/ablation/table.log",
    benchmark:
        f"{MAD_LOGS}/ablation/table.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(2000, values=0),
        runtime=minutes(30, values=0),
    params:
        config=parameters(MAD.ablation),
        seed=SETTINGS.seed,
        code=fingerprint("madpipe.mad.network.ablation"),
    script:
        "../scripts/mad_ablation.py"
