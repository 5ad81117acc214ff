from functools import cache

from madpipe.mad.network.variants import BASE, DROPPED
from madpipe.mad.scores.suite import outline

MAD = SETTINGS.mad
MAD_AT = Paths("mad")
MAD_SAMPLES = at_hand("mad")
MAD_MEASURED = [name for name, sample in MAD_SAMPLES.items() if is_measured(sample)]
MAD_SIMULATED = [name for name in MAD_SAMPLES if name not in MAD_MEASURED]
MAD_VARIANTS = BY_NAME["mad"].variants


def mad_runs(step):
    """Name the samples that run a step."""
    return [name for name, sample in MAD_SAMPLES.items() if step in sample.steps]


@cache
def mad_size(sample):
    """Count the intensities of a sample: by its section, or by the size of its files where it is measured."""
    if sample in SIZES["mad"]:
        return SIZES["mad"][sample]
    files = map(Path, files_of(MAD_SAMPLES[sample]))
    # two bytes an intensity, as detectors' compressed files take
    return sum(file.stat().st_size for file in files if file.exists()) // 2


def mad_values(wildcards):
    """Count the intensities that a job has to do with."""
    return mad_size(wildcards.sample)


def mad_part(wildcards):
    """Count those that a part of a job works on."""
    return mad_size(wildcards.sample) / MAD_SAMPLES[wildcards.sample].parts


def mad_parts_of(step):
    """Give the input function that names the parts of a sample's fit or prediction; one job needs none."""

    def parts(wildcards):
        count = MAD_SAMPLES[wildcards.sample].parts
        folder = f"{MAD_AT.results}/{wildcards.sample}/parts"
        return [f"{folder}/{step}_{part}.h5" for part in range(count)] * (count > 1)

    return parts


def mad_nuisance_of_parts(wildcards):
    """Name the nuisances that the parts of a fit share, where there are any."""
    sample = MAD_SAMPLES[wildcards.sample]
    is_shared = sample.parts > 1 and sample.refine
    return f"{MAD_AT.results}/{wildcards.sample}/parts/nuisance.h5" if is_shared else []


# what the routes that need an answer start from, by the end of their objects' names
MAD_ANSWER_OF = {"": "fit", "_network": "inferred"}


def mad_answers(wildcards):
    """Name the files that a sample's scores are made from."""
    steps = MAD_SAMPLES[wildcards.sample].steps
    folder = f"{MAD_AT.results}/{wildcards.sample}"
    # the joint route needs no answer; the two that start from one are run where there is one
    given = [end for end, step in (("", "fit"), ("_network", "infer")) if step in steps]
    apart = [f"_{route}{end}" for end in given for route in ("linked", "separate")]
    made = {
        "fit": f"{folder}/fit.h5",
        "infer": f"{folder}/inferred.h5",
        "retrieve": [f"{folder}/object{route}.h5" for route in ("", *apart)],
    }
    return {step: made[step] for step in steps}


MAD_SUITE = f"{MAD_AT.results}/testsuite"
MAD_SUITE_STACKS = [
    f"{MAD_SUITE}/{name}/{case}.h5"
    for name, samples in outline(MAD.evaluate).items()
    for case in samples
]
MAD_SUITE_SCORES = [f"{MAD_SUITE}/{method}.json" for method in MAD.evaluate.methods]
MAD_FITTED = [
    method for method in MAD.evaluate.methods if method in ("exact", "nanomad")
]
MAD_PREDICTED = [method for method in MAD.evaluate.methods if method not in MAD_FITTED]
# who wants no network needs no suite
MAD_IS_COMPARED = bool(mad_runs("infer") and MAD_SUITE_STACKS)


def mad_weights_of(method):
    """Name the weights that a method of the comparison needs."""
    return (
        f"{MAD_AT.results}/unet_patches/weights.safetensors"
        if method == "unet_patches"
        else MAD_AT.weights
    )


# the ablation's variants whose trainings make an ensemble, and one with dropout
MAD_COMMITTEES = [MAD_VARIANTS.index(name) for name in (BASE, DROPPED)]
# networks that can be trained, and what the reference design has otherwise than mad.train says
MAD_DESIGNS = {
    "network": {},
    "unet_patches": {"network": "unet_patches", "loss": "squared"},
}
