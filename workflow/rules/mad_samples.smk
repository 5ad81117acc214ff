MAD = SETTINGS.mad
DATA = f"{RESULTS}/mad"
MAD_LOGS = f"{LOGS}/mad"
CONDA = "../../envs/madpipe.yaml"


SAMPLES = at_hand(MAD.samples, "mad")
SIMULATED = [name for name, sample in SAMPLES.items() if not hasattr(sample, "path")]
MEASURED = [name for name, sample in SAMPLES.items() if hasattr(sample, "path")]


def runs(step):
    """Name the samples that run a step."""
    return [name for name, sample in SAMPLES.items() if step in sample.steps]


def sample_parameters(wildcards):
    """Give the section of one sample; how many jobs share its work changes nothing in it."""
    section = parameters(SAMPLES[wildcards.sample])
    return {key: value for key, value in section.items() if key != "parts"}


def parts_of(step):
    """Give the input function that names the parts of a sample's fit or prediction; one job needs none."""

    def parts(wildcards):
        count = SAMPLES[wildcards.sample].parts
        folder = f"{DATA}/{wildcards.sample}/parts"
        return [f"{folder}/{step}_{part}.h5" for part in range(count)] * (count > 1)

    return parts


def nuisance_of_parts(wildcards):
    """Name the nuisances that the parts of a fit share, where there are any."""
    sample = SAMPLES[wildcards.sample]
    is_shared = sample.parts > 1 and sample.refine
    return f"{DATA}/{wildcards.sample}/parts/nuisance.h5" if is_shared else []


def measured_files(wildcards):
    """Name the files that a measured sample is converted from."""
    sample = SAMPLES[wildcards.sample]
    return [
        measured_path(path)
        for path in [*sample.path, *([sample.spectrum] if sample.spectrum else [])]
    ]


# what the routes that need an answer start from, by the end of their objects' names
ANSWER_OF = {"": "fit", "_network": "inferred"}


def answers(wildcards):
    """Name the files that a sample's scores are made from."""
    steps = SAMPLES[wildcards.sample].steps
    folder = f"{DATA}/{wildcards.sample}"
    # the joint route needs no answer; the two that start from one are run where there is one
    given = [end for end, step in (("", "fit"), ("_network", "infer")) if step in steps]
    apart = [f"_{route}{end}" for end in given for route in ("linked", "separate")]
    made = {
        "fit": f"{folder}/fit.h5",
        "infer": f"{folder}/inferred.h5",
        "retrieve": [f"{folder}/object{route}.h5" for route in ("", *apart)],
    }
    return {step: made[step] for step in steps}


FIGURES = f"{DATA}/figures"
NETWORK = f"{DATA}/network"
WEIGHTS = (
    f"{NETWORK}/weights.safetensors"
    if MAD.infer.weights == "trained"
    else str(shipped_weights("mad"))
)


def training_of(wildcards):
    """Give the section of a training; the reference design differs in its design only."""
    if wildcards.network == "network":
        return parameters(MAD.train)
    return parameters(MAD.train) | {"network": wildcards.network, "loss": "squared"}


SUITE = f"{DATA}/testsuite"
SUITE_STACKS = [
    f"{SUITE}/{name}/{case}.h5"
    for name, samples in outline(MAD.testsuite).items()
    for case in samples
]
SUITE_SCORES = [f"{SUITE}/{method}.json" for method in MAD.testsuite.methods]
# who wants no network needs no suite
IS_COMPARED = bool(runs("infer") and SUITE_STACKS)


def suite_weights(wildcards):
    """Name the weights that a method of the comparison needs, if any."""
    own = {"network": WEIGHTS, "network_refined": WEIGHTS}
    weights = {**own, "unet_patches": f"{DATA}/unet_patches/weights.safetensors"}
    method = wildcards.method
    return {"weights": weights[method]} if method in weights else {}


def of_method(wildcards, section):
    """Give a section of the configuration to the methods that it is for."""
    is_fit = wildcards.method in ("exact", "nanomad")
    return parameters(getattr(MAD, section)) if is_fit == (section == "fit") else {}


def method_fingerprint(method):
    """Hash what a method of the comparison runs."""
    runs_in = "fit" if method in ("exact", "nanomad") else "infer"
    return fingerprint("madpipe.mad.scores.suite.scores", f"madpipe.mad.{runs_in}")


def files(name, samples):
    """Name one kind of file of several samples."""
    return expand(f"{DATA}/{{sample}}/{name}", sample=samples)


# figure over several samples: what it is drawn from, by the name that the figure's function gives it
SHARED = {}
if runs("fit"):
    SHARED["dispersion"] = {
        "stacks": files("stack.h5", runs("fit")),
        "fits": files("fit.h5", runs("fit")),
    }
if SAMPLES:
    SHARED["r_factor"] = {"scores": files("scores.json", SAMPLES)}
if SIMULATED:
    SHARED["error_vs_counts"] = {"scores": files("scores.json", SIMULATED)}
IMAGED = [name for name in runs("retrieve") if name in SIMULATED]
if len({SAMPLES[name].photons for name in IMAGED}) >= 3:
    SHARED["composition_errors"] = {"scores": files("scores.json", IMAGED)}
if IS_COMPARED:
    SHARED["suite_errors"] = {"comparisons": SUITE_SCORES}
if IS_COMPARED and "network_refined" in MAD.testsuite.methods:
    SHARED["calibration"] = {"comparisons": SUITE_SCORES}
    if len(MAD.testsuite.sets) > 1:
        SHARED["generalisation"] = {"comparisons": SUITE_SCORES}


def particle_of(name):
    """Give all that a simulated sample's particle and measurement depend on, but for the photons."""
    return SAMPLES[name].model_dump_json(exclude={"photons", "steps", "parts"})


FRAMES = [
    name
    for name in runs("infer")
    if name in SIMULATED and SAMPLES[name].dimensions == 2
]
ALIKE = [
    [other for other in FRAMES if particle_of(other) == particle_of(name)]
    for name in FRAMES
]
if max(map(len, ALIKE), default=0) >= 3:
    BUDGETS = sorted(max(ALIKE, key=len), key=lambda name: SAMPLES[name].photons)[:3]
    SHARED["budgets"] = {
        "stacks": files("stack.h5", BUDGETS),
        "fits": files("fit.h5", BUDGETS),
        "networks": files("inferred.h5", BUDGETS),
    }
if runs("infer") and MAD.infer.weights == "trained":
    SHARED["training_curves"] = {"history": f"{NETWORK}/history.json"}


def drawn_from(figure, sample):
    """Name what a figure of one sample is drawn from; none where the sample does not run the step."""
    steps = SAMPLES[sample].steps
    network = {"network": "inferred.h5"} if "infer" in steps else {}
    found = (
        {"stack": "stack.h5", "real_space": "object.h5"} if "retrieve" in steps else {}
    )
    needs = {
        "particle": {} if sample in MEASURED else {"stack": "stack.h5"},
        "fit_maps": {"stack": "stack.h5", "fit": "fit.h5"} if "fit" in steps else {},
        "network_maps": (
            {"stack": "stack.h5", "fit": "inferred.h5"} if "infer" in steps else {}
        ),
        "nuisances": (
            {"stack": "stack.h5", "fit": "fit.h5"}
            if "fit" in steps and SAMPLES[sample].refine
            else {}
        ),
        "f_normal": (
            {"stack": "stack.h5", "fit": "fit.h5", **network} if "fit" in steps else {}
        ),
        "retrieved": found,
        "object_maps": found,
    }
    return {name: f"{DATA}/{sample}/{file}" for name, file in needs[figure].items()}


OF_ONE_SAMPLE = [
    "particle",
    "fit_maps",
    "nuisances",
    "network_maps",
    "f_normal",
    "retrieved",
    "object_maps",
]
MAD_FIGURES = expand(f"{FIGURES}/{{figure}}.pdf", figure=SHARED) + [
    f"{FIGURES}/{sample}/{figure}.pdf"
    for sample in SAMPLES
    for figure in OF_ONE_SAMPLE
    if drawn_from(figure, sample)
]


NUMBERS = {variant: number for number, variant in enumerate(VARIANTS)}
COMMITTEE_OF = [NUMBERS[BASE], NUMBERS[DROPPED]]
# drawn when asked for only: it takes many trainings
SHARED["ablation"] = {"table": f"{DATA}/ablation/table.json"}


MAD_TARGETS = [
    *files("scores.json", SAMPLES),
    *([f"{SUITE}/comparison.csv"] if IS_COMPARED else []),
    *MAD_FIGURES,
]
