"""The file of a model fitted to an energy series."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry

_Array = np.ndarray
_DATA, _FIT, _CONTRAST = "entry_1/data_1", "entry_1/fit_1", "entry_1/contrast"


@dataclass(frozen=True)
class AnomalousFit:
    """Sizes, compositions and nuisances with errors, the curves they make, and contrasts against energy."""

    q: _Array = entry(f"{_DATA}/Q", "1/angstrom")
    intensity: _Array = entry(f"{_DATA}/I", "1/cm")  # as measured, (curve, q)
    sigma: _Array = entry(f"{_DATA}/Idev", "1/cm")  # infinite where not used
    calculated: _Array = entry(f"{_DATA}/calculated", "1/cm")  # smeared; not a number where not used
    energy: _Array = entry(f"{_DATA}/energy", "eV")  # (curve), as stated
    curve_names: str = entry(f"{_DATA}/names")  # one a line
    model: str = entry(f"{_FIT}/model")
    materials: str = entry(f"{_FIT}/materials")  # of the regions, then of the solvent, one a line
    names: str = entry(f"{_FIT}/names")  # of all quantities, one a line
    units: str = entry(f"{_FIT}/units")
    values: _Array = entry(f"{_FIT}/values")  # (quantity)
    errors: _Array = entry(f"{_FIT}/errors")  # one standard deviation; 0 where held
    quantiles: _Array = entry(f"{_FIT}/quantiles")  # at 2.5, 16, 84 and 97.5 %, (quantity, 4)
    states: _Array = entry(f"{_FIT}/states")  # 0 free, 1 held, 2 left open by the data, 3 at an end of its range
    priors: _Array = entry(f"{_FIT}/priors")  # mean and standard deviation (quantity, 2); not a number without one
    covariance: _Array = entry(f"{_FIT}/covariance")  # (quantity, quantity)
    scales: _Array = entry(f"{_FIT}/scales")  # (curve, 2), of each curve, with its error
    elements: str = entry(f"{_FIT}/elements")  # one a line
    f_prime: _Array = entry(f"{_FIT}/f_prime", "electron")  # (curve, element), as used
    f_double_prime: _Array = entry(f"{_FIT}/f_double_prime", "electron")
    doubted: str = entry(f"{_FIT}/doubted_elements")  # whose f', f'' are near an edge, one a line
    partials: _Array = entry(
        f"{_FIT}/partial_intensities", "1/cm", long_name="|F_T|^2, |F_A|^2, Re and Im of F_T F_A* of the fit, smeared"
    )  # (doubted element, q, 4); not a number where the first curve is not used
    regions: str = entry(f"{_CONTRAST}/regions")  # one a line
    contrast: _Array = entry(f"{_CONTRAST}/at_curves", "1e-6/angstrom^2")  # (curve, region, 2), real and imaginary
    axis: _Array = entry(f"{_CONTRAST}/energy", "eV")  # true energies, for a figure
    along: _Array = entry(f"{_CONTRAST}/contrast", "1e-6/angstrom^2")  # (axis, region, 2)
    match_pairs: str = entry(f"{_CONTRAST}/match_pairs")  # of two regions, or a region and the solvent, one a line
    matches: _Array = entry(f"{_CONTRAST}/matches", "eV")  # (match, 2), true energy and its error
    chi2: float = entry(f"{_FIT}/chi2")  # of points and priors, per degree of freedom
    degrees_of_freedom: int = entry(f"{_FIT}/degrees_of_freedom")
    chi2_of_curves: _Array = entry(f"{_FIT}/chi2_of_curves")  # (curve), per point
    longest_run: _Array = entry(f"{_FIT}/longest_run_probability")  # (curve), chance of so long a run of one sign
    error_scale: float = entry(f"{_FIT}/error_scale")  # errors are multiplied by it: 1 where the data are explained
    starts: int = entry(f"{_FIT}/starts")
    explained: int = entry(f"{_FIT}/explained")  # 1 where the model explains the curves
    verdict: str = entry(f"{_FIT}/verdict")
    rivals: str = entry(f"{_FIT}/rivals")  # other values that explain the curves as well, one a line
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            _DATA: {"NX_class": "NXdata", "signal": "I", "auxiliary_signals": ["calculated"]},
            _FIT: {"NX_class": "NXcollection"},
            _CONTRAST: {"NX_class": "NXcollection"},
        }

    def of(self, name: str) -> tuple[float, float]:
        """Value and standard deviation of a quantity."""
        place = self.names.split("\n").index(name)
        return float(self.values[place]), float(self.errors[place])
