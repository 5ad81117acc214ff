# figure over several samples: what it is drawn from, by the name that the figure's function gives it
MAD_SHARED = {}
if mad_runs("fit"):
    MAD_SHARED["dispersion"] = {
        "stacks": MAD_AT.of_samples("stack.h5", mad_runs("fit")),
        "fits": MAD_AT.of_samples("fit.h5", mad_runs("fit")),
    }
if MAD_SAMPLES:
    MAD_SHARED["r_factor"] = {"scores": MAD_AT.of_samples("scores.json", MAD_SAMPLES)}
if MAD_SIMULATED:
    MAD_SHARED["error_vs_counts"] = {
        "scores": MAD_AT.of_samples("scores.json", MAD_SIMULATED)
    }
MAD_IMAGED = [name for name in mad_runs("retrieve") if name in MAD_SIMULATED]
if len({MAD_SAMPLES[name].photons for name in MAD_IMAGED}) >= 3:
    MAD_SHARED["composition_errors"] = {
        "scores": MAD_AT.of_samples("scores.json", MAD_IMAGED)
    }
if MAD_IS_COMPARED:
    MAD_SHARED["suite_errors"] = {"comparisons": MAD_SUITE_SCORES}
if MAD_IS_COMPARED and "network_refined" in MAD.evaluate.methods:
    MAD_SHARED["calibration"] = {"comparisons": MAD_SUITE_SCORES}
    if len(MAD.evaluate.sets) > 1:
        MAD_SHARED["generalisation"] = {"comparisons": MAD_SUITE_SCORES}


def mad_particle_of(name):
    """Give all that a simulated sample's particle and measurement depend on, but for the photons."""
    return MAD_SAMPLES[name].model_dump_json(exclude={"photons", "steps"})


MAD_FRAMES = [
    name
    for name in mad_runs("infer")
    if name in MAD_SIMULATED and MAD_SAMPLES[name].dimensions == 2
]
MAD_OF_ONE_PARTICLE = alike(MAD_FRAMES, mad_particle_of).values()
if max(map(len, MAD_OF_ONE_PARTICLE), default=0) >= 3:
    MAD_BUDGETS = sorted(
        max(MAD_OF_ONE_PARTICLE, key=len), key=lambda name: MAD_SAMPLES[name].photons
    )[:3]
    MAD_SHARED["budgets"] = {
        "stacks": MAD_AT.of_samples("stack.h5", MAD_BUDGETS),
        "fits": MAD_AT.of_samples("fit.h5", MAD_BUDGETS),
        "networks": MAD_AT.of_samples("inferred.h5", MAD_BUDGETS),
    }
if mad_runs("infer") and MAD.infer.weights == "trained":
    MAD_SHARED["training_curves"] = {"history": f"{MAD_AT.network}/history.json"}


def mad_drawn(sample):
    """Give the figures of one sample: by the name that a figure's function gives a record, which file holds it."""
    steps, refine = MAD_SAMPLES[sample].steps, MAD_SAMPLES[sample].refine
    network = {"network": "inferred"} if "infer" in steps else {}
    found = {"stack": "stack", "real_space": "object"} if "retrieve" in steps else {}
    fit = {"stack": "stack", "fit": "fit"} if "fit" in steps else {}
    figures = {
        "particle": {} if sample in MAD_MEASURED else {"stack": "stack"},
        "fit_maps": fit,
        "nuisances": fit if refine else {},
        "network_maps": {"stack": "stack", "fit": "inferred"} if network else {},
        "split": {"stack": "stack", **network} if network else {},
        "f_normal": fit and {**fit, **network},
        "retrieved": found,
        "object_maps": found,
    }
    return {figure: records for figure, records in figures.items() if records}


def mad_kind(sample):
    """Name the kind of a sample by what its figures depend on."""
    section = MAD_SAMPLES[sample]
    origin = ["measured"] if sample in MAD_MEASURED else []
    return "_".join([*origin, *section.steps, *(["refined"] if section.refine else [])])


# drawn when asked for only: it takes many trainings
MAD_DRAWN_ALWAYS = list(MAD_SHARED)
MAD_SHARED["ablation"] = {"table": f"{MAD_AT.results}/ablation/table.json"}
