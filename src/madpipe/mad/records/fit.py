"""Structure factors per point: a fit's answer, or a network's."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry, part
from madpipe.mad.records.explained import Explained
from madpipe.mad.records.nuisance import Nuisance
from madpipe.mad.records.split import Split
from madpipe.mad.records.units import MODULUS

_Array = np.ndarray

# quantities of a fit: name in the file and in tables, and field of the record
QUANTITIES = {
    "F_T": "f_total",
    "F_A": "f_resonant",
    "delta_phi": "delta_phi",
    "F_N": "f_normal",
    "delta_phi_NA": "delta_phi_na",
}
PHASES = ("delta_phi", "delta_phi_na")
NORMAL_95 = 1.96  # standard deviations of a normal distribution that hold 95 % of it, to either side


@dataclass(frozen=True)
class Fit:
    """Structure factors per point with standard errors; a network's answer has the same layout.

    Every array has the shape of one energy of the stack. Phases are in radian, moduli >= 0.
    Errors hold what refined nuisances make of every point (:mod:`madpipe.mad.fit.whole_errors`), which points share.
    A network's errors are not normal: ``errors`` are half the width of the interval of 68.3 %, ``errors_95`` of that of
    95 %, each calibrated by itself; a fit has the former alone, and 1.96 of them are 95 %.
    """

    f_total: _Array = entry("entry_1/fit_1/F_T", MODULUS)
    f_total_errors: _Array = entry("entry_1/fit_1/F_T_errors", MODULUS)
    f_resonant: _Array = entry("entry_1/fit_1/F_A", MODULUS)
    f_resonant_errors: _Array = entry("entry_1/fit_1/F_A_errors", MODULUS)
    delta_phi: _Array = entry("entry_1/fit_1/delta_phi", "radian")
    delta_phi_errors: _Array = entry("entry_1/fit_1/delta_phi_errors", "radian")
    f_normal: _Array = entry("entry_1/fit_1/F_N", MODULUS)
    f_normal_errors: _Array = entry("entry_1/fit_1/F_N_errors", MODULUS)
    delta_phi_na: _Array = entry("entry_1/fit_1/delta_phi_NA", "radian")
    delta_phi_na_errors: _Array = entry("entry_1/fit_1/delta_phi_NA_errors", "radian")
    chi2: _Array = entry("entry_1/fit_1/chi2")
    dof: _Array = entry("entry_1/fit_1/dof")
    certified: _Array = entry("entry_1/fit_1/certified")
    n_iterations: int = entry("entry_1/fit_1/n_iterations")
    method: str = entry("entry_1/fit_1/method")
    axis_names: str = entry("entry_1/fit_1/axis_names")  # the stack's, joined by commas
    warnings: str | None = entry(warned.PATH, optional=True)
    qz: _Array | None = entry("entry_1/data_1/qz", "1/angstrom", optional=True)
    qy: _Array | None = entry("entry_1/data_1/qy", "1/angstrom", optional=True)
    qx: _Array | None = entry("entry_1/data_1/qx", "1/angstrom", optional=True)
    reflection: _Array | None = entry("entry_1/data_1/reflection", optional=True)
    f_total_errors_95: _Array | None = entry("entry_1/fit_1/F_T_errors_95", MODULUS, optional=True)
    f_resonant_errors_95: _Array | None = entry("entry_1/fit_1/F_A_errors_95", MODULUS, optional=True)
    delta_phi_errors_95: _Array | None = entry("entry_1/fit_1/delta_phi_errors_95", "radian", optional=True)
    f_normal_errors_95: _Array | None = entry("entry_1/fit_1/F_N_errors_95", MODULUS, optional=True)
    delta_phi_na_errors_95: _Array | None = entry("entry_1/fit_1/delta_phi_NA_errors_95", "radian", optional=True)
    explained_sums: _Array | None = entry("entry_1/fit_1/explained_sums", optional=True)  # of a part of a fit alone
    explained: Explained | None = part("entry_1/fit_1/explained", Explained)
    nuisance: Nuisance | None = part("entry_1/fit_1/nuisance", Nuisance)
    split: Split | None = part("entry_1/fit_1/split", Split)

    def half_width_95(self, name: str) -> _Array:
        """Half the width of the 95 % interval of a quantity, by its field."""
        stated: _Array | None = getattr(self, f"{name}_errors_95")
        return NORMAL_95 * getattr(self, f"{name}_errors") if stated is None else stated

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            "entry_1/fit_1": {"NX_class": "NXcollection"},
            "entry_1/data_1": {"NX_class": "NXdata", "signal": "F_A", "axes": self.axis_names.split(",")},
        }

    def nexus_links(self) -> dict[str, str]:
        """Soft links that make the default plot."""
        names = ("F_A", "F_A_errors")
        return {f"entry_1/data_1/{name}": f"entry_1/fit_1/{name}" for name in names}


@dataclass(frozen=True)
class Passes:
    """What a network said in some of the passes over a frame or volume, before it is put together."""

    place: _Array = entry("entry_1/passes_1/place")  # of each: axis, first slice, the one after the last, rows likewise
    answer: _Array = entry("entry_1/passes_1/answer")  # (10, value): one pass after another

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"entry_1": {"NX_class": "NXentry"}, "entry_1/passes_1": {"NX_class": "NXcollection"}}
