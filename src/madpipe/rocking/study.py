"""The rocking-curve study as the house sees it."""

from madpipe.base.study import Study
from madpipe.rocking.config import RockingConfig
from madpipe.rocking.network.variants import VARIANTS

_MEASURED = {"indices": (4, 0, 0), "lorentzian": 0.02, "optional": True}
_SAMPLES: dict[str, dict[str, object]] = {  # an implanted garnet, and measured zirconia and silicon carbide
    "implanted": {"parameters": (0.012, 0.006, 3500.0, 1200.0, 0.004, 2200.0, -800.0)},
    "ysz": {
        **_MEASURED,
        "path": "../shared/data/radmax/YSZ_YSZ-XRD.txt",
        "crystal": "YSZ",
        "half_width": 0.013,
        "depth": 1998.0,
    },
    "sic": {
        **_MEASURED,
        "path": "../shared/data/radmax/SiC-3C_SiC-XRD.txt",
        "crystal": "SiC-3C",
        "lattice_constant": 4.361055,
        "wavelength": 1.5498,
        "half_width": 0.018,
        "counts_per_unit": 1.0,
        "systematic": 0.05,  # the peak's 5e9 were counted through absorbers
        "depth": 1545.0,
    },
}
_SMOKE = {
    "samples": {"sic": None},
    "fit": {"library": 100, "starts": 1, "explorations": 1, "samples": 200, "knots": [6], "evaluations": 10},
    "evaluate": {"curves": 2},
}
_WEIGHTS = {
    "train": {
        "width": 48,
        "batch": 512,
        "steps": 6442,
        "validate_every": 322,
        "validation_curves": 4096,
        "precision": "mixed",
        "workers": 0,
    },
}


def sizes(config: RockingConfig) -> dict[str, int]:
    """Give the size of what rules, by their names, have to do: curves of a training."""
    return {"rocking_train": config.train.steps * config.train.batch}


ROCKING = Study(
    name="rocking",
    title="Rocking curves",
    about="rocking curves of strained layers",
    config=RockingConfig,
    samples=_SAMPLES,
    overlays={"smoke": _SMOKE, "weights": _WEIGHTS},
    records=("Curve", "LayerProfile"),
    variants=tuple(VARIANTS),
    sizes=sizes,
)
