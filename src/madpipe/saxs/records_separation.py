"""The file of a separation: partial intensities of the resonant element at each q."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry

_Array = np.ndarray
_DATA = "entry_1/partial_intensities"
_FOUND = "entry_1/nuisances"


@dataclass(frozen=True)
class Separation:
    """Partial intensities with their errors, and what was found of energies, tables and scales beside them."""

    q: _Array = entry(f"{_DATA}/q", "1/angstrom")  # (q)
    terms: _Array = entry(
        f"{_DATA}/terms", long_name="|F_T|^2, |F_A|^2, Re and Im of F_T F_A*, in the intensity's unit"
    )  # (q, term)
    covariance: _Array = entry(f"{_DATA}/covariance")  # (q, term, term), the nuisances' errors included
    bounded: _Array = entry(f"{_DATA}/bounded")  # (q), 1 where Schwarz's inequality bounds the terms
    element: str = entry("entry_1/element")
    energy: _Array = entry("entry_1/energy", "eV")  # (energy), as stated
    ratio: _Array = entry("entry_1/dispersion_ratio")  # (energy, 2), real and imaginary part, as found
    offset: _Array = entry(f"{_FOUND}/offset", "eV")  # (2), true less stated energy, with its error
    table: _Array = entry(f"{_FOUND}/table")  # (2, 2), relative errors of f' and f'', each with its error
    scale: _Array = entry(f"{_FOUND}/scale")  # (energy, 2), of each curve, with its error
    background: _Array = entry(f"{_FOUND}/background")  # (energy, 2), of each curve, with its error
    chi2: float = entry("entry_1/chi2")  # of points and priors, per degree of freedom
    freedom: int = entry("entry_1/degrees_of_freedom")
    explains: int = entry("entry_1/explains")  # 1 where chi2 is within four standard deviations of 1
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "partial_intensities"},
            _DATA: {"NX_class": "NXdata", "signal": "terms", "axes": ["q", "."]},
            _FOUND: {"NX_class": "NXcollection"},
        }
