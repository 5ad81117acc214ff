"""The small-angle study as the house sees it."""

from madpipe.base.study import Study
from madpipe.saxs.config import SaxsConfig
from madpipe.saxs.network.variants import VARIANTS

_DATA = "../shared/data/saxs"
_SAMPLES: dict[str, dict[str, object]] = {  # the flagship's particle at eight energies, and measured curves
    "nickel_shell": {"simulate": {}, "steps": ["anomalous"]},
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
            "contrast": 1e4,
            "background": 0.121176,
            "power_law": 2.55e-7,
            "error_factor": 1.9033,
        },
        "optional": True,
    },
    "lysozyme": {"path": [f"{_DATA}/lys_saxs.dat"], "steps": ["guinier"], "optional": True},
}
_SMOKE: dict[str, object] = {
    "samples": {"latex": None, "apoferritin": None, "alumina": None, "lysozyme": None},
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
    records=("ParticleFit",),
    variants=tuple(VARIANTS),
    sizes=sizes,
)
