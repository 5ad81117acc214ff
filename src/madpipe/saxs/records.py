"""Files that cross a step of the study: the fit of a model to curves."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry

_Array = np.ndarray
_FIT = "entry_1/fit_1"
FREE, HELD, OPEN, AT_BOUND = 0, 1, 2, 3  # states of a parameter


@dataclass(frozen=True)
class ParticleFit:
    """A model fitted to curves: its parameters with errors, and what the fit says of itself."""

    q: _Array = entry("entry_1/data_1/Q", "1/angstrom")
    intensity: _Array = entry("entry_1/data_1/I", "1/cm")  # as measured, (curve, q)
    sigma: _Array = entry("entry_1/data_1/Idev", "1/cm")  # infinite where not used
    calculated: _Array = entry("entry_1/data_1/calculated", "1/cm")  # smeared; not a number where not used
    curve_names: str = entry("entry_1/data_1/names")  # one a line
    model: str = entry(f"{_FIT}/model")
    method: str = entry(f"{_FIT}/method")
    names: str = entry(f"{_FIT}/names")  # of the parameters, one a line
    units: str = entry(f"{_FIT}/units")  # one a line
    values: _Array = entry(f"{_FIT}/values")  # (curve, parameter)
    errors: _Array = entry(f"{_FIT}/errors")  # one standard deviation; 0 where held
    quantiles: _Array = entry(f"{_FIT}/quantiles")  # at 2.5, 16, 84 and 97.5 %, (curve, parameter, 4)
    states: _Array = entry(f"{_FIT}/states")  # 0 free, 1 held, 2 left open by the data, 3 at an end of its range
    correlation: _Array = entry(f"{_FIT}/correlation")  # of all parameters, (curve, parameter, parameter)
    chi2: _Array = entry(f"{_FIT}/chi2")  # per degree of freedom, of each curve
    degrees_of_freedom: _Array = entry(f"{_FIT}/degrees_of_freedom")
    runs: _Array = entry(f"{_FIT}/runs_probability")  # chance of so few runs of one sign
    longest_run: _Array = entry(f"{_FIT}/longest_run_probability")  # chance of so long a run of one sign
    error_scale: _Array = entry(
        f"{_FIT}/error_scale"
    )  # errors are multiplied by it: 1 where the model explains the data
    starts: _Array = entry(f"{_FIT}/starts")  # searches, of each curve
    explained: _Array = entry(f"{_FIT}/explained")  # 1 where the model explains the curve, else 0
    verdicts: str = entry(f"{_FIT}/verdicts")  # in words, one a line
    rivals: str = entry(f"{_FIT}/rivals")  # other values that explain a curve as well, one a line
    choice: str | None = entry(f"{_FIT}/choice", optional=True)  # of the model, where it was chosen: one curve a line
    energy: _Array | None = entry("entry_1/data_1/energy", "eV", optional=True)
    time: _Array | None = entry("entry_1/data_1/time", "s", optional=True)
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            "entry_1/data_1": {"NX_class": "NXdata", "signal": "I", "auxiliary_signals": ["calculated"]},
            _FIT: {"NX_class": "NXcollection"},
        }

    def column(self, name: str) -> int:
        """Place of a parameter among the columns."""
        return self.names.split("\n").index(name)

    def of(self, name: str, curve: int = 0) -> tuple[float, float]:
        """Value and standard deviation of a parameter of one curve."""
        place = self.column(name)
        return float(self.values[curve, place]), float(self.errors[curve, place])
