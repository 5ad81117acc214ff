"""The whole configuration: what every study shares, and one section per study."""

from pydantic import Field

from madpipe.base.config import Model
from madpipe.mad.config import MadConfig


class Config(Model):
    """The whole configuration."""

    results: str = Field("results", description="folder of the results, relative to the working directory")
    logs: str = Field("logs", description="folder of the logs, relative to the working directory")
    seed: int = Field(2026, description="seed that every job's generator is derived from")
    mad: MadConfig = Field(MadConfig(), description="multi-wavelength anomalous diffraction")


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


DEFAULT = Config.model_validate({"mad": {"samples": _default_samples()}})
