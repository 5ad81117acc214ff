"""The study of series in time as the house sees it."""

from madpipe.base.study import Study
from madpipe.kinetics.config import KineticsConfig

_DATA = "../shared/data/kinetics"
# Meisburger, Xu and Ando, IUCrJ 8, 225 (2021): monomer of MsbA, after 100 iterations of their program
_MONOMER = (
    *(0.961, 0.718, 0.618, 0.570, 0.531, 0.491, 0.469, 0.452, 0.445, 0.446, 0.449, 0.456),
    *(0.470, 0.487, 0.511, 0.525, 0.538, 0.583, 0.624, 0.660, 0.749, 0.819, 0.981),
)


def _by_regals(name: str, d_max: float, penalty: float, **more: object) -> dict[str, object]:
    """A component as REGALS has it."""
    own = {"name": name, "d_max": d_max, "profile_penalty": penalty}
    return {**own, "positive_concentration": False, **more}


_SAMPLES: dict[str, dict[str, object]] = {  # a reaction, a chromatography, events; and measured series
    "reaction": {
        "seed": 1,
        "steps": ["decompose", "rates"],
        "decompose": {"rank": 3, "closure": True, "smooth": "log_time", "known": "first"},
        "rates": {"scheme": "A->B->C"},
    },
    "drifting": {  # the beam multiplies the species, the buffer is a component of its own: no closure, no band
        "seed": 1,
        "simulate": {"beam": 0.02, "buffer": 0.005},
        "steps": ["decompose", "rates", "events"],
        "decompose": {
            "components": [{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "buffer", "constant_in_q": True}],
            "bands": False,
        },
        "rates": {"scheme": "A->B->C"},
    },
    "elution": {
        "seed": 2,
        "simulate": {"kind": "elution", "frames": 120},
        "decompose": {"unimodal": True},
    },
    "changes": {
        "seed": 3,
        "simulate": {"kind": "events", "frames": 240, "beam": 0.04, "buffer": 0.04},
        "steps": ["events"],
    },
    "msba": {
        "path": [f"{_DATA}/msba.h5"],
        "steps": ["decompose", "rates"],
        "decompose": {
            "q_min": 0.015,
            "scale_order": 5,
            "components": [
                _by_regals("dimer", 70.0, 1e11, zero_last=True),
                _by_regals("monomer", 62.0, 1e11),
            ],
            "smooth": "log_time",
            "smooth_ends": (10**-1.7, 10**2.1),
            "smooth_penalty": 1e-3,
            "iterations": 100,
            "change": 0.0,
        },
        "rates": {"scheme": "M->D->M"},
        "reference": {"monomer": _MONOMER},
        "optional": True,
    },
    "bsa": {
        "path": [f"{_DATA}/bsa_sec.h5"],
        "decompose": {"buffer": (20, 110), "frames": (100, 250), "unimodal": True},
        "optional": True,
    },
    "cypa": {
        "path": [f"{_DATA}/cypa_tjump.h5"],
        "decompose": {
            "frames": (1, 28),
            "components": [
                _by_regals("fast", 59.0, 1e11, zero_first=True, zero_last=True),
                _by_regals("slow", 46.0, 1e11),
                _by_regals("solvent", 150.0, 1e11),
            ],
            "smooth": "log_time",
            "smooth_ends": (10**-6.251, 10**-2.999),
            "smooth_penalty": 10.0,
            "change": 0.0,
            "bands": False,
        },
        "optional": True,
    },
}
_SMOKE: dict[str, object] = {
    "samples": {
        "msba": None,
        "bsa": None,
        "cypa": None,
        "drifting": None,
        "reaction": {"simulate": {"frames": 40, "points": 60}, "decompose": {"iterations": 50}},
        "elution": {"simulate": {"frames": 60, "points": 60}},
        "changes": {"simulate": {"frames": 100, "points": 60}},
    },
    "evaluate": {"rank_draws": 3, "scheme_draws": 2, "event_series": 3, "quiet_series": 1, "frames": (80, 100)},
}


KINETICS = Study(
    name="kinetics",
    title="Series in time",
    about="series of small-angle curves in time: components, rates, events",
    config=KineticsConfig,
    samples=_SAMPLES,
    overlays={"smoke": _SMOKE},
    records=("Parts", "Rates", "Truth"),
)
