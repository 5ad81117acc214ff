"""The whole configuration: what every study shares, and one section per study."""

from pydantic import Field

from madpipe.base.config import Model
from madpipe.mad.config import MadConfig
from madpipe.rocking.config import RockingConfig


class Config(Model):
    """The whole configuration."""

    results: str = Field("results", description="folder of the results, relative to the working directory")
    logs: str = Field("logs", description="folder of the logs, relative to the working directory")
    seed: int = Field(2026, description="seed that every job's generator is derived from")
    mad: MadConfig = Field(MadConfig(), description="multi-wavelength anomalous diffraction")
    rocking: RockingConfig = Field(RockingConfig(), description="rocking curves of strained layers")


def _default_samples() -> dict[str, dict[str, object]]:
    """Samples of the default run: particles in 2-D and 3-D, controls, one with nuisances, measured selenium data."""
    frame = {"dimensions": 2, "grid": 128, "photons": 1e7}
    return {
        "core_shell_2d": {**frame, "steps": ("fit", "infer", "retrieve")},
        "core_shell_3d": {"dimensions": 3, "grid": 64, "photons": 1e8, "steps": ("fit", "infer", "retrieve")},
        "control_resonant": {**frame, "composition": "pure_resonant", "steps": ("fit", "infer")},
        "control_no_resonant": {**frame, "composition": "no_resonant", "steps": ("fit", "infer")},
        "drifting": {
            **frame,
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


def _default_curves() -> dict[str, dict[str, object]]:
    """Curves of the default run: an implanted garnet, and measured zirconia and silicon carbide."""
    measured = {"indices": (4, 0, 0), "lorentzian": 0.02, "optional": True}
    return {
        "implanted": {"parameters": (0.012, 0.006, 3500.0, 1200.0, 0.004, 2200.0, -800.0)},
        "ysz": {
            **measured,
            "path": "../shared/data/radmax/YSZ_YSZ-XRD.txt",
            "crystal": "YSZ",
            "half_width": 0.013,
            "depth": 1998.0,
        },
        "sic": {
            **measured,
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


DEFAULT = Config.model_validate({"mad": {"samples": _default_samples()}, "rocking": {"samples": _default_curves()}})
