from madpipe.rocking.config import profile_of

ROCKING = SETTINGS.rocking
ROCKING_AT = Paths("rocking")
ROCKING_SAMPLES = at_hand("rocking")
ROCKING_MEASURED = [
    name for name, sample in ROCKING_SAMPLES.items() if is_measured(sample)
]
ROCKING_SIMULATED = [name for name in ROCKING_SAMPLES if name not in ROCKING_MEASURED]
ROCKING_PREDICTED = [
    name
    for name in ROCKING_SIMULATED
    if ROCKING_SAMPLES[name].scan == ROCKING.train.scan
]
ROCKING_VARIANTS = BY_NAME["rocking"].variants
# answers, by what follows the names of their scores and figures
ROCKING_ANSWER_OF = {"": "profile", "_network": "inferred"}
ROCKING_EVALUATION_FIGURES = [
    "parameter_errors",
    "calibration",
    "sensitivities",
    "convergence",
    *(["speed"] if ROCKING.evaluate.timed else []),
]


def rocking_answers(sample):
    """Name how a sample is answered: by the fit, and by the network where it was made for such a scan."""
    return ["", "_network"] if sample in ROCKING_PREDICTED else [""]


def rocking_kind(sample):
    """Name the kind of a sample by what its figures depend on."""
    return "fit_infer" if sample in ROCKING_PREDICTED else "fit"
