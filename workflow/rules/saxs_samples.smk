SAXS = SETTINGS.saxs
SAXS_AT = Paths("saxs")
SAXS_SAMPLES = at_hand("saxs")
SAXS_MEASURED = [name for name, sample in SAXS_SAMPLES.items() if is_measured(sample)]
SAXS_SIMULATED = [name for name in SAXS_SAMPLES if name not in SAXS_MEASURED]
SAXS_VARIANTS = BY_NAME["saxs"].variants
SAXS_MADE = {
    "fit": "fit.h5",
    "size": "size.h5",
    "anomalous": "anomalous.h5",
    "infer": "classes.json",
}
SAXS_WORDS = {"size": "sizes"}  # in a script: Snakemake keeps size for itself
SAXS_EVALUATION_FIGURES = ["confusion", "reliability", "foreign"]


def saxs_with(step):
    """Name the samples that a step is asked of."""
    return [name for name, sample in SAXS_SAMPLES.items() if step in sample.steps]


def saxs_answers(sample):
    """Name what the steps of a sample make, by the word of each in a script."""
    steps, folder = SAXS_SAMPLES[sample].steps, f"{SAXS_AT.results}/{sample}"
    made = {
        SAXS_WORDS.get(step, step): f"{folder}/{file}"
        for step, file in SAXS_MADE.items()
        if step in steps
    }
    return made | ({"partial": f"{folder}/partial.h5"} if "anomalous" in steps else {})


def saxs_truth(sample):
    """Name a simulated sample's truth."""
    is_simulated = sample in SAXS_SIMULATED
    return [f"{SAXS_AT.results}/{sample}/truth.h5"] if is_simulated else []


def saxs_kind(sample):
    """Name the kind of a sample by what its figures depend on."""
    return "_".join(sorted(SAXS_SAMPLES[sample].steps))


def saxs_figures(sample):
    """Name the figures of a sample."""
    steps, names = SAXS_SAMPLES[sample].steps, []
    if "fit" in steps:
        names += ["fitted_curves", "valley"]
    if "size" in steps:
        names += ["size_distribution"]
    if "guinier" in steps:
        names += ["guinier_plot"]
    if "anomalous" in steps:
        names += ["series_fit", "contrast_against_energy", "resonant_term"]
    return names
