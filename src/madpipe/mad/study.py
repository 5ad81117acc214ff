"""The MAD study as the house sees it."""

from madpipe.base.study import Study
from madpipe.mad.config import MadConfig, SimulatedSample
from madpipe.mad.network.variants import VARIANTS
from madpipe.mad.scores.suite import outline

_FRAME = {"dimensions": 2, "grid": 128, "photons": 1e7}
_SAMPLES = {  # particles in 2-D and 3-D, controls, one with nuisances, measured selenium data
    "core_shell_2d": {**_FRAME, "steps": ("fit", "infer", "retrieve")},
    "core_shell_3d": {"dimensions": 3, "grid": 64, "photons": 1e8, "steps": ("fit", "infer", "retrieve")},
    "control_resonant": {**_FRAME, "composition": "pure_resonant", "steps": ("fit", "infer")},
    "control_no_resonant": {**_FRAME, "composition": "no_resonant", "steps": ("fit", "infer")},
    "drifting": {
        **_FRAME,
        "scale_jitter": 0.01,
        "energy_offset_ev": 1.5,
        "refine": ("scale", "offset"),
        "steps": ("fit",),
    },
    "p9": {
        "path": tuple(f"../shared/data/p9_mad/w{number}.sca" for number in (1, 2, 3)),
        "element": "Se",
        "edge": "K",
        "energies_ev": (12656.0, 12659.0, 12800.0),  # nominal: the files do not say
        "f_prime": (-3.0, -3.0, -3.0),  # flat start; the last energy's values are the gauge
        "f_double_prime": (4.0, 4.0, 4.0),
        "refine": ("dispersion",),
        "steps": ("fit",),
        "optional": True,
    },
}
_SMOKE = {
    "samples": {
        "core_shell_2d": {"grid": 48, "photons": 1e6},
        "core_shell_3d": {"grid": 24, "photons": 1e7},
        "control_resonant": {"grid": 32, "photons": 1e6, "steps": ["fit"]},
        "control_no_resonant": None,
        "drifting": {"grid": 48, "photons": 1e7},
    },
    "infer": {"weights": "trained"},
    "train": {
        "particles": 8,
        "volumes": 2,
        "validation_particles": 4,
        "validation_volumes": 1,
        "steps": 20,
        "validate_every": 10,
        "batch": 4,
        "width": 16,
        "prior": {"grid": 32, "volume_grid": 24},
    },
    "evaluate": {"grid": 32, "photons": [1e5]},
    "retrieve": {"seeds": 2, "keep": 2, "iterations": 40, "cycles": 3, "refine_iterations": 10},
}
_WEIGHTS = {  # one CPU thread: an hour and a half; on a GPU take more of all of it
    "train": {
        "begin": "first",
        "width": 64,
        "particles": 5000,
        "volumes": 160,
        "volume_share": 0.4,
        "validation_particles": 400,
        "validation_volumes": 48,
        "calibration_draws": 1,
        "curriculum": 0.0,
        "learning_rate": 1e-3,
        "batch": 8,
        "steps": 5000,
        "validate_every": 200,
        "precision": "mixed",
        "threads": 1,
    },
}


def points_times_energies(sample: SimulatedSample) -> int:
    """Count the intensities of a simulated sample."""
    return sample.grid**sample.dimensions * len(sample.energies_ev)


def sizes(config: MadConfig) -> dict[str, int]:
    """Give the size of what a sample's jobs, by its name, and other rules, by theirs, have to do.

    Points times energies of a simulated sample and of the whole test suite (``mad_simulate_suite``, ``mad_evaluate``,
    ``mad_evaluate_fit``); frames of a training (``mad_train``, ``mad_ablate``). A measured sample has none before it is
    read.
    """
    suite = [sample for samples in outline(config.evaluate).values() for sample in samples.values()]
    compared = sum(map(points_times_energies, suite))
    return {
        "mad_simulate_suite": compared,
        "mad_evaluate": compared,
        "mad_evaluate_fit": compared,
        "mad_train": config.train.steps * config.train.batch,
        "mad_ablate": config.ablation.steps,
        **{
            name: points_times_energies(sample)
            for name, sample in config.samples.items()
            if isinstance(sample, SimulatedSample)
        },
    }


MAD = Study(
    name="mad",
    title="MAD",
    about="multi-wavelength anomalous diffraction",
    config=MadConfig,
    samples=_SAMPLES,
    overlays={"smoke": _SMOKE, "weights": _WEIGHTS},
    records=("Stack", "Fit", "RealSpace"),
    variants=tuple(VARIANTS),
    sizes=sizes,
)
