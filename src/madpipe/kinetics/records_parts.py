"""The file of a decomposition."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry

_Array = np.ndarray
_PARTS = "entry_1/parts_1"
_RANK = "entry_1/rank_1"


@dataclass(frozen=True)
class Parts:
    """Components of a series: how many, curves, concentrations, and how far they are determined."""

    q: _Array = entry(f"{_PARTS}/q", "1/angstrom")  # (q)
    frame: _Array = entry(f"{_PARTS}/frame")  # (frame), place in the series as measured
    names: str = entry(f"{_PARTS}/names")  # of the components, one a line
    concentrations: _Array = entry(f"{_PARTS}/concentrations")  # (frame, component); see unit
    low: _Array = entry(f"{_PARTS}/concentrations_low")  # (frame, component): band, noise of two sd included
    high: _Array = entry(f"{_PARTS}/concentrations_high")
    unit: str = entry(f"{_PARTS}/unit")  # fraction, or signal: then a concentration is its component's share of it
    share: _Array = entry(f"{_PARTS}/share")  # (component), of the whole series
    share_band: _Array = entry(f"{_PARTS}/share_band")  # (component, 2), least and largest
    profiles: _Array = entry(f"{_PARTS}/profiles", "1/cm")  # (component, q), at a concentration of 1
    profiles_sigma: _Array = entry(f"{_PARTS}/profiles_sigma", "1/cm")  # noise, at these concentrations
    profiles_low: _Array = entry(f"{_PARTS}/profiles_low", "1/cm")  # (component, q): band
    profiles_high: _Array = entry(f"{_PARTS}/profiles_high", "1/cm")
    rg: _Array = entry(f"{_PARTS}/radius_of_gyration", "angstrom")  # (component), by P(r), else Guinier; or nan
    rg_band: _Array = entry(f"{_PARTS}/radius_of_gyration_band", "angstrom")  # (component, 2), of the extreme solutions
    distances: _Array = entry(f"{_PARTS}/distances", "angstrom")  # (component, r); nan without P(r)
    pair_distances: _Array = entry(f"{_PARTS}/pair_distances")  # (component, r), of I(q) as in profiles
    chi2: float = entry(f"{_PARTS}/chi2")  # mean of squared residuals over sigma
    chi2_floor: float = entry(f"{_PARTS}/chi2_floor")  # of the best matrix of this rank, without constraints
    converged: int = entry(f"{_PARTS}/converged")
    outside: float = entry(f"{_PARTS}/outside")  # by how many sd constraints and data contradict
    rank: int = entry(f"{_RANK}/rank")
    rank_by_edge: int = entry(f"{_RANK}/rank_by_edge")
    singular_values: _Array = entry(f"{_RANK}/singular_values")
    threshold: float = entry(f"{_RANK}/threshold")
    noise_edge: float = entry(f"{_RANK}/noise_edge")
    noise_factor: float = entry(f"{_RANK}/noise_factor")  # of the noise over the stated sigmas
    detectable: float = entry(f"{_RANK}/detectable")  # smallest singular value without noise that would be seen
    autocorrelation_frame: _Array = entry(f"{_RANK}/autocorrelation_frame")  # (value)
    autocorrelation_q: _Array = entry(f"{_RANK}/autocorrelation_q")
    forward: _Array = entry(f"{_RANK}/forward")  # (frame, value): evolving factors
    backward: _Array = entry(f"{_RANK}/backward")
    evolving_threshold: _Array = entry(f"{_RANK}/evolving_threshold")  # (frame)
    first: _Array = entry(f"{_RANK}/first")  # (component), place among the frames analysed
    last: _Array = entry(f"{_RANK}/last")
    verdict: str = entry("entry_1/verdict")  # verdicts as JSON (base.verdict)
    frame_scale: _Array = entry(f"{_PARTS}/frame_scale")  # (frame), that each was multiplied with; 1 where unscaled
    time: _Array | None = entry(f"{_PARTS}/time", "s", optional=True)  # (frame)
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "parts_1"},
            _PARTS: {"NX_class": "NXdata", "signal": "concentrations", "axes": ["frame", "."]},
            _RANK: {"NX_class": "NXcollection"},
        }
