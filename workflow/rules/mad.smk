include: "mad_samples.smk"
include: "mad_drawn.smk"
include: "mad_figures.smk"


rule mad_simulate:
    """Draw a particle and measure its Bragg peak at every energy."""
    input:
        lambda wildcards: files_of(MAD_SAMPLES[wildcards.sample]),
    output:
        f"{MAD_AT.results}/{{sample}}/stack.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/simulate.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/simulate.tsv"
    wildcard_constraints:
        sample=one_of(MAD_SIMULATED),
    conda:
        CONDA
    resources:
        mem_mb=memory(800, 60, mad_values),
        runtime=minutes(10, 20, mad_values),
    params:
        **from_config(config="mad.samples.{sample}", seed="seed"),
        code=fingerprint("madpipe.mad.simulate.sample"),
    script:
        "../scripts/mad_simulate.py"


rule mad_convert:
    """Turn a beamline's files into a stack."""
    input:
        lambda wildcards: files_of(MAD_SAMPLES[wildcards.sample]),
    output:
        f"{MAD_AT.results}/{{sample}}/stack.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/convert.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/convert.tsv"
    wildcard_constraints:
        sample=one_of(MAD_MEASURED),
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, 40, mad_values),
        runtime=minutes(10, 5, mad_values),
    params:
        **from_config(config="mad.samples.{sample}"),
        code=fingerprint("madpipe.mad.measured.convert"),
    script:
        "../scripts/mad_convert.py"


rule mad_fit:
    """Solve the MAD equation in every Q point, or put the parts together that other jobs solved."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
        parts=mad_parts_of("fit"),
        nuisance=mad_nuisance_of_parts,
    output:
        f"{MAD_AT.results}/{{sample}}/fit.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/fit.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/fit.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1500, 20, mad_values),
        runtime=minutes(10, 5, mad_values),
    params:
        **from_config(config="mad.fit", refine="mad.samples.{sample}.refine"),
        code=fingerprint("madpipe.mad.fit.files"),
    script:
        "../scripts/mad_fit.py"


rule mad_refine:
    """Refine the nuisances that the parts of a fit share."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
    output:
        temp(f"{MAD_AT.results}/{{sample}}/parts/nuisance.h5"),
    log:
        f"{MAD_AT.logs}/{{sample}}/refine.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/refine.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(2500),
        runtime=minutes(30),
    params:
        **from_config(config="mad.fit", refine="mad.samples.{sample}.refine"),
        code=fingerprint("madpipe.mad.fit.parts"),
    script:
        "../scripts/mad_refine.py"


rule mad_fit_part:
    """Solve the MAD equation in some of the Q points."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
        nuisance=mad_nuisance_of_parts,
    output:
        temp(f"{MAD_AT.results}/{{sample}}/parts/fit_{{part}}.h5"),
    log:
        f"{MAD_AT.logs}/{{sample}}/fit_{{part}}.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/fit_{{part}}.tsv"
    wildcard_constraints:
        part=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10, 5, mad_part),
    params:
        **from_config(config="mad.fit"),
        parts=lambda wildcards: MAD_SAMPLES[wildcards.sample].parts,
        code=fingerprint("madpipe.mad.fit.parts"),
    script:
        "../scripts/mad_fit_part.py"


rule mad_train:
    """Train a network on simulated particles: this run's own, or the reference design."""
    output:
        weights=f"{MAD_AT.results}/{{network}}/weights.safetensors",
        history=f"{MAD_AT.results}/{{network}}/history.json",
    log:
        f"{MAD_AT.logs}/{{network}}/train.log",
    benchmark:
        f"{MAD_AT.logs}/{{network}}/train.tsv"
    wildcard_constraints:
        network=one_of(MAD_DESIGNS),
    conda:
        CONDA
    threads: MAD.train.threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, 60, SIZES["mad"]["mad_train"] * MAD.train.prior.grid**2),
        gpu=1,
    params:
        **from_config(config="mad.train", seed="seed"),
        design=lambda wildcards: MAD_DESIGNS[wildcards.network],
        checkpoint=lambda wildcards: f"{MAD_AT.results}/{wildcards.network}/train.ckpt",
        study="mad",
        code=fingerprint("madpipe.mad.network.train"),
    script:
        "../scripts/train.py"


rule mad_infer:
    """Answer every Q point with the network, or from the parts of its prediction that other jobs made."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
        weights=MAD_AT.weights,
        parts=mad_parts_of("inferred"),
    output:
        f"{MAD_AT.results}/{{sample}}/inferred.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/infer.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/infer.tsv"
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000, 80, mad_values),
        runtime=minutes(10, 15, mad_values),
        gpu=1,
    params:
        **from_config(config="mad.infer"),
        code=fingerprint("madpipe.mad.network.files"),
    script:
        "../scripts/mad_infer.py"


rule mad_infer_part:
    """Run some of the network's passes over a sample."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
        weights=MAD_AT.weights,
    output:
        temp(f"{MAD_AT.results}/{{sample}}/parts/inferred_{{part}}.h5"),
    log:
        f"{MAD_AT.logs}/{{sample}}/infer_{{part}}.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/infer_{{part}}.tsv"
    wildcard_constraints:
        part=r"\d+",
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000, 60, mad_values),
        runtime=minutes(10, 15, mad_part),
        gpu=1,
    params:
        **from_config(config="mad.infer"),
        parts=lambda wildcards: MAD_SAMPLES[wildcards.sample].parts,
        code=fingerprint("madpipe.mad.network.infer"),
    script:
        "../scripts/mad_infer_part.py"


rule mad_retrieve:
    """Retrieve both kinds of atoms from the counts of all energies at once, and check the object."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
    output:
        joint=f"{MAD_AT.results}/{{sample}}/object.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/retrieve.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/retrieve.tsv"
    conda:
        CONDA
    threads: MAD.retrieve.threads
    resources:
        mem_mb=memory(4000, 200, mad_values),
        runtime=minutes(30, 300, mad_values),
        gpu=1,
    params:
        **from_config(
            config="mad.retrieve",
            nuisance="mad.fit.nuisance",
            refine="mad.samples.{sample}.refine",
            partner="mad.samples.{sample}.partner",
            seed="seed",
        ),
        code=fingerprint("madpipe.mad.realspace.retrieve"),
    script:
        "../scripts/mad_retrieve.py"


rule mad_retrieve_apart:
    """Retrieve from the fit's or the network's answer, with common phases and separately: to compare joint with."""
    input:
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
        fit=lambda wildcards: (
            f"{MAD_AT.results}/{wildcards.sample}/{MAD_ANSWER_OF[wildcards.answer]}.h5"
        ),
    output:
        linked=f"{MAD_AT.results}/{{sample}}/object_linked{{answer}}.h5",
        separate=f"{MAD_AT.results}/{{sample}}/object_separate{{answer}}.h5",
    log:
        f"{MAD_AT.logs}/{{sample}}/retrieve_apart{{answer}}.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/retrieve_apart{{answer}}.tsv"
    wildcard_constraints:
        answer="|".join(MAD_ANSWER_OF),
    conda:
        CONDA
    threads: MAD.retrieve.threads
    resources:
        mem_mb=memory(1500, 200, mad_values),
        runtime=minutes(30, 300, mad_values),
    params:
        **from_config(
            config="mad.retrieve",
            nuisance="mad.fit.nuisance",
            partner="mad.samples.{sample}.partner",
            seed="seed",
        ),
        code=fingerprint("madpipe.mad.realspace.retrieve"),
    script:
        "../scripts/mad_retrieve.py"


rule mad_validate:
    """Score every answer against the data and, where there is one, the truth."""
    input:
        unpack(mad_answers),
        stack=f"{MAD_AT.results}/{{sample}}/stack.h5",
    output:
        json=f"{MAD_AT.results}/{{sample}}/scores.json",
        csv=f"{MAD_AT.results}/{{sample}}/scores.csv",
        split=multiext(f"{MAD_AT.results}/{{sample}}/split", ".csv", ".json"),
    log:
        f"{MAD_AT.logs}/{{sample}}/validate.log",
    benchmark:
        f"{MAD_AT.logs}/{{sample}}/validate.tsv"
    group:
        "scores"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000, 60, mad_values),
        runtime=minutes(10, 5, mad_values),
    params:
        **from_config(config="mad.validate", seed="seed"),
        code=fingerprint("madpipe.mad.scores.validate", "madpipe.mad.scores.tables"),
    script:
        "../scripts/mad_validate.py"


rule mad_simulate_suite:
    """Simulate the stacks of the test suite, which no training sees."""
    output:
        MAD_SUITE_STACKS,
    log:
        f"{MAD_AT.logs}/testsuite/testsuite.log",
    benchmark:
        f"{MAD_AT.logs}/testsuite/testsuite.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10, 20, SIZES["mad"]["mad_simulate_suite"]),
    params:
        **from_config(config="mad.evaluate"),
        code=fingerprint(
            "madpipe.mad.scores.suite.cases", "madpipe.mad.simulate.sample"
        ),
    script:
        "../scripts/mad_simulate_suite.py"


rule mad_evaluate_fit:
    """Let one way to fit answer the test suite and score it against the truth."""
    input:
        stacks=MAD_SUITE_STACKS,
    output:
        f"{MAD_SUITE}/{{method}}.json",
    log:
        f"{MAD_AT.logs}/testsuite/{{method}}.log",
    benchmark:
        f"{MAD_AT.logs}/testsuite/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(MAD_FITTED),
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10, 15, SIZES["mad"]["mad_evaluate_fit"]),
    params:
        **from_config(
            fit="mad.fit",
            validate="mad.validate",
            cores="mad.infer.threads",
        ),
        method=lambda wildcards: wildcards.method,
        code=fingerprint("madpipe.mad.scores.suite.scores", "madpipe.mad.fit.fit"),
    script:
        "../scripts/mad_evaluate_fit.py"


rule mad_evaluate:
    """Let one network answer the test suite and score it against the truth."""
    input:
        weights=lambda wildcards: mad_weights_of(wildcards.method),
        stacks=MAD_SUITE_STACKS,
    output:
        f"{MAD_SUITE}/{{method}}.json",
    log:
        f"{MAD_AT.logs}/testsuite/{{method}}.log",
    benchmark:
        f"{MAD_AT.logs}/testsuite/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(MAD_PREDICTED),
    conda:
        CONDA
    threads: MAD.infer.threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10, 15, SIZES["mad"]["mad_evaluate"]),
        gpu=1,
    params:
        **from_config(
            infer="mad.infer",
            validate="mad.validate",
            cores="mad.infer.threads",
        ),
        method=lambda wildcards: wildcards.method,
        code=fingerprint("madpipe.mad.scores.suite.scores", "madpipe.mad.network.infer"),
    script:
        "../scripts/mad_evaluate.py"


rule mad_evaluation:
    """Put the scores of all methods side by side, as tables."""
    input:
        MAD_SUITE_SCORES,
    output:
        json=f"{MAD_SUITE}/comparison.json",
        csv=f"{MAD_SUITE}/comparison.csv",
        coverage=multiext(f"{MAD_SUITE}/coverage", ".csv", ".json"),
    log:
        f"{MAD_AT.logs}/testsuite/comparison.log",
    localrule: True
    conda:
        CONDA
    params:
        code=fingerprint("madpipe.mad.scores.suite.scores", "madpipe.mad.scores.tables"),
    script:
        "../scripts/mad_evaluation.py"


rule mad_ablate:
    """Train one variant of the network, and compare it on the ablation's particles."""
    output:
        scores=f"{MAD_AT.results}/ablation/{{number}}_{{training}}.json",
        weights=f"{MAD_AT.results}/ablation/{{number}}_{{training}}.safetensors",
    log:
        f"{MAD_AT.logs}/ablation/{{number}}_{{training}}.log",
    benchmark:
        f"{MAD_AT.logs}/ablation/{{number}}_{{training}}.tsv"
    wildcard_constraints:
        number=r"\d+",
        training=r"\d+",
    conda:
        CONDA
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
        gpu=1,
    params:
        **from_config(config="mad.ablation", seed="seed"),
        variant=lambda wildcards: MAD_VARIANTS[int(wildcards.number)],
        training=lambda wildcards: int(wildcards.training),
        study="mad",
        code=fingerprint("madpipe.mad.network.ablation", "madpipe.mad.network.train"),
    script:
        "../scripts/ablate.py"


rule mad_ablation:
    """Compare losses and designs, an ensemble and Monte-Carlo dropout among them."""
    input:
        scores=expand(
            f"{MAD_AT.results}/ablation/{{number}}_{{training}}.json",
            number=range(len(MAD_VARIANTS)),
            training=range(MAD.ablation.seeds),
        ),
        weights=expand(
            f"{MAD_AT.results}/ablation/{{number}}_{{training}}.safetensors",
            number=MAD_COMMITTEES,
            training=range(MAD.ablation.seeds),
        ),
    output:
        json=f"{MAD_AT.results}/ablation/table.json",
        csv=f"{MAD_AT.results}/ablation/table.csv",
    log:
        f"{MAD_AT.logs}/ablation/table.log",
    benchmark:
        f"{MAD_AT.logs}/ablation/table.tsv"
    conda:
        CONDA
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        **from_config(config="mad.ablation", seed="seed"),
        code=fingerprint("madpipe.mad.network.ablation", "madpipe.mad.scores.tables"),
    script:
        "../scripts/mad_ablation.py"


TARGETS += [
    *MAD_AT.of_samples("scores.json", MAD_SAMPLES),
    *([f"{MAD_SUITE}/comparison.csv"] if MAD_IS_COMPARED else []),
    *(f"{MAD_AT.figures}/{figure}.pdf" for figure in MAD_DRAWN_ALWAYS),
    *(
        f"{MAD_AT.figures}/{sample}/{figure}.pdf"
        for sample in MAD_SAMPLES
        for figure in mad_drawn(sample)
    ),
]
SCORES["mad"] = MAD_AT.of_samples("scores.json", MAD_SAMPLES)
