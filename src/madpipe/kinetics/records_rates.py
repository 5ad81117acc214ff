"""The file of the rates' fit."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry

_Array = np.ndarray
_FIT = "entry_1/kinetics_1"


@dataclass(frozen=True)
class Rates:
    """Parameters of a scheme, all solutions that the data allow, the best first."""

    scheme: str = entry(f"{_FIT}/scheme")
    reading: str = entry(f"{_FIT}/reading")  # the steps as they were understood
    parameters: str = entry(f"{_FIT}/parameters")  # names, one a line
    values: _Array = entry(f"{_FIT}/values")  # (solution, parameter); rate constants in 1/s, exponents in 1
    relative_error: _Array = entry(f"{_FIT}/relative_error")  # (solution, parameter), standard deviation of ln value
    covariance: _Array = entry(f"{_FIT}/covariance")  # (parameter, parameter) of ln value, of the first solution
    chi2: _Array = entry(f"{_FIT}/chi2")  # (solution), per intensity
    negative: _Array = entry(f"{_FIT}/negative")  # (solution), of the species' curves, in standard deviations
    relaxation: _Array = entry(f"{_FIT}/relaxation")  # (mode), of a linear scheme [1/s]; known where rates are not
    relaxation_error: _Array = entry(f"{_FIT}/relaxation_error")  # (mode), standard deviation of their ln
    undetermined: str = entry(f"{_FIT}/undetermined")  # names, one a line
    drift: str = entry(f"{_FIT}/drift")  # none, beam, buffer, both
    rejected: int = entry(f"{_FIT}/rejected")  # 1: the scheme does not explain the data
    verdict: str = entry(f"{_FIT}/verdict")  # in words
    chi2_floor: float = entry(f"{_FIT}/chi2_floor")  # of the best matrix of as many components, per intensity
    noise_level: float = entry(f"{_FIT}/noise_level")  # of the data over their sigmas
    rank: int = entry(f"{_FIT}/rank")  # components above the noise
    species: str = entry(f"{_FIT}/species")  # names, one a line
    time: _Array = entry(f"{_FIT}/time", "s")  # (frame)
    concentration: _Array = entry(f"{_FIT}/concentration")  # (frame, species), of the first solution
    q: _Array = entry(f"{_FIT}/q", "1/angstrom")  # (q)
    curves: _Array = entry(f"{_FIT}/curves", "1/cm")  # (species, q); up to a constant each where the buffer drifts
    curves_sigma: _Array = entry(f"{_FIT}/curves_sigma", "1/cm")  # (species, q), at these rates
    beam: _Array = entry(f"{_FIT}/beam")  # (frame), intensity relative to its mean; 1 where it does not drift
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry"},
            _FIT: {"NX_class": "NXdata", "signal": "concentration", "axes": ["time", "."]},
        }
