STILLS = SETTINGS.stills
STILLS_AT = Paths("stills")
STILLS_SAMPLES = at_hand("stills")
STILLS_MEASURED = [
    name for name, sample in STILLS_SAMPLES.items() if is_measured(sample)
]
STILLS_SIMULATED = [name for name in STILLS_SAMPLES if name not in STILLS_MEASURED]
STILLS_EVALUATION_FIGURES = [
    "methods",
    "courses",
    "convergence",
    "other_domains",
    "pulls",
    "methods_of_integration",
    "blocks",
    "width_error",
    "degeneracy",
    "geometry",
    "learned_partiality",
]


def stills_with(step):
    """Name the samples that a step is asked of."""
    return [name for name, sample in STILLS_SAMPLES.items() if step in sample.steps]


def stills_images(sample):
    """Name the files of a sample's images."""
    if sample in STILLS_SIMULATED:
        return [f"{STILLS_AT.results}/{sample}/images.nxs"]
    return [measured_path(path) for path in STILLS_SAMPLES[sample].path]


def stills_told(sample):
    """Name the crystals of a sample: those that were indexed, else those that came with it."""
    if "index" in STILLS_SAMPLES[sample].steps:
        return f"{STILLS_AT.results}/{sample}/crystals.expt"
    if sample in STILLS_SIMULATED:
        return f"{STILLS_AT.results}/{sample}/images.expt"
    return measured_path(STILLS_SAMPLES[sample].crystals)


def stills_table(sample):
    """Name the table of indexing, where there is one."""
    if "index" in STILLS_SAMPLES[sample].steps:
        return [f"{STILLS_AT.results}/{sample}/crystals.json"]
    return []


def stills_reference(sample):
    """Name a sample's reference intensities, where there are some."""
    if sample in STILLS_MEASURED:
        path = STILLS_SAMPLES[sample].reference
        return [measured_path(path)] if path else []
    given = STILLS_SAMPLES[sample].reference_error > 0
    return [f"{STILLS_AT.results}/{sample}/images_reference.mtz"] if given else []


def stills_truth(sample):
    """Name a simulated sample's truth."""
    simulated = sample in STILLS_SIMULATED
    return [f"{STILLS_AT.results}/{sample}/images_truth.h5"] if simulated else []


def stills_answers(sample):
    """Name what the steps of a sample make, by the word of each in a script."""
    steps, folder = STILLS_SAMPLES[sample].steps, f"{STILLS_AT.results}/{sample}"
    made = {"index": "crystals.json", "fit": "fit.h5", "integrate": "integrated.h5"}
    found = {step: f"{folder}/{made[step]}" for step in made if step in steps}
    return found | ({"merge": f"{folder}/merged.json"} if "integrate" in steps else {})


def stills_kind(sample):
    """Name the kind of a sample by what its figures depend on."""
    kind = "simulated" if sample in STILLS_SIMULATED else "measured"
    return "_".join([kind, *sorted(STILLS_SAMPLES[sample].steps)])


def stills_figures(sample):
    """Name the figures of a sample."""
    steps = STILLS_SAMPLES[sample].steps
    names = []
    if "fit" in steps:
        names += ["pixels"]
    if "index" in steps:
        names += ["predictions", "residuals"]
    if "integrate" in steps:
        names += ["images", "shells", "instrument"]
    if "integrate" in steps and sample in STILLS_SIMULATED:
        names += ["scales"]
    return names
