KINETICS = SETTINGS.kinetics
KINETICS_AT = Paths("kinetics")
KINETICS_SAMPLES = at_hand("kinetics")
KINETICS_MEASURED = [
    name for name, sample in KINETICS_SAMPLES.items() if is_measured(sample)
]
KINETICS_SIMULATED = [
    name for name in KINETICS_SAMPLES if name not in KINETICS_MEASURED
]
KINETICS_MADE = {
    "decompose": "parts.h5",
    "rates": "rates.h5",
    "events": "events.json",
}
KINETICS_FIGURES = {
    "decompose": ["scree", "evolving_factors", "concentrations", "components"],
    "rates": ["rates"],
    "events": ["events"],
}
KINETICS_EVALUATION_FIGURES = [
    "rank",
    "concentration_errors",
    "event_methods",
    "latency",
]


def kinetics_with(step):
    """Name the samples that a step is asked of."""
    return [name for name, sample in KINETICS_SAMPLES.items() if step in sample.steps]


def kinetics_answers(sample):
    """Name what the steps of a sample make, by the word of each in a script."""
    steps, folder = KINETICS_SAMPLES[sample].steps, f"{KINETICS_AT.results}/{sample}"
    return {
        step: f"{folder}/{file}"
        for step, file in KINETICS_MADE.items()
        if step in steps
    }


def kinetics_truth(sample):
    """Name a simulated sample's truth."""
    is_simulated = sample in KINETICS_SIMULATED
    return [f"{KINETICS_AT.results}/{sample}/truth.h5"] if is_simulated else []


def kinetics_kind(sample):
    """Name the kind of a sample by what its figures depend on."""
    return "_".join(sorted(KINETICS_SAMPLES[sample].steps))


def kinetics_figures(sample):
    """Name the figures of a sample."""
    steps = KINETICS_SAMPLES[sample].steps
    return [
        name
        for step, names in KINETICS_FIGURES.items()
        if step in steps
        for name in names
    ]
