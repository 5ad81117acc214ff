"""The small-angle study as the house sees it."""

from madpipe.base.study import Study
from madpipe.saxs.config import SaxsConfig
from madpipe.saxs.network.variants import VARIANTS

_DATA = "../shared/data/saxs"
_SAMPLES: dict[str, dict[str, object]] = {  # the flagship's particle at eight energies, and measured curves
    "nickel_shell": {
        "simulate": {
            "materials": {"core": "Ni3Fe", "shell": "Ni"},
            "energies": (8033.0, 8133.0, 8203.0, 8253.0, 8283.0, 8303.0, 8313.0, 8318.0),
            "scale_error": 0.005,
            "background_rise": 0.5,
        },
        "steps": ["anomalous"],
    },
    "behind_a_slit": {
        "simulate": {
            "contrast": {"core": 2.0, "shell": -1.0},
            "values": {"core_radius": 60.0, "thickness": 20.0, "pd": 0.08},
            "volume_fraction": 0.01,
            "q_min": 0.003,
            "q_max": 0.3,
            "slit_length": 0.02,
        },
        "steps": ["fit", "infer"],
        "fit": {"spread": "all"},
    },
    "latex": {
        "path": [f"{_DATA}/latex_smeared.xml"],
        "read": {"entry": "latex_usans"},
        "fit": {"model": "sphere", "distribution": "gaussian", "q_min": 1e-4},
        "optional": True,
    },
    "apoferritin": {
        "path": [f"{_DATA}/apoferritin.txt"],
        "fit": {
            "model": "core_shell_sphere",
            "distribution": "gaussian",
            "fix": {"core_contrast_ratio": 0.0},
            "q_min": 0.012,
            "q_max": 0.35,
            "smear": False,
        },
        "optional": True,
    },
    "alumina": {
        "path": [f"{_DATA}/alumina_usaxs.csv"],
        "steps": ["size"],
        "size": {
            "q_min": 0.00068801,
            "q_max": 0.10604,
            "background": 0.121176,
            "power_law": 2.55e-7,
            "error_factor": 1.9033,
        },
        "optional": True,
    },
    "lysozyme": {"path": [f"{_DATA}/lys_saxs.dat"], "steps": ["guinier"], "optional": True},
}
_SMOKE: dict[str, object] = {
    "samples": {
        "latex": None,
        "apoferritin": None,
        "alumina": None,
        "lysozyme": None,
        "nickel_shell": {"simulate": {"points": 60}, "anomalous": {"library": 64, "starts": 2}},
        "behind_a_slit": {"simulate": {"points": 80}},
    },
    "evaluate": {"curves": 128, "foreign": 16},
}
_WEIGHTS: dict[str, object] = {"train": {"steps": 20000}}


def sizes(config: SaxsConfig) -> dict[str, int]:
    """Give the size of what rules have to do: curves of a training."""
    return {"saxs_train": config.train.steps * config.train.batch}


SAXS = Study(
    name="saxs",
    title="Small-angle scattering",
    about="small-angle scattering of particles, with anomalous contrast",
    config=SaxsConfig,
    samples=_SAMPLES,
    overlays={"smoke": _SMOKE, "weights": _WEIGHTS},
    records=(
        "ParticleFit",
        "records_size.SizeDistribution",
        "records_separation.Separation",
        "anomalous.records.AnomalousFit",
        "simulate.records.SaxsTruth",
    ),
    variants=tuple(VARIANTS),
    sizes=sizes,
)
