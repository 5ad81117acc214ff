"""The part of a stack's record that says what a simulation drew."""

from dataclasses import dataclass

import numpy as np

from madpipe.base.store import Groups, entry
from madpipe.mad.records.units import INTENSITY, MODULUS

_Array = np.ndarray


@dataclass(frozen=True)
class Truth:
    """What a simulation drew: present in simulated stacks only. Space axes are the stack's, without energy."""

    f_total: _Array = entry("F_T", MODULUS)
    f_resonant: _Array = entry("F_A", MODULUS)
    f_normal: _Array = entry("F_N", MODULUS)
    rho_resonant: _Array = entry("rho_A", "electron")
    rho_normal: _Array = entry("rho_N", "electron")
    support: _Array = entry("support")
    displacement: _Array = entry("displacement", "angstrom")
    composition: _Array = entry("composition")
    expected: _Array = entry("expected", INTENSITY)
    photons_per_electron2: float = entry("photons_per_electron2", "photon/electron^2")
    f0_resonant: float = entry("f0_A", "electron")
    f_normal_atom: complex = entry("f_N_atom", "electron")
    drawn: str = entry("drawn")

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}
