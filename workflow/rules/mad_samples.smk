MAD = SETTINGS.mad
DATA = f"{RESULTS}/mad"
MAD_LOGS = f"{LOGS}/mad"
CONDA = "../../envs/madpipe.yaml"


def measured_path(path):
    """Resolve a measured file's path; a relative one starts at the folder of the Snakefile."""
    return str(Path(workflow.basedir, path))


def is_at_hand(name):
    """Say whether a sample can be run; an optional one without its files is left out with a line."""
    absent = [
        path
        for path in getattr(MAD.samples[name], "path", ())
        if not Path(measured_path(path)).exists()
    ]
    if absent and MAD.samples[name].optional:
        logger.warning(
            f"sample {name} is left out: {absent[0]} is absent; set mad.samples.{name}.path to run it"
        )
    return not (absent and MAD.samples[name].optional)


SAMPLES = {name: sample for name, sample in MAD.samples.items() if is_at_hand(name)}
SIMULATED = [name for name, sample in SAMPLES.items() if not hasattr(sample, "path")]
MEASURED = [name for name, sample in SAMPLES.items() if hasattr(sample, "path")]


def runs(step):
    """Name the samples that run a step."""
    return [name for name, sample in SAMPLES.items() if step in sample.steps]


def sample_parameters(wildcards):
    """Give the section of one sample."""
    return parameters(SAMPLES[wildcards.sample])


def measured_files(wildcards):
    """Name the files that a measured sample is converted from."""
    sample = SAMPLES[wildcards.sample]
    return [
        measured_path(path)
        for path in [*sample.path, *([sample.spectrum] if sample.spectrum else [])]
    ]


def answers(wildcards):
    """Name the files that a sample's scores are made from."""
    steps = SAMPLES[wildcards.sample].steps
    folder = f"{DATA}/{wildcards.sample}"
    made = {
        "fit": f"{folder}/fit.h5",
        "infer": f"{folder}/inferred.h5",
        "retrieve": [f"{folder}/object.h5", f"{folder}/object_separate.h5"],
    }
    return {step: made[step] for step in steps}


FIGURES = f"{DATA}/figures"
NETWORK = f"{DATA}/network"


def files(name, samples):
    """Name one kind of file of several samples."""
    return expand(f"{DATA}/{{sample}}/{name}", sample=samples)


# figure over several samples: what it is drawn from, by the name that the figure's function gives it
SHARED = {
    "dispersion": {
        "stacks": files("stack.h5", runs("fit")),
        "fits": files("fit.h5", runs("fit")),
    }
}
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
        "retrieved": (
            {"stack": "stack.h5", "real_space": "object.h5"}
            if "retrieve" in steps
            else {}
        ),
    }
    return {name: f"{DATA}/{sample}/{file}" for name, file in needs[figure].items()}


OF_ONE_SAMPLE = [
    "particle",
    "fit_maps",
    "nuisances",
    "network_maps",
    "f_normal",
    "retrieved",
]
MAD_FIGURES = expand(f"{FIGURES}/{{figure}}.pdf", figure=SHARED) + [
    f"{FIGURES}/{sample}/{figure}.pdf"
    for sample in SAMPLES
    for figure in OF_ONE_SAMPLE
    if drawn_from(figure, sample)
]


MAD_TARGETS = [*files("scores.json", SAMPLES), *MAD_FIGURES]
